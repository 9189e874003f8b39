"""Calls between nodes as programs make them: endpoints that sleep, woken by a proxy in another thread."""

import ctypes
import os
import threading
from collections.abc import Iterator

import pytest

from drvs.core import CODES, Endpoint, Message, _core
from support.nodes_in_one import OK, USER, Nodes
from support.regions import Background, CoreError, bind, wait_until

CLIENT, SERVER = USER, USER + 1


class Lab:
    """A client on node 0 and a server on node 1, and a thread that is both nodes' proxies."""

    def __init__(self) -> None:
        self.nodes = Nodes(2)
        self.doorbell = os.eventfd(0)
        for node in self.nodes.nodes:  # before handles are opened: they copy what the region says
            node.region.doorbell = self.doorbell
        self.client: Endpoint = bind(self.nodes[0].region, CLIENT, spin_us=0)
        self.server: Endpoint = bind(self.nodes[1].region, SERVER, spin_us=0)
        assert self.nodes[0].bind_remote(self.server.endpoint, 1) == OK
        assert self.nodes[1].bind_remote(self.client.endpoint, 0) == OK
        self.over = False
        self.pump = threading.Thread(target=self.run, daemon=True)
        self.pump.start()

    def run(self) -> None:
        """Carry, arm, sleep until the doorbell rings."""
        while not self.over:
            self.nodes.carry()
            if all(node.proxy.arm() for node in self.nodes.nodes):
                os.eventfd_read(self.doorbell)

    def stop(self) -> None:
        """End the pump."""
        self.over = True
        os.eventfd_write(self.doorbell, 1)
        self.pump.join(10)
        assert not self.pump.is_alive()


@pytest.fixture
def lab(core_errors: None) -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.stop()
    assert lab.nodes.audit() == []


def serve(server: Endpoint, rounds: int) -> None:
    """Answer requests with what they say, in capitals."""
    message = server.receive()
    for last in [False] * (rounds - 1) + [True]:
        source, message = message.source, Message(payload=message.payload.upper())
        message = server.reply_receive(source, message) if not last else message
        if last:
            server.reply(source, message)


@pytest.mark.parametrize("spin_us", [0, 20])
def test_many_calls_in_a_row(lab: Lab, spin_us: int) -> None:
    lab.client.spin_us = lab.server.spin_us = spin_us
    server = Background(serve, lab.server, 200)
    for i in range(200):
        answer = lab.client.sendrec(lab.server.endpoint, Message(payload=b"call %3d" % i + bytes(48)))
        assert answer.payload[:8] == b"CALL %3d" % i
    server.result()


def test_a_send_waits_and_a_notification_does_not(lab: Lab) -> None:
    sender = Background(lab.client.send, lab.server.endpoint, Message(payload=bytes(56)))
    wait_until(lambda: lab.nodes[1].rts(lab.client.endpoint) & _core.RTS_SENDING)
    assert lab.server.receive(timeout=5).source == lab.client.endpoint
    sender.result()
    lab.client.notify(lab.server.endpoint)
    assert lab.server.receive(timeout=5).is_notify


def test_a_time_limit_ends_a_call_to_another_node(lab: Lab) -> None:
    for call in (lab.client.send, lab.client.sendrec):
        with pytest.raises(CoreError) as caught:
            call(lab.server.endpoint, Message(), timeout=0.01)
        assert caught.value.code == CODES["TIMEDOUT"]
    wait_until(lambda: lab.nodes[1].rts(lab.client.endpoint) == _core.RTS_REMOTE, "the cancelled call to leave")


def test_a_lost_node_wakes_those_who_wait(lab: Lab) -> None:
    caller = Background(lab.client.sendrec, lab.server.endpoint, Message())
    wait_until(lambda: lab.nodes[1].rts(lab.client.endpoint) & _core.RTS_RECEIVING)
    lab.nodes.cut(0, 1, CODES["NOTCONN"])
    with pytest.raises(CoreError) as caught:
        caller.result()
    assert caught.value.code == CODES["NOTCONN"]


def test_copies_wait_for_the_other_node(lab: Lab) -> None:
    content = os.urandom(100_000)
    source, destination = ctypes.create_string_buffer(content, 100_000), ctypes.create_string_buffer(100_000)
    caller = Background(lab.client.sendrec, lab.server.endpoint, Message())
    lab.server.receive(timeout=5)
    client, here = lab.client.endpoint, _core.SELF
    lab.server.copy_raw(client, ctypes.addressof(source), here, ctypes.addressof(destination), 100_000)
    assert destination.raw == content
    with pytest.raises(CoreError) as caught:
        lab.server.copy_raw(here, ctypes.addressof(source), client, 4096, 8)
    assert caught.value.code == CODES["FAULT"]
    lab.server.reply(client, Message())
    caller.result()
    assert lab.nodes[1].state(lab.server.endpoint)["copied_remote"] == 1
