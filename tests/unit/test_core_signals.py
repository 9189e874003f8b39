"""Signals, fork and the end of the interpreter, as a waiting endpoint meets them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from drvs.core import CODES, Endpoint, Message, _core
from support.children import Me, spawn
from support.regions import FIRST_USER_SLOT, Background, CoreError, bind, make_region, rts, wait_asleep, wait_until

SERVER, CLIENT = FIRST_USER_SLOT, FIRST_USER_SLOT + 1


class Handled(Exception):
    """Raised by a signal handler."""


@pytest.fixture
def on_signal() -> Iterator[Any]:
    """Install a handler of SIGUSR2 for the test."""
    old = signal.getsignal(signal.SIGUSR2)
    yield lambda handler: signal.signal(signal.SIGUSR2, handler)
    signal.signal(signal.SIGUSR2, old)


class Killer:
    """Sends SIGUSR2 to the main thread, once it sleeps in a call of an endpoint and has handled the signal before."""

    def __init__(self, endpoint: Endpoint, times: int = 1) -> None:
        self.handled = 0
        self.enough = False
        self._thread = Background(self._kill, endpoint, times)

    def _kill(self, endpoint: Endpoint, times: int) -> None:
        main = threading.main_thread().ident
        assert main is not None
        for number in range(times):
            wait_until(lambda: self.enough or is_asleep(endpoint), "the call")
            if self.enough:
                break
            signal.pthread_kill(main, signal.SIGUSR2)
            wait_until(lambda number=number: self.enough or self.handled > number, "the handler")  # type: ignore[misc]

    def done(self) -> None:
        """No more signals; returns when none is on its way."""
        self.enough = True
        self._thread.result()


def is_asleep(endpoint: Endpoint) -> bool:
    """Whether the owner of an endpoint sleeps in a call."""
    snapshot = endpoint.region.snapshot(endpoint.slot)
    return isinstance(snapshot, dict) and bool(snapshot["waiting"])


def test_a_handler_runs_and_the_wait_goes_on(server: Endpoint, client: Endpoint, on_signal: Any) -> None:
    def handler(*_: object) -> None:
        killer.handled += 1
        if killer.handled == 3:
            client.notify(server.endpoint, 5)

    on_signal(handler)
    killer = Killer(server, times=3)
    assert server.receive(timeout=20).m9_l1 == 5
    assert killer.handled == 3
    killer.done()


def test_signals_do_not_move_the_deadline(server: Endpoint, on_signal: Any) -> None:
    def handler(*_: object) -> None:
        killer.handled += 1

    on_signal(handler)
    start = time.monotonic()
    killer = Killer(server, times=10**6)
    with pytest.raises(CoreError) as caught:
        server.receive(timeout=0.3)
    assert caught.value.code == CODES["TIMEDOUT"]
    assert 0.3 <= time.monotonic() - start < 5
    killer.done()
    assert killer.handled > 3


@pytest.mark.parametrize("operation", ["receive", "sendrec", "send", "reply_receive"])
def test_a_handler_that_raises_cancels_the_call(
    server: Endpoint, client: Endpoint, on_signal: Any, operation: str
) -> None:
    def handler(*_: object) -> None:
        killer.handled += 1
        raise Handled

    on_signal(handler)
    killer = Killer(client)
    arguments = () if operation == "receive" else (server.endpoint, Message(1))
    with pytest.raises(Handled):
        getattr(client, operation)(*arguments)
    killer.done()
    with pytest.raises(CoreError) as caught:
        server.receive(timeout=0)
    assert caught.value.code == CODES["AGAIN"]
    client.notify(server.endpoint)  # the endpoint is as good as before
    assert not client.region.audit()


def test_a_call_from_a_handler_gets_notready(server: Endpoint, client: Endpoint, on_signal: Any) -> None:
    codes: list[int] = []

    def handler(*_: object) -> None:
        for call in (lambda: server.receive(timeout=0), server.close):
            with pytest.raises(CoreError) as caught:
                call()
            codes.append(caught.value.code)
        client.notify(server.endpoint)
        killer.handled += 1

    on_signal(handler)
    killer = Killer(server)
    assert server.receive(timeout=20).is_notify
    assert codes == [CODES["NOTREADY"], CODES["BUSY"]]
    killer.done()


def test_raw_reports_a_signal_and_runs_its_handler(server: Endpoint, on_signal: Any) -> None:
    def handler(*_: object) -> None:
        killer.handled += 1

    on_signal(handler)
    killer = Killer(server)
    assert server.raw(_core.RECEIVE, _core.ANY, Message(), -1) == CODES["RESTARTSYS"]
    assert killer.handled == 1
    killer.done()


# ---- fork ------------------------------------------------------------------------------------------------------------


def test_a_forked_child_is_unbound_and_harms_nothing(server: Endpoint, client: Endpoint) -> None:
    def child(me: Me) -> list[int]:
        codes = []
        for call in (lambda: server.receive(timeout=0), lambda: server.notify(client.endpoint)):
            with pytest.raises(CoreError) as caught:
                call()
            codes.append(caught.value.code)
        server.close()
        return codes

    receiving = Background(server.receive)
    wait_asleep(server.region, SERVER)
    before = server.region.snapshot(SERVER)
    # The parent's thread waits in the endpoint: in the child, where that thread does not exist, it can be closed.
    assert spawn(child).result() == [CODES["NOTBIND"]] * 2
    after = server.region.snapshot(SERVER)
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert {k: v for k, v in before.items() if k != "cpu"} == {k: v for k, v in after.items() if k != "cpu"}
    client.send(server.endpoint, Message(3))
    assert receiving.result().type == 3


def test_a_child_that_ends_leaves_the_parents_endpoint_usable(server: Endpoint, client: Endpoint) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    client.notify(server.endpoint)
    assert server.receive(timeout=0).is_notify


def test_two_processes_call_each_other(core_errors: None) -> None:
    region = make_region()

    def serve(me: Me) -> None:
        endpoint = bind(region, SERVER, "server")
        me.say(endpoint.endpoint)
        message = endpoint.receive()
        while message.type != 99:
            message.m1_i1 += 1
            message = endpoint.reply_receive(message, message)
        endpoint.reply(message, message)

    child = spawn(serve)
    server = int(child.wait_line())
    client, message = bind(region, CLIENT), Message(1)
    for _ in range(1000):
        client.sendrec(server, message, timeout=10)
    assert message.m1_i1 == 1000
    message.type = 99
    client.sendrec(server, message, timeout=10)
    child.result()
    assert region.audit() == []


def test_the_interpreter_ends_with_a_thread_still_waiting() -> None:
    program = """
import threading
from support.regions import bind, make_region, rts, wait_asleep, wait_until
endpoint = bind(make_region(), 96)
threading.Thread(target=endpoint.receive, daemon=True).start()
wait_asleep(endpoint.region, 96)
print("done")
"""
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_signal_just_before_the_sleep_is_not_lost(server: Endpoint, client: Endpoint, on_signal: Any) -> None:
    """While a call spins without the GIL a handler cannot run, and the signal does not end the sleep that follows."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("spins only for a peer on another CPU")

    def elsewhere() -> None:
        os.sched_setaffinity(0, cpus[1:2])
        client.send(server.endpoint, Message(1))
        wait_until(lambda: rts(server.region, SERVER) & _core.RTS_RECEIVING)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGUSR2)

    def handler(*_: object) -> None:
        client.notify(server.endpoint, 3)

    on_signal(handler)
    server.spin_us = 500_000
    try:
        os.sched_setaffinity(0, cpus[:1])
        peer = Background(elsewhere)
        server.receive(client.endpoint, timeout=20)
        assert server.receive(timeout=20).m9_l1 == 3
        peer.result()
    finally:
        os.sched_setaffinity(0, cpus)
