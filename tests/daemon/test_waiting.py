"""wait4bind, lookup and all that wait: they are answered, in time or by their timeout: guide 4.1.8."""

import os
import sys

import pytest

import drvs
from drvs.base.codes import Code
from drvs.daemon.client import Client
from support import nodes
from support.children import spawn
from support.covers import covers

from daemon.helpers import bind, holder_program, refused, wait_until


@covers("mnx_wait4bind_T", "OK", "EMOLTIMEDOUT")
def test_wait4bind_answers_at_once_if_bound_and_gives_up_otherwise(client: Client, lab: int) -> None:
    refused(client, Code.AGAIN, "wait4bind", timeout_ms=0)
    assert "not within 20 ms" in refused(client, Code.TIMEDOUT, "wait4bind", timeout_ms=20)
    refused(client, Code.RANGE, "wait4bind", timeout_ms=-2)
    endpoint = bind(client, lab)["endpoint"]
    assert client.call("wait4bind", timeout_ms=(1 << 63) - 1, region=False)["endpoint"] == endpoint
    assert client.call("wait4bind", timeout_ms=0)["endpoint"] == endpoint
    refused(client, Code.AGAIN, "wait4bind", vmid=7, timeout_ms=0)


def test_wait4bind_for_a_vm_is_not_content_with_another(client: Client, lab: int, node: nodes.RunningNode) -> None:
    other = client.call("vm_init", name="other")["vmid"]
    child = spawn(_waits_for_vm, str(node.runtime_dir), other)
    child.wait_line("ready")
    wait_until(lambda: client.call("status")["waiting"], "it waits")
    bind(client, lab, kind="local", pid=child.pid)
    endpoint = bind(client, other, kind="local", pid=child.pid, p_nr=77)["endpoint"]
    assert child.result() == (other, endpoint)


def _waits_for_vm(me, runtime_dir: str, vmid: int) -> tuple[int, int]:
    with Client(runtime_dir) as client:
        me.say("ready")
        reply = client.call("wait4bind", vmid=vmid, region=False)
        return reply["vmid"], reply["endpoint"]


def test_a_forked_child_is_not_bound(client: Client, lab: int) -> None:
    bind(client, lab)
    assert spawn(_asks, client).result() == Code.AGAIN


def _asks(_me, client: Client) -> int:
    return client.call("wait4bind", timeout_ms=0, check=False).code


def test_exec_keeps_the_binding(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(_execs, str(node.runtime_dir), lab)
    endpoint = int(child.wait_line())
    assert int(child.wait_line()) == endpoint
    child.wait()
    client.call("wait4unbind", vmid=lab, endpoint=endpoint, timeout_ms=20_000)


def _execs(me, runtime_dir: str, vmid: int) -> None:
    with Client(runtime_dir) as client:
        me.say(bind(client, vmid)["endpoint"])
    program = (
        "import os; from drvs.daemon.client import Client\n"
        f"reply = Client({runtime_dir!r}).call('wait4bind', timeout_ms=0)\n"
        f"os.write({me._say_fd}, f'L{{reply[\"endpoint\"]}}\\n'.encode())"
    )
    os.set_inheritable(me._say_fd, True)
    os.execv(sys.executable, [sys.executable, "-c", program])


@covers(("mnx_wait4bindep", "mnx_wait4bindep_T"), "OK", "EMOLTIMEDOUT")
@covers(("mnx_wait4unbind", "mnx_wait4unbind_T"), "OK", "EMOLTIMEDOUT")
def test_one_waits_for_an_endpoint_to_come_and_to_go(client: Client, lab: int, node: nodes.RunningNode) -> None:
    refused(client, Code.TIMEDOUT, "wait4bindep", vmid=lab, endpoint=9, timeout_ms=10)
    refused(client, Code.AGAIN, "wait4bindep", vmid=lab, endpoint=9, timeout_ms=0)
    client.call("wait4unbind", vmid=lab, endpoint=9, timeout_ms=0)
    watcher = spawn(_watches, str(node.runtime_dir), lab, 9)
    watcher.wait_line("ready")
    holder = spawn(holder_program, str(node.runtime_dir), lab, 9)
    watcher.wait_line("bound")
    refused(client, Code.TIMEDOUT, "wait4unbind", vmid=lab, endpoint=9, timeout_ms=10)
    holder.kill()
    watcher.wait_line("gone")
    for op in ("wait4bindep", "wait4unbind"):
        refused(client, Code.ENDPOINT, op, vmid=lab, endpoint=1_000_000)
        refused(client, Code.INVAL, op, vmid=-1, endpoint=9)
        refused(client, Code.VMNOTRUN, op, vmid=2, endpoint=9)


def _watches(me, runtime_dir: str, vmid: int, endpoint: int) -> None:
    with Client(runtime_dir) as client:
        me.say("ready")
        client.call("wait4bindep", vmid=vmid, endpoint=endpoint)
        me.say("bound")
        client.call("wait4unbind", vmid=vmid, endpoint=endpoint)
        me.say("gone")


def test_lookup_finds_a_name_or_waits_for_it(client: Client, lab: int, node: nodes.RunningNode) -> None:
    refused(client, Code.NOTBIND, "lookup", vmid=lab, name="late")
    refused(client, Code.TIMEDOUT, "lookup", vmid=lab, name="late", timeout_ms=10)
    refused(client, Code.INVAL, "lookup", vmid=lab, name="")
    refused(client, Code.NAMETOOLONG, "lookup", vmid=lab, name="x" * 16)
    seeker = spawn(_seeks, str(node.runtime_dir), lab)
    seeker.wait_line("ready")
    endpoint = bind(client, lab, name="late")["endpoint"]
    assert seeker.result() == endpoint
    assert client.call("lookup", vmid=lab, name="late")["endpoint"] == endpoint


def _seeks(me, runtime_dir: str, vmid: int) -> int:
    with Client(runtime_dir) as client:
        me.say("ready")
        return int(client.call("lookup", vmid=vmid, name="late", timeout_ms=20_000)["endpoint"])


@pytest.mark.parametrize(("end", "code"), [("vm_end", Code.VMNOTRUN), ("drvs_end", Code.VMNOTRUN)])
def test_the_end_of_the_vm_ends_the_wait(
    client: Client, lab: int, node: nodes.RunningNode, end: str, code: Code
) -> None:
    child = spawn(_waits_in_vain, str(node.runtime_dir), lab)
    wait_until(lambda: client.call("status")["waiting"], "it waits")
    client.call(end, **({"vmid": lab} if end == "vm_end" else {}))
    assert child.result() == code


def _waits_in_vain(_me, runtime_dir: str, vmid: int) -> int:
    with Client(runtime_dir) as client:
        return client.call("wait4bindep", vmid=vmid, endpoint=3, check=False).code


def test_a_caller_that_leaves_is_not_waited_for(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(_waits_in_vain, str(node.runtime_dir), lab)
    wait_until(lambda: client.call("status")["waiting"] == 1, "it waits")
    child.kill()
    wait_until(lambda: client.call("status")["waiting"] == 0, "it is forgotten")


def test_a_vm_is_waited_for_by_its_name(client: Client, node: nodes.RunningNode) -> None:
    refused(client, Code.VMNOTRUN, "getvminfo", name="later")
    assert "not within 20 ms" in refused(client, Code.TIMEDOUT, "getvminfo", name="later", timeout_ms=20)
    refused(client, Code.RANGE, "getvminfo", name="later", timeout_ms=-2)
    refused(client, Code.NAMETOOLONG, "getvminfo", name="x" * 16, timeout_ms=20)
    child = spawn(_waits_for_a_vm, str(node.runtime_dir))
    wait_until(lambda: client.call("status")["waiting"], "it waits")
    client.call("vm_init", name="other")
    vmid = client.call("vm_init", name="later")["vmid"]
    assert child.result() == vmid
    assert client.call("getvminfo", name="later", timeout_ms=20)["vmid"] == vmid


def _waits_for_a_vm(me, runtime_dir: str) -> int:
    return drvs.connect(runtime_dir=runtime_dir).vm("later", timeout=20).id
