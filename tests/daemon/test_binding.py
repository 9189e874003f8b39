"""bind, lclbind, tbind, rmtbind, bkupbind: guide 4.1.7."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from drvs.base.codes import Code
from drvs.daemon.client import Client
from support import nodes
from support.children import spawn
from support.covers import covers
from support.users import NOBODY, spawn_as_nobody

from daemon.helpers import bind, holder_program, open_endpoint, refused, wait_until

ENDPOINT_AT_29 = 35602 + 29


@covers(("mnx_bind", "mnx_tbind"), "OK")
def test_endpoints_follow_the_guides_arithmetic(client: Client, lab: int) -> None:
    assert bind(client, lab, p_nr=5)["endpoint"] == 5
    assert bind(client, lab, p_nr=-3)["endpoint"] == -3
    first = bind(client, lab, p_nr=29)
    assert first["endpoint"] == ENDPOINT_AT_29
    client.call("unbind", vmid=lab, endpoint=first["endpoint"])
    assert bind(client, lab, p_nr=29)["endpoint"] == ENDPOINT_AT_29 + 35602


def test_no_process_number_means_the_lowest_free_user_slot(client: Client, lab: int) -> None:
    bind(client, lab, p_nr=30)
    got = [bind(client, lab)["p_nr"] for _ in range(3)]
    assert got == [29, 31, 32]
    client.call("unbind", vmid=lab, endpoint=ENDPOINT_AT_29)
    assert bind(client, lab)["p_nr"] == 29


@covers(("mnx_bind", "mnx_lclbind"), "EMOLRANGE")
@pytest.mark.parametrize("p_nr", [-68, 189, 1 << 40, -(1 << 40)])
def test_a_process_number_out_of_range_is_refused(client: Client, lab: int, p_nr: int) -> None:
    refused(client, Code.RANGE, "bind", vmid=lab, p_nr=p_nr)
    refused(client, Code.RANGE, "bind", vmid=lab, kind="local", pid=os.getpid(), p_nr=p_nr)


@covers(("mnx_bind", "mnx_lclbind"), "EMOLBUSY", "EMOLINVAL", "EMOLVMNOTRUN")
def test_busy_slots_unknown_and_impossible_vms_are_refused(client: Client, lab: int) -> None:
    bind(client, lab, p_nr=40)
    for own in ({}, {"kind": "local", "pid": os.getpid()}):
        refused(client, Code.BUSY, "bind", vmid=lab, p_nr=40, **own)
        refused(client, Code.INVAL, "bind", vmid=32, **own)
        refused(client, Code.INVAL, "bind", vmid=-1, **own)
        refused(client, Code.VMNOTRUN, "bind", vmid=31, **own)


def test_a_full_vm_says_so(client: Client) -> None:
    vmid = client.call("vm_init", name="small", nr_procs=4, nr_tasks=3, nr_sysprocs=5)["vmid"]
    assert [bind(client, vmid)["p_nr"] for _ in range(2)] == [2, 3]
    assert "all 2 user slots" in refused(client, Code.BUSY, "bind", vmid=vmid)
    assert [bind(client, vmid, p_nr=n)["endpoint"] for n in range(-3, 2)] == [-3, -2, -1, 0, 1]


def test_names_are_unique_and_short_and_printable(client: Client, lab: int) -> None:
    endpoint = bind(client, lab, name="files")["endpoint"]
    assert str(endpoint) in refused(client, Code.EXIST, "bind", vmid=lab, name="files")
    refused(client, Code.NAMETOOLONG, "bind", vmid=lab, name="x" * 16)
    refused(client, Code.INVAL, "bind", vmid=lab, name="a\0b")
    client.call("unbind", vmid=lab, endpoint=endpoint)
    bind(client, lab, name="files")


@covers("mnx_lclbind", "EMOLBADPROC")
def test_only_running_processes_can_be_bound(client: Client, lab: int) -> None:
    dead = subprocess.Popen(["true"])
    for pid in (0, -5, 1 << 22, (1 << 22) + 1, 1 << 40):
        refused(client, Code.BADPROC, "bind", vmid=lab, kind="local", pid=pid)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    refused(client, Code.BADPROC, "bind", vmid=lab, kind="local", pid=dead.pid)  # a zombie
    dead.wait()
    refused(client, Code.BADPROC, "bind", vmid=lab, kind="local", pid=dead.pid)


def test_an_unknown_kind_is_refused(client: Client, lab: int) -> None:
    refused(client, Code.BINDTYPE, "bind", vmid=lab, kind="ghost")


@covers("mnx_lclbind", "OK")
@covers("mnx_wait4bind", "OK")
@pytest.mark.root
def test_root_binds_an_ordinary_process_which_finds_it_by_waiting(
    client: Client, lab: int, node: nodes.RunningNode
) -> None:
    child = spawn_as_nobody(_waits_to_be_bound, str(node.runtime_dir))
    assert child.wait_line() == str(int(Code.PERM))
    endpoint = bind(client, lab, kind="local", pid=child.pid, p_nr=50, name="guest")["endpoint"]
    info = client.call("getprocinfo", vmid=lab, p_nr=50)
    child.tell()
    assert child.result() == endpoint
    assert (info["uid"], info["kind"]) == (NOBODY, "local")


def _waits_to_be_bound(me, runtime_dir: str) -> int:
    with Client(runtime_dir) as client:
        me.say(client.call("bind", vmid=0, check=False).code)
        endpoint = open_endpoint(client.call("wait4bind"))
        me.hear()
        return endpoint.endpoint


def test_threads_of_the_caller_can_be_bound_each_on_its_own(client: Client, lab: int) -> None:
    me = bind(client, lab)
    found: dict[str, int] = {}
    release = threading.Event()

    def thread() -> None:
        found.update(bind(client, lab, kind="thread", tid=threading.get_native_id()).fields)
        release.wait()

    worker = threading.Thread(target=thread)
    worker.start()
    wait_until(lambda: found, "the thread is bound")
    assert found["tid"] == worker.native_id
    assert found["endpoint"] != me["endpoint"]
    release.set()
    worker.join()
    client.call("wait4unbind", vmid=lab, endpoint=found["endpoint"], timeout_ms=20_000)
    assert client.call("lookup", vmid=lab, name="x", check=False).code == Code.NOTBIND
    refused(client, Code.BADPROC, "bind", vmid=lab, kind="thread", tid=1)
    refused(client, Code.BADPROC, "bind", vmid=lab, kind="thread", tid=found["tid"])


def test_another_process_thread_can_be_bound_by_its_own_id(client: Client, lab: int) -> None:
    child = spawn(_runs_a_thread)
    tid = int(child.wait_line())
    reply = bind(client, lab, kind="local", pid=tid)
    assert (reply["pid"], reply["tid"], reply["kind"]) == (child.pid, tid, "thread")


def _runs_a_thread(me) -> None:
    thread = threading.Thread(target=lambda: (me.say(threading.get_native_id()), me.hear()))
    thread.start()
    thread.join()


def test_one_process_may_hold_several_endpoints_in_several_vms(client: Client, lab: int) -> None:
    other = client.call("vm_init", name="other")["vmid"]
    pairs = [(lab, bind(client, lab)), (lab, bind(client, lab)), (other, bind(client, other))]
    assert len({(vmid, reply["endpoint"]) for vmid, reply in pairs}) == 3


def test_a_repeated_attempt_finds_what_the_first_one_did(client: Client, lab: int) -> None:
    first = bind(client, lab, cookie=12345)
    assert bind(client, lab, cookie=12345)["endpoint"] == first["endpoint"]
    assert bind(client, lab, cookie=12346)["endpoint"] != first["endpoint"]
    refused(client, Code.INVAL, "bind", vmid=lab, cookie=-1)


@covers(
    ("mnx_rmtbind", "mnx_bkupbind"), "EMOLINVAL", "EMOLVMNOTRUN", "EMOLRANGE", "EMOLBUSY", "EMOLNOVMNODE", "EMOLNOPROXY"
)
@covers(("mnx_rmtbind", "mnx_bkupbind"), "EMOLBADPROC")
@pytest.mark.parametrize("op", ["rmtbind", "bkupbind"])
def test_binding_to_other_nodes_goes_as_far_as_one_node_can(client: Client, op: str) -> None:
    own = {"name": "far"} if op == "rmtbind" else {"pid": os.getpid()}
    vmid = client.call("vm_init", name="wide", nodes=0b10)["vmid"]
    bind(client, vmid, p_nr=7)
    refused(client, Code.INVAL, op, vmid=99, endpoint=5, node=1, **own)
    refused(client, Code.VMNOTRUN, op, vmid=9, endpoint=5, node=1, **own)
    for number in (0, 32, -1):
        refused(client, Code.RANGE, op, vmid=vmid, endpoint=5, node=number, **own)
    for endpoint in (1_000_000, 31438):
        refused(client, Code.BADPROC, op, vmid=vmid, endpoint=endpoint, node=1, **own)
    refused(client, Code.BUSY, op, vmid=vmid, endpoint=7, node=1, **own)
    refused(client, Code.NOVMNODE, op, vmid=vmid, endpoint=5, node=2, **own)
    refused(client, Code.NOPROXY, op, vmid=vmid, endpoint=5, node=1, **own)
    if op == "bkupbind":
        refused(client, Code.BADPROC, op, vmid=vmid, endpoint=5, node=1, pid=(1 << 22) + 1)


@pytest.mark.root
def test_a_process_of_another_pid_namespace_is_refused(client: Client, lab: int, node: nodes.RunningNode) -> None:
    program = (
        "import sys; from drvs.daemon.client import Client\n"
        f"c = Client({str(node.runtime_dir)!r})\n"
        f"print(c.call('bind', vmid={lab}, check=False).code, c.call('wait4bind', timeout_ms=0, check=False).code)"
    )
    import sys

    command = ["unshare", "--pid", "--fork", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path.cwd())
    if "unshare" in done.stderr:
        pytest.skip(f"no pid namespaces here: {done.stderr}")
    assert done.stdout.split()[0] == str(int(Code.BADPID)), done


def test_bindings_die_with_their_process(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab)
    endpoint = int(child.wait_line())
    child.kill()
    client.call("wait4unbind", vmid=lab, endpoint=endpoint, timeout_ms=20_000)
