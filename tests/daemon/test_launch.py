"""Starting, ending and cleaning up: twice, at once, side by side, as anybody, in places that cannot be used."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from drvs.base import paths
from drvs.base.codes import Code
from drvs.base.errors import AccessDenied, Busy, DaemonGone, OutOfRange, RuntimeDirError
from drvs.core._core import VM_ENDED, Region
from drvs.daemon import gc, launch, runtime
from drvs.daemon.client import Client
from support import nodes
from support.children import spawn
from support.users import as_nobody, spawn_as_nobody

from daemon.helpers import bind, end, holder_program, wait_until


def test_down_leaves_an_empty_place(runtime_dir: Path, nothing_left: None) -> None:
    place = runtime_dir / "node"
    running = nodes.start(place)
    status = launch.status(place)
    assert (place.stat().st_mode & 0o777, (place / "noded.sock").stat().st_mode & 0o777) == (0o755, 0o666)
    assert (place / "private").stat().st_mode & 0o777 == 0o700
    assert launch.down(place) == status["pid"]
    assert not place.exists()
    nodes.wait_gone(running.processes)
    with pytest.raises(DaemonGone, match=r"there is no socket.*drvs up"):
        launch.down(place)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_node_in_order(runtime_dir: Path, nothing_left: None, number: signal.Signals) -> None:
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        client.call("vm_init", name="lab")
        child = spawn(_outlives_its_vm, str(runtime_dir))
        child.wait_line("bound")
        os.kill(running.noded_pid, number)
        assert child.result() == VM_ENDED
        nodes.wait_gone(running.processes)
    assert not runtime_dir.exists()


def _outlives_its_vm(me, runtime_dir: str) -> int:
    with Client(runtime_dir) as client, client.call("bind", vmid=0) as reply:
        region = Region(reply.fds[0])
    me.say("bound")
    wait_until(lambda: region.state != 0, "the VM ends")
    return int(region.state)


def test_a_second_start_is_refused_by_name(node: nodes.RunningNode) -> None:
    with pytest.raises(Busy, match=f"noded is process {node.noded_pid}.*drvs down") as refusal:
        launch.up(node.runtime_dir)
    assert refusal.value.code is Code.DRVSBUSY


def test_of_two_starts_at_once_one_wins(runtime_dir: Path, nothing_left: None) -> None:
    before = nodes.procfs.descendants(os.getpid())  # such as a server that other tests share
    children = [spawn(_starts, str(runtime_dir)) for _ in range(4)]
    outcomes = sorted(child.result() for child in children)
    assert outcomes == ["busy", "busy", "busy", "up"]
    processes = nodes.procfs.descendants(os.getpid()) - before
    launch.down(runtime_dir)
    nodes.wait_gone(processes)


def _starts(_me, runtime_dir: str) -> str:
    try:
        launch.up(runtime_dir)
    except Busy:
        return "busy"
    return "up"


def test_a_stale_socket_and_an_old_lock_file_are_no_hindrance(runtime_dir: Path, nothing_left: None) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(str(runtime_dir / "noded.sock"))
    (runtime_dir / "noded.lock").write_text("12345\n")
    with pytest.raises(DaemonGone, match="nobody listens"):
        Client(runtime_dir).call("hello")
    end(nodes.start(runtime_dir))


def test_nodes_live_side_by_side(runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = nodes.start(runtime_dir / "a"), nodes.start(runtime_dir / "b", node=1)
    with Client(runtime_dir / "a") as a, Client(runtime_dir / "b") as b:
        a.call("vm_init", name="lab")
        assert b.call("vm_list")["vms"] == []
        assert (a.call("hello")["node"], b.call("hello")["node"]) == (0, 1)
    end(first)
    assert launch.status(runtime_dir / "b")["node"] == 1
    end(second)


# ---- places that cannot be used ----------------------------------------------------------------------------------


def test_a_file_in_the_way_is_named(runtime_dir: Path) -> None:
    (runtime_dir / "node").write_text("")
    with pytest.raises(RuntimeDirError, match="is not a directory: remove it"):
        launch.up(runtime_dir / "node")


def test_a_missing_parent_is_named(runtime_dir: Path) -> None:
    with pytest.raises(RuntimeDirError, match="No such file or directory"):
        launch.up(runtime_dir / "x" / "y")


def test_a_path_too_long_for_a_socket_is_named(runtime_dir: Path) -> None:
    with pytest.raises(RuntimeDirError, match="set DRVS_RUNTIME_DIR to a shorter one"):
        launch.up(runtime_dir / ("x" * 100))


def test_a_place_that_others_can_write_is_refused(runtime_dir: Path) -> None:
    runtime_dir.chmod(0o777)
    with pytest.raises(RuntimeDirError, match="chmod go-w"):
        runtime.prepare(str(runtime_dir))


def test_a_symbolic_link_is_refused(runtime_dir: Path) -> None:
    (runtime_dir / "real").mkdir()
    (runtime_dir / "link").symlink_to("real")
    with pytest.raises(RuntimeDirError, match="is not a directory"):
        runtime.prepare(str(runtime_dir / "link"))


@pytest.mark.root
def test_an_unwritable_place_is_named(runtime_dir: Path) -> None:
    text = as_nobody(_why_not, str(runtime_dir / "node"))
    assert "Permission denied" in text
    text = as_nobody(_why_not, str(runtime_dir))
    assert "Permission denied" in text or "belongs to user 0" in text


def _why_not(place: str) -> str:
    try:
        runtime.prepare(place)
    except RuntimeDirError as error:
        return str(error)
    return "it works"


def test_limits_that_cannot_be_are_named(runtime_dir: Path, nothing_left: None) -> None:
    with pytest.raises(OutOfRange, match="nr_vms is 1000, it must be 1 to 256"):
        launch.up(runtime_dir, size={"nr_vms": 1000})
    with pytest.raises(Exception, match="no such limits: nr_cats"):
        launch.up(runtime_dir, size={"nr_cats": 1})
    assert not runtime.is_running(str(runtime_dir))


def test_a_start_that_fails_leaves_nothing(
    runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRVS_LIMITS", "bindings=x")
    with pytest.raises(Exception, match="noded ended before it was ready"):
        launch.up(runtime_dir / "node")
    monkeypatch.delenv("DRVS_LIMITS")
    with pytest.raises(OutOfRange):
        launch.up(runtime_dir / "node", node=40)
    assert not (runtime_dir / "node").exists()


# ---- as an ordinary user -----------------------------------------------------------------------------------------


@pytest.mark.root
def test_an_ordinary_user_runs_a_node_of_his_own(runtime_dir: Path) -> None:
    place = runtime_dir / "own"
    place.mkdir()
    os.chown(place, 65534, 65534)
    child = spawn_as_nobody(_runs_a_node, str(place))
    assert child.result() == ("lab", 1, 65534)


def _runs_a_node(me, place: str) -> tuple[str, int, int]:
    from drvs.daemon.__main__ import main

    pid = os.fork()
    if pid == 0:
        os._exit(main(["--runtime-dir", place]))
    try:
        with Client(place) as client:
            wait_until(lambda: os.path.exists(os.path.join(place, paths.SOCKET)), "the socket is there")
            wait_until(lambda: _answers(client), "noded answers")
            client.call("vm_init", name="lab")
            bind(client, 0)
            status = client.call("status")
            found = status["vms"][0]["name"], status["endpoints"], status["owner"]
    finally:
        os.kill(pid, signal.SIGTERM)  # ends the node and its keeper, also when the test has failed
        ended = os.waitpid(pid, 0)[1]
    assert ended == 0
    return found


def _answers(client: Client) -> bool:
    try:
        return client.call("hello")["initialised"] is True
    except DaemonGone:
        return False


@pytest.mark.root
def test_an_ordinary_user_cannot_end_roots_node(node: nodes.RunningNode) -> None:
    assert as_nobody(_tries_down, str(node.runtime_dir)) is True
    assert launch.status(node.runtime_dir)["initialised"]


def _tries_down(place: str) -> bool:
    try:
        launch.down(place)
    except AccessDenied:
        return True
    return False


# ---- the process itself ------------------------------------------------------------------------------------------


def test_noded_runs_in_the_foreground_too(runtime_dir: Path, nothing_left: None) -> None:
    ready, tell = os.pipe()
    command = [sys.executable, "-m", "drvs.daemon", "--runtime-dir", str(runtime_dir), "--ready-fd", str(tell)]
    with subprocess.Popen(command, pass_fds=[tell]) as process:
        os.close(tell)
        assert os.read(ready, 100) == b"ready"
        os.close(ready)
        assert launch.status(runtime_dir)["pid"] == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    nodes.leaks.reap()


def test_a_node_that_is_not_initialised_waits_for_it(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir, init=False)
    assert launch.status(runtime_dir)["initialised"] is False
    end(running)


def test_sizes_are_given_to_the_node(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir, node=2, size={"nr_vms": 3})
    status = launch.status(runtime_dir)
    assert (status["node"], status["limits"]["nr_vms"]) == (2, 3)
    end(running)


def test_systemd_is_told_and_holds_the_descriptors(
    runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(runtime_dir / "notify"))
        supervisor.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(runtime_dir / "notify"))
        monkeypatch.setenv("DRVS_STORE", "systemd")
        running = nodes.start(runtime_dir / "node")
        with Client(runtime_dir / "node") as client:
            client.call("vm_init", name="lab")
        held, texts = _receive(supervisor, 4)
        assert "FDSTORE=1" in texts[0]
        assert "FDNAME=table" in texts[0]
        assert "READY=1" in texts[1]
        assert "FDNAME=vm-0-1" in texts[2]
        assert "FDNAME=bell-0-1" in texts[3]
        assert len(held) == 3
        os.kill(running.noded_pid, signal.SIGTERM)  # as a restart does: everything is kept
        nodes.wait_gone(running.processes)
        state = Region(held[1]).state
        for fd in held:
            os.close(fd)
        assert state == 0


def _receive(supervisor: socket.socket, count: int) -> tuple[list[int], list[str]]:
    held, texts = [], []
    for _ in range(count):
        text, fds, _, _ = socket.recv_fds(supervisor, 4096, 4)
        texts.append(text.decode())
        held += fds
    return held, texts


def test_descriptors_from_systemd_are_taken_over(
    runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drvs.daemon import notify

    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_FDNAMES", "table:vm-0-1")
    monkeypatch.setattr(os, "set_inheritable", lambda *_: None)
    assert notify.received_fds() == {"table": 3, "vm-0-1": 4}
    assert notify.received_fds() == {}


def test_the_systemd_unit_keeps_what_a_restart_needs() -> None:
    unit = (Path(__file__).parents[2] / "systemd" / "drvs.service").read_text()
    for line in (
        "Type=notify", "RuntimeDirectory=drvs", "RuntimeDirectoryPreserve=restart", "FileDescriptorStoreMax=",
        "Environment=DRVS_STORE=systemd", "ExecStart=",
    ):  # fmt: skip
        assert line in unit


# ---- gc ----------------------------------------------------------------------------------------------------------


def test_gc_removes_what_a_dead_node_without_vms_left(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir / "node")
    with pytest.raises(Busy, match="drvs down"):
        gc.collect(runtime_dir / "node")
    running.kill()
    assert gc.collect(runtime_dir / "node", dry_run=True).removed
    collected = gc.collect(runtime_dir / "node")
    assert (collected.vms, collected.kept) == (0, False)
    assert not (runtime_dir / "node").exists()
    nodes.wait_gone(running.processes)
    assert gc.collect(runtime_dir / "node").removed == []


def test_gc_keeps_living_vms_unless_it_is_told_not_to(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        client.call("vm_init", name="lab")
        with client.call("bind", vmid=0) as reply:
            region = Region(reply.fds[0])
    running.kill()
    assert gc.collect(runtime_dir) == ([], 1, True)
    running.restart()
    assert launch.status(runtime_dir)["vms"][0]["name"] == "lab"
    running.kill()
    collected = gc.collect(runtime_dir, everything=True)
    assert (collected.vms, collected.kept) == (1, False)
    assert region.state == VM_ENDED
    nodes.wait_gone(running.processes)


def test_the_lock_tells_whether_a_node_runs(runtime_dir: Path) -> None:
    assert not runtime.is_running(str(runtime_dir))
    fd = runtime.lock(str(runtime_dir))
    assert runtime.is_running(str(runtime_dir))
    with pytest.raises(Busy):
        runtime.lock(str(runtime_dir))
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)
    assert not runtime.is_running(str(runtime_dir))


def test_children_of_a_killed_member_do_not_keep_it_bound(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, 3)
    child.wait_line("3")
    child.kill()
    client.call("wait4unbind", vmid=lab, endpoint=3, timeout_ms=20_000)
