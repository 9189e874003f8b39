"""noded is killed at any moment and started again: IPC goes on, the dead are buried, what hung is finished."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from drvs.base import clock
from drvs.base.codes import Code
from drvs.base.errors import DrvsError
from drvs.base.ids import HARDWARE
from drvs.core import Message
from drvs.core._core import RECEIVE, REPLY, SENDREC
from drvs.daemon import launch
from drvs.daemon.bindings import Kind
from drvs.daemon.client import Client
from drvs.daemon.store import connect, doorbell_name, listing, region_name
from drvs.daemon.table import BindTable, Record, State
from support import nodes
from support.children import spawn

from daemon.helpers import bind, end, holder_program, open_endpoint, refused, wait_until


def test_a_new_noded_knows_everything(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, None, "files")
    endpoint = int(child.wait_line())
    client.call("setpriv", vmid=lab, endpoint=endpoint, level=2, calls=(1 << 64) - 2)
    client.call("setdebug", mask=0x40)
    before = client.call("getvminfo", vmid=lab).fields
    node.kill()
    node.restart()
    assert client.call("getvminfo", vmid=lab).fields == before
    assert client.call("lookup", vmid=lab, name="files")["endpoint"] == endpoint
    privileges = client.call("getpriv", vmid=lab, endpoint=endpoint)
    assert (privileges["level"], privileges["calls"]) == (2, (1 << 64) - 2)
    assert client.call("getdrvsinfo")["debug"] == 0x40
    refused(client, Code.DRVSBUSY, "drvs_init", node=0)
    refused(client, Code.EXIST, "bind", vmid=lab, name="files")
    child.kill()
    client.call("wait4unbind", vmid=lab, endpoint=endpoint, timeout_ms=20_000)


def test_messages_go_on_while_there_is_no_noded(client: Client, lab: int, node: nodes.RunningNode) -> None:
    server = spawn(_answers, str(node.runtime_dir), lab)
    server.wait_line("3")
    me = open_endpoint(client.call("bind", vmid=lab))
    message = Message()
    for phase in (lambda: None, node.kill, node.restart):
        phase()
        for number in range(200):
            message.type = number
            assert me.raw(SENDREC, 3, message, 20_000) == 0
            assert message.type == number + 1
    me.close()


def _answers(me, runtime_dir: str, vmid: int) -> None:
    with Client(runtime_dir) as client:
        endpoint = open_endpoint(client.call("bind", vmid=vmid, p_nr=3))
    me.say(endpoint.endpoint)
    message = Message()
    while endpoint.raw(RECEIVE, 31438, message, -1) == 0:
        message.type += 1
        assert endpoint.raw(REPLY, message.source, message, 0) == 0


def test_who_died_meanwhile_is_buried_and_its_callers_go_on(client: Client, lab: int, node: nodes.RunningNode) -> None:
    victim = spawn(holder_program, str(node.runtime_dir), lab, 3)
    victim.wait_line("3")
    me = open_endpoint(client.call("bind", vmid=lab, p_nr=1))
    node.kill()
    victim.kill()
    threading.Timer(0.1, node.restart).start()
    assert me.raw(SENDREC, 3, Message(), 20_000) == Code.DSTDIED
    client.call("wait4unbind", vmid=lab, endpoint=3, timeout_ms=20_000)
    assert client.call("audit", vmid=lab)["findings"] == []
    me.close()


def test_threads_that_died_meanwhile_are_buried(client: Client, lab: int, node: nodes.RunningNode) -> None:
    release = threading.Event()
    endpoints: list[int] = []

    def work() -> None:
        endpoints.append(bind(client, lab, kind="thread", tid=threading.get_native_id())["endpoint"])
        release.wait()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(endpoints) == 2, "both are bound")
    own = bind(client, lab)["endpoint"]
    node.kill()
    release.set()
    for thread in threads:
        thread.join()
    node.restart()
    assert [p["endpoint"] for p in client.call("procs", vmid=lab)["procs"]] == [own]


def test_a_pid_that_is_somebody_elses_by_now_is_not_bound(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, 3)
    child.wait_line("3")
    with _table(node) as table:
        ((number, record),) = list(table.scan())
        node.kill()
        table.write(number, record._replace(start=record.start - 1))
    node.restart()
    assert client.call("procs", vmid=lab)["procs"] == []


@contextlib.contextmanager
def _table(node: nodes.RunningNode):
    """The kept bind table, from outside: noded has let the keeper's connection go when it is killed, not before."""
    path = f"/proc/{node.noded_pid}/fd"
    fd = next(os.open(f"{path}/{n}", os.O_RDWR) for n in os.listdir(path) if "bindings" in os.readlink(f"{path}/{n}"))
    try:
        yield BindTable.adopt(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("in_region", [True, False])
def test_a_bind_that_was_interrupted_is_undone(
    client: Client, lab: int, node: nodes.RunningNode, in_region: bool
) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, 3)
    child.wait_line("3")
    with _table(node) as table:
        ((number, record),) = list(table.scan())
        node.kill()
        pending = record._replace(state=State.PENDING, incarnation=0, endpoint=0)
        table.write(number, pending if in_region else pending._replace(slot=record.slot + 1))
    node.restart()
    assert client.call("procs", vmid=lab)["procs"] == []
    bind(client, lab, p_nr=3)
    bind(client, lab, p_nr=4)
    assert client.call("audit", vmid=lab)["findings"] == []


def test_an_unbinding_that_was_interrupted_is_finished(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, 3)
    child.wait_line("3")
    with client.call("bind", vmid=lab, p_nr=4) as reply:
        from drvs.core import Region

        region = Region(reply.fds[0], kernel_slot=1)
        node.kill()
        slot = 3 + 67
        assert region.step_unbind(region.members + 1, slot, 0, force=True)[0] == 3  # MORE: it is CLOSING now
    node.restart()
    bind(client, lab, p_nr=3)
    assert client.call("audit", vmid=lab)["findings"] == []


def test_a_vm_whose_end_was_interrupted_is_ended(client: Client, lab: int, node: nodes.RunningNode) -> None:
    with _table(node) as table:
        fields = table.read_vm(lab)
        node.kill()
        table.write_vm(lab, fields | {"state": 2})
    node.restart()
    assert client.call("vm_list")["vms"] == []
    assert client.call("vm_init", vmid=lab, name="lab")["serial"] == fields["serial"] + 1


def test_a_region_that_no_record_claims_is_dropped(client: Client, lab: int, node: nodes.RunningNode) -> None:
    with _table(node) as table:
        serial = table.read_vm(lab)["serial"]
        node.kill()
        table.write_vm(lab, {})
    node.restart()
    assert client.call("vm_list")["vms"] == []
    client.call("shutdown", keep=True)
    wait_until(lambda: not (Path(node.runtime_dir) / "noded.sock").exists(), "noded has ended")
    sock = connect(str(node.runtime_dir))
    assert sock is not None
    with sock:
        held = listing(sock)
        for fd in held.values():
            os.close(fd)
    assert region_name(lab, serial) not in held
    node.restart()


def test_a_table_of_another_version_is_refused_with_its_reason() -> None:
    table = BindTable.create()
    os.pwrite(table.fd, b"\x63", 8)
    with pytest.raises(ValueError, match="version 99"):
        BindTable.adopt(table.fd)
    os.pwrite(table.fd, b"X", 0)
    with pytest.raises(ValueError, match="damaged"):
        BindTable.adopt(table.fd)
    os.close(table.fd)


def test_the_table_gives_back_what_was_written() -> None:
    table = BindTable.create()
    record = Record(
        State.BOUND, Kind.THREAD, 5, 6, 1 << 40, 7, 8, 9, 10, -3, 11, (1 << 64) - 1, 1 << 60, 1 << 63, b"name"
    )
    numbers = [table.allocate() for _ in range(700)]
    table.write(numbers[650], record)
    again = BindTable.adopt(table.fd)
    ((number, found),) = list(again.scan())
    assert (number, found._replace(name=found.name.rstrip(b"\0"))) == (numbers[650], record)
    assert again.allocate() == 0
    again.release(650)
    assert list(BindTable.adopt(table.fd).scan()) == []
    os.close(table.fd)


def test_an_alarm_survives_a_restart(client: Client, lab: int, node: nodes.RunningNode) -> None:
    endpoint = open_endpoint(client.call("bind", vmid=lab, p_nr=2))
    client.call("setpriv", vmid=lab, endpoint=2, alarm_ns=clock.now_ns() + 500_000_000)
    node.kill()
    node.restart()
    assert endpoint.receive(timeout=20).source == HARDWARE
    endpoint.close()


def test_a_callers_next_call_finds_the_new_noded(client: Client, lab: int, node: nodes.RunningNode) -> None:
    node.kill()
    threading.Timer(0.2, node.restart).start()
    assert client.call("vm_list")["vms"][0]["name"] == "lab"
    node.kill()
    with pytest.raises(DrvsError, match="no noded answers"):
        Client(node.runtime_dir).call("hello")
    node.restart()


def test_binds_go_on_under_restarts(client: Client, lab: int, node: nodes.RunningNode) -> None:
    children = [spawn(_binds_again_and_again, str(node.runtime_dir), lab) for _ in range(3)]
    for child in children:
        child.wait_line("going")
    for _ in range(4):
        node.kill()
        node.restart()
        wait_until(lambda: client.call("status")["endpoints"], "somebody is bound")
    for child in children:
        child.tell()
    assert all(child.result() > 0 for child in children)
    wait_until(lambda: client.call("status")["endpoints"] == 0, "all are unbound")
    assert client.call("audit", vmid=lab)["findings"] == []


def _binds_again_and_again(me, runtime_dir: str, vmid: int) -> int:
    import select

    rounds = 0
    with Client(runtime_dir) as client:
        client.call("hello")
        me.say("going")
        while not select.select([me._lines.fd], [], [], 0)[0]:
            cookie = int.from_bytes(os.urandom(8), "little")
            endpoint = bind(client, vmid, cookie=cookie)["endpoint"]
            with contextlib.suppress(DrvsError):
                client.call("unbind", vmid=vmid, endpoint=endpoint)
            rounds += 1
    return rounds


def test_a_killed_keeper_is_replaced_and_nothing_is_lost(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, 3)
    child.wait_line("3")
    path = Path(node.runtime_dir) / "private" / "keeper.pid"
    old = int(path.read_text())
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: path.read_text().strip() not in ("", str(old)), "another keeper runs")
    client.call("vm_init", name="second")
    node.processes.add(int(path.read_text()))
    node.kill()
    node.restart()
    assert [vm["name"] for vm in client.call("vm_list")["vms"]] == ["lab", "second"]
    assert client.call("getprocinfo", vmid=lab, p_nr=3)["pid"] == child.pid


def test_down_with_keep_leaves_everything_for_the_next_one(client: Client, lab: int, node: nodes.RunningNode) -> None:
    own = bind(client, lab)["endpoint"]
    launch.down(node.runtime_dir, keep=True)
    node.restart()
    assert client.call("wait4bind", timeout_ms=0, region=False)["endpoint"] == own


def test_noded_killed_at_random_moments_of_binding_leaves_no_trace(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        client.call("vm_init", name="lab")
        for round_ in range(8):
            child = spawn(_binds_again_and_again, str(runtime_dir), 0)
            child.wait_line("going")
            time_to_die = time.monotonic() + 0.003 * round_
            while time.monotonic() < time_to_die:
                pass
            running.kill()
            running.restart()
            child.kill()
            wait_until(lambda: client.call("status")["endpoints"] == 0, "all are unbound")
            assert client.call("audit", vmid=0)["findings"] == []
            assert client.call("getvminfo", vmid=0)["bound"] == 0
    end(running)


def test_noded_killed_at_random_moments_of_vms_lives_leaks_no_region(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        for round_ in range(8):
            child = spawn(_makes_and_ends_vms, str(runtime_dir))
            child.wait_line("going")
            time_to_die = time.monotonic() + 0.004 * round_
            while time.monotonic() < time_to_die:
                pass
            running.kill()
            running.restart()
            child.kill()
            vms = [(vm["vmid"], vm["serial"]) for vm in client.call("vm_list")["vms"]]
            names = {name(*vm) for vm in vms for name in (region_name, doorbell_name)}
            assert _kept(running) == names | {"table"}
            for vm in client.call("vm_list")["vms"]:
                assert client.call("audit", vmid=vm["vmid"])["findings"] == []
                client.call("vm_end", vmid=vm["vmid"])
    end(running)


def _makes_and_ends_vms(me, runtime_dir: str) -> None:
    with Client(runtime_dir) as client:
        client.call("hello")
        me.say("going")
        for number in range(1_000_000):
            with contextlib.suppress(DrvsError):
                vmid = client.call("vm_init", name=f"brief{number}")["vmid"]
                bind(client, vmid)
                client.call("vm_end", vmid=vmid)


def _kept(node: nodes.RunningNode) -> set[str]:
    """The names of what the keeper holds, asked for in the moment when no noded talks to it."""
    launch.down(node.runtime_dir, keep=True)
    sock = connect(str(node.runtime_dir))
    assert sock is not None
    with sock:
        held = listing(sock)
    for fd in held.values():
        os.close(fd)
    node.restart()
    return set(held)
