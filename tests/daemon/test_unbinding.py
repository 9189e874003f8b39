"""unbind, of oneself and of others, in time and late: guide 4.1.9."""

import signal
import threading

import pytest

from drvs.base.codes import Code
from drvs.base.flags import Rts
from drvs.base.ids import ANY
from drvs.core import Message, Region
from drvs.core._core import BLOCKED, RECEIVE
from drvs.daemon.client import Client
from support import nodes
from support.children import spawn
from support.covers import covers
from support.users import spawn_as_nobody

from daemon.helpers import bind, holder_program, open_endpoint, refused, wait_until


@covers(("mnx_unbind", "mnx_unbind_T"), "OK", "EMOLNOTBIND", "EMOLENDPOINT", "EMOLINVAL", "EMOLVMNOTRUN")
def test_unbinding_oneself_and_what_cannot_be_unbound(client: Client, lab: int) -> None:
    endpoint = bind(client, lab)["endpoint"]
    client.call("unbind", vmid=lab, endpoint=endpoint)
    refused(client, Code.NOTBIND, "unbind", vmid=lab, endpoint=endpoint)
    refused(client, Code.NOTBIND, "unbind", vmid=lab, endpoint=5)
    for impossible in (int(ANY), 1_000_000, -68, 1 << 40, -(1 << 40)):
        refused(client, Code.ENDPOINT, "unbind", vmid=lab, endpoint=impossible)
    refused(client, Code.INVAL, "unbind", vmid=32, endpoint=endpoint)
    refused(client, Code.VMNOTRUN, "unbind", vmid=1, endpoint=endpoint)
    refused(client, Code.RANGE, "unbind", vmid=lab, endpoint=endpoint, timeout_ms=-2)


def test_unbinding_another_ends_its_call_with_shutdown_and_signals_it(
    client: Client, lab: int, node: nodes.RunningNode
) -> None:
    child = spawn(_waits_to_be_unbound, str(node.runtime_dir), lab)
    endpoint = int(child.wait_line())
    wait_until(lambda: client.call("procs", vmid=lab)["procs"][0]["rts"] == Rts.RECEIVING, "it receives")
    client.call("unbind", vmid=lab, endpoint=endpoint)
    codes, signals = child.result()
    assert codes[-1] == Code.SHUTDOWN
    assert signals == [signal.SIGPIPE]


def _waits_to_be_unbound(me, runtime_dir: str, vmid: int) -> tuple[list[int], list[int]]:
    signals: list[int] = []
    signal.signal(signal.SIGPIPE, lambda number, _: signals.append(number))
    codes: list[int] = []
    with Client(runtime_dir) as client:
        endpoint = open_endpoint(client.call("bind", vmid=vmid))
        me.say(endpoint.endpoint)
        while not codes or codes[-1] == Code.RESTARTSYS:
            codes.append(endpoint.raw(RECEIVE, int(ANY), Message(), -1))
    while not signals:
        signal.sigtimedwait([], 0.01)
    return codes, signals


@pytest.mark.root
def test_an_ordinary_process_unbinds_itself_but_nobody_else(client: Client, lab: int, node: nodes.RunningNode) -> None:
    mine = bind(client, lab)["endpoint"]
    child = spawn_as_nobody(_unbinds, str(node.runtime_dir), lab, mine)
    child.wait_line("ready")
    bind(client, lab, kind="local", pid=child.pid)
    assert child.result() == (int(Code.PERM), 0)
    client.call("getep", pid=nodes.os.getpid())


def _unbinds(me, runtime_dir: str, vmid: int, other: int) -> tuple[int, int]:
    with Client(runtime_dir) as client:
        me.say("ready")
        own = client.call("wait4bind", region=False)["endpoint"]
        refusal = client.call("unbind", vmid=vmid, endpoint=other, check=False).code
        return refusal, client.call("unbind", vmid=vmid, endpoint=own).code


@pytest.fixture
def copying(client: Client, lab: int, node: nodes.RunningNode):
    """An endpoint whose memory a third party copies: (endpoint, a function that ends the copy)."""
    with client.call("bind", vmid=lab, p_nr=1) as reply:
        region = Region(reply.fds[0], kernel_slot=1)
    child = spawn(holder_program, str(node.runtime_dir), lab, 2)
    child.wait_line("2")
    for p_nr in (1, 2):
        slot = p_nr + 67
        assert region.step(slot, RECEIVE, int(ANY))[0] == BLOCKED
    third = client.call("bind", vmid=lab, p_nr=3, region=False)
    assert region.copy_begin(third["slot"], 1, 2, 10)[0] == 0
    return 2, lambda: region.copy_end(third["slot"])


@covers("mnx_unbind_T", "EMOLTIMEDOUT")
def test_unbind_waits_for_a_copy_and_gives_up_in_time(client: Client, lab: int, copying) -> None:
    endpoint, _ = copying
    refused(client, Code.AGAIN, "unbind", vmid=lab, endpoint=endpoint, timeout_ms=0)
    refused(client, Code.TIMEDOUT, "unbind", vmid=lab, endpoint=endpoint, timeout_ms=30)
    assert client.call("getprocinfo", vmid=lab, p_nr=2)["endpoint"] == endpoint


def test_unbind_ends_when_the_copy_does(client: Client, lab: int, copying) -> None:
    endpoint, end_copy = copying
    threading.Timer(0.05, end_copy).start()
    client.call("unbind", vmid=lab, endpoint=endpoint, timeout_ms=20_000)
    refused(client, Code.NOTBIND, "unbind", vmid=lab, endpoint=endpoint)


def test_an_unbind_whose_caller_leaves_is_forgotten(client: Client, lab: int, copying, node: nodes.RunningNode) -> None:
    endpoint, end_copy = copying
    child = spawn(_unbinds_and_dies, str(node.runtime_dir), lab, endpoint)
    child.wait_line("asking")
    child.kill()
    end_copy()
    assert client.call("getprocinfo", vmid=lab, p_nr=2)["endpoint"] == endpoint


def _unbinds_and_dies(me, runtime_dir: str, vmid: int, endpoint: int) -> None:
    import os
    import socket

    from drvs.base import paths
    from drvs.daemon import packets

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(os.path.join(runtime_dir, paths.SOCKET))
    sock.send(packets.encode({"v": 1, "op": "unbind", "vmid": vmid, "endpoint": endpoint, "timeout_ms": -1}))
    me.say("asking")
    me.hear()


def test_only_the_binding_that_is_meant_is_unbound(client: Client, lab: int) -> None:
    reply = bind(client, lab, p_nr=4)
    client.call("unbind", vmid=lab, endpoint=4, incarnation=reply["incarnation"])
    again = bind(client, lab, p_nr=4)
    refused(client, Code.NOTBIND, "unbind", vmid=lab, endpoint=4, incarnation=reply["incarnation"])
    client.call("unbind", vmid=lab, endpoint=4, incarnation=again["incarnation"])
