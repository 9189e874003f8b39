"""getep, getprocinfo, procs, privileges, notify, wakeup: guide 4.1.10, 4.1.11, 4.1.14, 4.1.15 and the authors' stub."""

import os
import time

import pytest

from drvs.base.codes import Code
from drvs.base.flags import Call, Rts
from drvs.base.ids import ANY, HARDWARE, SYSTEM
from drvs.core import Message
from drvs.core._core import RECEIVE, SEND
from drvs.daemon.client import Client
from support import nodes
from support.children import spawn
from support.covers import covers

from daemon.helpers import bind, end, holder_program, open_endpoint, refused

ALL = (1 << 64) - 1


@covers("mnx_getep", "OK", "EMOLRANGE", "EMOLNOTBIND", "EMOLBADVMID")
def test_getep_answers_within_the_callers_vm(client: Client, lab: int, node: nodes.RunningNode) -> None:
    neighbour = spawn(holder_program, str(node.runtime_dir), lab, 8)
    neighbour.wait_line("8")
    refused(client, Code.NOTBIND, "getep", pid=neighbour.pid)  # the caller is not bound
    own = bind(client, lab)["endpoint"]
    assert client.call("getep", pid=os.getpid())["endpoint"] == own
    assert client.call("getep", pid=neighbour.pid)["endpoint"] == 8
    refused(client, Code.NOTBIND, "getep", pid=1)
    for pid in (0, -1, (1 << 22) + 1):
        refused(client, Code.RANGE, "getep", pid=pid)
    other = client.call("vm_init", name="other")["vmid"]
    stranger = spawn(holder_program, str(node.runtime_dir), other, 8)
    stranger.wait_line("8")
    refused(client, Code.BADVMID, "getep", pid=stranger.pid)


@covers("mnx_getprocinfo", "OK", "EMOLINVAL", "EMOLVMNOTRUN", "EMOLBADPROC")
def test_getprocinfo_shows_bound_and_free_slots(client: Client, lab: int) -> None:
    bind(client, lab, p_nr=6, name="six")
    info = client.call("getprocinfo", vmid=lab, p_nr=6)
    assert (info["pid"], info["name"], info["endpoint"], info["rts"]) == (os.getpid(), "six", 6, 0)
    free = client.call("getprocinfo", vmid=lab, p_nr=7)
    assert (free["pid"], free["name"], free["rts"]) == (-1, "", Rts.FREE)
    for p_nr in (-68, 189, 1 << 40):
        refused(client, Code.BADPROC, "getprocinfo", vmid=lab, p_nr=p_nr)
    refused(client, Code.INVAL, "getprocinfo", vmid=32, p_nr=6)
    refused(client, Code.VMNOTRUN, "getprocinfo", vmid=1, p_nr=6)


def test_procs_lists_who_waits_on_whom(client: Client, lab: int) -> None:
    server = bind(client, lab, p_nr=1)["endpoint"]
    waiting = open_endpoint(client.call("bind", vmid=lab, p_nr=2))
    waiting.region.step(waiting.slot, RECEIVE, server)
    listed = {p["p_nr"]: p for p in client.call("procs", vmid=lab)["procs"]}
    assert sorted(listed) == [1, 2]
    assert (listed[2]["rts"], listed[2]["getfrom"]) == (Rts.RECEIVING, 1)


def test_a_list_longer_than_a_packet_arrives_whole(runtime_dir, nothing_left: None) -> None:
    running = nodes.start(runtime_dir, size={"nr_procs": 1000})
    with Client(runtime_dir) as client:
        vmid = client.call("vm_init", name="big")["vmid"]
        for _ in range(900):
            bind(client, vmid)
        listed = client.call("procs", vmid=vmid)["procs"]
        assert len(listed) == len({p["endpoint"] for p in listed}) == 900
    end(running)


# ---- privileges --------------------------------------------------------------------------------------------------


@covers(("mnx_setpriv", "mnx_getpriv"), "OK", "EMOLBADPROC", "EMOLVMNOTRUN")
@covers("mnx_getpriv", "EMOLDSTDIED")
def test_privileges_are_read_back_as_they_were_set(client: Client, lab: int) -> None:
    endpoint = bind(client, lab, p_nr=3)["endpoint"]
    fresh = client.call("getpriv", vmid=lab, endpoint=endpoint)
    assert (fresh["traps"], fresh["calls"], fresh["warn"], fresh["level"]) == ((1 << 32) - 1, ALL, 27342, 0)
    wanted = {"id": 7, "warn": 5, "level": 2, "traps": 0b110, "calls": ALL - 1, "ipc_from": "0x81", "ipc_to": "0x3"}
    client.call("setpriv", vmid=lab, endpoint=endpoint, **wanted)
    assert client.call("getpriv", vmid=lab, endpoint=endpoint).fields == wanted | {"alarm_ns": 0}
    client.call("setpriv", vmid=lab, endpoint=endpoint, level=1)
    assert client.call("getpriv", vmid=lab, endpoint=endpoint).fields == wanted | {"alarm_ns": 0, "level": 1}
    refused(client, Code.BADPROC, "setpriv", vmid=lab, endpoint=1_000_000)
    refused(client, Code.BADPROC, "setpriv", vmid=lab, endpoint=4)
    refused(client, Code.BADPROC, "getpriv", vmid=lab, endpoint=1_000_000)
    refused(client, Code.DSTDIED, "getpriv", vmid=lab, endpoint=4)
    for op in ("setpriv", "getpriv"):
        refused(client, Code.VMNOTRUN, op, vmid=9, endpoint=3)
        refused(client, Code.VMNOTRUN, op, vmid=99, endpoint=3)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 96}, {"id": -1}, {"warn": 189}, {"warn": -68}, {"level": 6}, {"traps": 1 << 32}, {"calls": -1},
        {"alarm_ns": -1},
        {"ipc_to": "zz"}, {"ipc_from": "-0x1"}, {"ipc_from": "f" * 10_000},
    ],
)  # fmt: skip
def test_privileges_out_of_range_are_refused(client: Client, lab: int, fields: dict[str, object]) -> None:
    bind(client, lab, p_nr=3)
    before = client.call("getpriv", vmid=lab, endpoint=3).fields
    refused(client, Code.RANGE, "setpriv", vmid=lab, endpoint=3, **fields)
    assert client.call("getpriv", vmid=lab, endpoint=3).fields == before


def test_the_call_mask_is_enforced_for_management_calls(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(_tries_calls, str(node.runtime_dir), lab)
    child.wait_line("bound")
    client.call("setpriv", vmid=lab, endpoint=2, calls=ALL & ~(1 << Call.VMINIT) & ~(1 << Call.GETEP))
    child.tell()
    codes = child.result()
    assert codes == {"vm_init": Code.TRAPDENIED, "getep": Code.TRAPDENIED, "vm_list": 0, "getvminfo": 0}


def _tries_calls(me, runtime_dir: str, vmid: int) -> dict[str, int]:
    with Client(runtime_dir) as client:
        bind(client, vmid, p_nr=2)
        me.say("bound")
        me.hear()
        calls = {"vm_init": {"name": "x"}, "getep": {"pid": os.getpid()}, "vm_list": {}, "getvminfo": {"vmid": vmid}}
        return {op: client.call(op, check=False, **fields).code for op, fields in calls.items()}


def test_an_alarm_is_a_notification_from_hardware(client: Client, lab: int) -> None:
    endpoint = open_endpoint(client.call("bind", vmid=lab, p_nr=2))
    client.call("setpriv", vmid=lab, endpoint=2, alarm_ns=time.monotonic_ns() + 30_000_000)
    message = endpoint.receive(timeout=20)
    assert message.is_notify
    assert message.source == HARDWARE
    assert client.call("getpriv", vmid=lab, endpoint=2)["alarm_ns"] == 0
    endpoint.close()


def test_an_alarm_that_is_disarmed_does_not_ring(client: Client, lab: int) -> None:
    endpoint = open_endpoint(client.call("bind", vmid=lab, p_nr=2))
    client.call("setpriv", vmid=lab, endpoint=2, alarm_ns=time.monotonic_ns() + 100_000_000)
    client.call("setpriv", vmid=lab, endpoint=2, alarm_ns=0)
    assert endpoint.raw(RECEIVE, int(ANY), Message(), 200) == Code.TIMEDOUT
    endpoint.close()


def test_the_alarm_of_a_process_that_died_touches_nobody(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, 2)
    child.wait_line("2")
    client.call("setpriv", vmid=lab, endpoint=2, alarm_ns=time.monotonic_ns() + 50_000_000)
    child.kill()
    client.call("wait4unbind", vmid=lab, endpoint=2, timeout_ms=20_000)
    successor = open_endpoint(client.call("bind", vmid=lab, p_nr=2))
    assert successor.raw(RECEIVE, int(ANY), Message(), 150) == Code.TIMEDOUT
    successor.close()
    node.kill()
    node.restart()
    (bound,) = client.call("procs", vmid=lab)["procs"]
    assert bound["pid"] == os.getpid()


def test_a_process_that_asked_for_it_is_warned_of_a_death(client: Client, lab: int, node: nodes.RunningNode) -> None:
    guardian = open_endpoint(client.call("bind", vmid=lab, p_nr=1))
    child = spawn(holder_program, str(node.runtime_dir), lab, 2)
    child.wait_line("2")
    client.call("setpriv", vmid=lab, endpoint=2, warn=1)
    child.kill()
    message = guardian.receive(timeout=20)
    assert message.is_notify
    assert message.source == 2
    guardian.close()


# ---- from outside ----------------------------------------------------------------------------------------------


@covers(("mnx_src_notify", "mnx_hdw_notify", "mnx_ntfy_value"), "OK")
@pytest.mark.parametrize("p_nr", [int(HARDWARE), int(SYSTEM), 4])
def test_an_unbound_process_notifies_for_others(client: Client, lab: int, p_nr: int) -> None:
    endpoint = open_endpoint(client.call("bind", vmid=lab, p_nr=2))
    client.call("notify", vmid=lab, as_p_nr=p_nr, dst=2, value=0b101)
    message = endpoint.receive(timeout=20)
    assert (message.source, message.m9_l1) == (p_nr, 0b101)
    endpoint.close()


def test_a_notification_that_cannot_be_is_refused(client: Client, lab: int) -> None:
    bind(client, lab, p_nr=2)
    refused(client, Code.RANGE, "notify", vmid=lab, as_p_nr=189, dst=2)
    refused(client, Code.RANGE, "notify", vmid=lab, as_p_nr=1, dst=2, value=1 << 32)
    refused(client, Code.SRCDIED, "notify", vmid=lab, as_p_nr=100, dst=2)
    refused(client, Code.DSTDIED, "notify", vmid=lab, as_p_nr=1, dst=5)
    refused(client, Code.ENDPOINT, "notify", vmid=lab, as_p_nr=1, dst=1_000_000)
    refused(client, Code.ENDPOINT, "notify", vmid=lab, as_p_nr=1, dst=1 << 40)
    refused(client, Code.ENDPOINT, "notify", vmid=lab, as_p_nr=2, dst=2)


@covers("mnx_wakeup", "OK", "EMOLWOKENUP")
def test_wakeup_ends_a_receive_or_the_next_one(client: Client, lab: int) -> None:
    endpoint = open_endpoint(client.call("bind", vmid=lab, p_nr=2))
    client.call("wakeup", vmid=lab, endpoint=2)
    assert endpoint.raw(RECEIVE, int(ANY), Message(), 10_000) == Code.WOKENUP
    assert endpoint.raw(SEND, 5, Message(), 0) == Code.DSTDIED
    refused(client, Code.DSTDIED, "wakeup", vmid=lab, endpoint=5)
    refused(client, Code.ENDPOINT, "wakeup", vmid=lab, endpoint=1_000_000)
    endpoint.close()
