"""The commands against a real node: starting, stopping, VMs, processes, waits, dumps, collecting, the doctor."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import drvs as api
from drvs.cli import main
from support import children, nodes, procfs, users
from support.nodes import RunningNode

BIND_AND_WAIT = """
import drvs
endpoint = drvs.connect().vm("lab").bind(**args[0])
me.say(endpoint.endpoint)
me.hear()
call, peer = args[1:]
try:
    if call == "hear":
        me.hear()
    elif call == "receive":
        endpoint.receive(peer)
    else:
        endpoint.sendrec(peer, drvs.Message(1))
except drvs.DrvsError as error:
    me.say(error.code.canonical)
"""


def run(node: RunningNode, *arguments: str, status: int = 0) -> str:
    """Run `drvs` on the node, expect an exit status, return what it printed."""
    done = nodes.drvs(*arguments, runtime_dir=node.runtime_dir)
    assert done.returncode == status, f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if status == 0 or done.stdout else done.stderr


def up(runtime_dir: Path, *arguments: str) -> RunningNode:
    """Start a node with the command line."""
    before = procfs.descendants(os.getpid())
    done = nodes.drvs("up", *arguments, runtime_dir=runtime_dir)
    assert done.returncode == 0, done.stderr
    return RunningNode(runtime_dir, procfs.descendants(os.getpid()) - before)


def listed(node: RunningNode, *arguments: str, status: int = 0) -> list[dict[str, object]]:
    """Run a listing with --json and return its rows."""
    rows: list[dict[str, object]] = json.loads(run(node, *arguments, "--json", status=status))
    return rows


def bind_and(call: str, peer: int = 0, **binding: object) -> children.Child:
    """Start a process that binds in VM lab and, when told to go, blocks in a call; returns when it is bound."""
    child = children.spawn(BIND_AND_WAIT, binding, call, peer)
    child.wait_line()
    return child


# ---- the node ----


def test_a_second_start_is_refused_and_says_who_is_there(node: RunningNode) -> None:
    text = run(node, "up", status=6)
    assert f"noded is process {node.noded_pid}" in text
    assert "drvs status" in text


def test_status_shows_the_node_its_vms_and_limits(node: RunningNode) -> None:
    run(node, "vm", "create", "lab")
    text = run(node, "status")
    for words in (f"process {node.noded_pid}", str(node.runtime_dir), "lab"):
        assert words in text
    found = json.loads(run(node, "status", "--json"))
    assert (found["node"], found["initialised"], [vm["name"] for vm in found["vms"]]) == (0, True, ["lab"])
    limits = run(node, "status", "--limits")
    assert "copy_len_max" in limits
    assert "524,288" in limits


def test_up_takes_limits_and_a_number_and_can_leave_the_init_to_a_program(
    runtime_dir: Path, nothing_left: None
) -> None:
    running = up(runtime_dir, "--node", "3", "--procs", "500", "--vms", "2")
    with api.connect(runtime_dir) as connection:
        info = connection.info()
    assert (info.node, info.nr_procs, info.nr_vms) == (3, 500, 2)
    run(running, "down")
    nodes.wait_gone(running.processes)
    running = up(runtime_dir, "--no-init")
    assert json.loads(run(running, "status", "--json"))["initialised"] is False
    assert "DRVSINIT" in run(running, "vm", "list", status=3)
    running.stop()


def test_down_with_keep_leaves_the_vms_to_the_next_noded(node: RunningNode) -> None:
    run(node, "vm", "create", "lab")
    run(node, "down", "--keep")
    assert "1 VMs live on" in run(node, "gc")
    node.processes |= up(node.runtime_dir).processes
    assert [vm["name"] for vm in listed(node, "vm", "list")] == ["lab"]


def test_gc_removes_what_a_killed_node_left(runtime_dir: Path) -> None:
    running = nodes.start(runtime_dir)
    run(running, "vm", "create", "lab")
    assert run(running, "gc", status=6)
    running.kill()
    assert "would remove" in run(running, "gc", "--all", "--dry-run")
    found = json.loads(run(running, "gc", "--all", "--json"))
    assert found["vms"] == 1
    assert found["removed"]
    assert run(running, "gc") == "Nothing was left behind.\n"
    nodes.wait_gone(running.processes)


# ---- VMs ----


def test_vms_are_made_shown_and_ended(node: RunningNode) -> None:
    assert "VM 0 'lab' is ready" in run(node, "vm", "create", "lab", "--procs", "60")
    run(node, "vm", "create", "other", "--id", "7")
    rows = listed(node, "vm", "list")
    assert [(row["vmid"], row["name"], row["nr_procs"]) for row in rows] == [(0, "lab", 60), (7, "other", 189)]
    assert json.loads(run(node, "vm", "show", "7", "--json"))["name"] == "other"
    run(node, "vm", "end", "lab")
    run(node, "vm", "end", "7")
    assert listed(node, "vm", "list") == []
    assert "drvs vm create" in run(node, "vm", "list")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("vm", "create", "lab"), 6, "EXIST"),
        (("vm", "create", "a-name-of-16-byte"), 1, "15"),
        (("vm", "create", "big", "--procs", "5000"), 1, "nr_procs"),
        (("vm", "show", "nobody"), 5, "running: lab"),
        (("vm", "end", "9"), 5, "VMNOTRUN"),
        (("ps", "--vm", "nobody"), 5, "drvs vm list"),
        (("dump", "proc", "nobody"), 5, "VMNOTRUN"),
        (("run", "--vm", "nobody", "--", "true"), 5, "VMNOTRUN"),
        (("run", "--vm", "lab", "--slot", "9999", "--", "true"), 1, "9999"),
    ],
)
def test_what_cannot_be_done_names_its_reason(
    node: RunningNode, arguments: tuple[str, ...], status: int, words: str
) -> None:
    run(node, "vm", "create", "lab")
    text = run(node, *arguments, status=status)
    assert text.startswith("drvs: ")
    assert words in text
    assert "\n  next: " in text
    assert "Traceback" not in text


@pytest.mark.root
def test_a_stranger_is_told_that_he_may_not(node: RunningNode) -> None:
    for _ in range(2):  # once well, once refused: all that a refusal needs is imported then
        _in_this_process("vm", "create", "lab")
    status, text = users.as_nobody(_in_this_process, "vm", "create", "mine")
    assert status == 4
    assert text.startswith("drvs: ")
    assert "root" in text


def _in_this_process(*arguments: str) -> tuple[object, str]:
    """Run the command line without a new interpreter, which another user might not be able to start."""
    told = io.StringIO()
    sys.argv = ["drvs", *arguments]
    with contextlib.redirect_stderr(told), pytest.raises(SystemExit) as left:
        main.main()
    return left.value.code, told.getvalue()


# ---- processes ----


def test_ps_shows_who_is_bound_and_what_they_do(node: RunningNode) -> None:
    run(node, "vm", "create", "lab")
    assert "drvs run" in run(node, "ps")
    server = bind_and("hear", slot=5, name="server")
    caller = bind_and("sendrec", 5, slot=6)
    caller.tell("go")
    _until(node, {5: "running", 6: "calling"})
    rows = {row["slot"]: row for row in listed(node, "ps", "--vm", "lab")}
    assert (rows[5]["name"], rows[5]["pid"], rows[5]["vm"]) == ("server", server.pid, "lab")
    assert rows[6]["pid"] == caller.pid
    assert "server" in run(node, "ps")


def _until(node: RunningNode, states: dict[int, str]) -> None:
    """Wait until the processes in these slots of VM lab are in these states."""
    from drvs.cli.ps import state_of

    deadline, found = time.monotonic() + 20, {}
    with api.connect(node.runtime_dir) as connection:
        while time.monotonic() < deadline:
            found = {int(process.p_nr): state_of(process) for process in connection.vm("lab").processes()}
            if all(found.get(slot) == state for slot, state in states.items()):
                return
    raise AssertionError(f"wanted {states}, found {found}")


def test_waits_name_who_waits_on_whom_and_circles_fail(node: RunningNode) -> None:
    run(node, "vm", "create", "lab")
    assert "nobody waits" in run(node, "ps", "--waits")
    for child in (bind_and("receive", 6, slot=5, name="left"), bind_and("receive", 5, slot=6, name="right")):
        child.tell("go")
    _until(node, {5: "receiving", 6: "receiving"})
    text = run(node, "ps", "--waits", status=1)
    assert "circle: 5 (left) -> 6 (right) -> 5 (left)" in text
    (view,) = listed(node, "ps", "--waits", status=1)
    assert view["cycles"] == [[5, 6]]
    assert [wait["on"] for wait in view["waits"]] == [6, 5]  # type: ignore[attr-defined]


def test_dumps_have_the_columns_of_the_guide(node: RunningNode) -> None:
    run(node, "vm", "create", "lab")
    bind_and("receive", 31438, slot=5, name="server").tell("go")
    _until(node, {5: "receiving"})
    assert run(node, "dump", "vm").split() == ["VMID", "FLAGS", "NAME", "0", "0", "lab"]
    head, row = run(node, "dump", "proc", "lab").splitlines()
    assert head.split() == ["VMID", "NR", "ENDP", "LPID", "NODE", "FLAGS", "GETF", "SNDT", "WITM"]
    assert row.split()[:3] == ["0", "5", "5"]


# ---- the doctor ----


def test_the_doctor_finds_a_sound_node_well(node: RunningNode) -> None:
    run(node, "vm", "create", "lab")
    found = {row["what"]: row for row in listed(node, "doctor")}
    assert found["noded"]["level"] == "ok"
    assert found["VM 0 'lab'"]["text"] == "all invariants hold (0 bound)"
    assert "kernel" in run(node, "doctor")


def test_the_doctor_without_a_node_says_how_to_start_one() -> None:
    done = nodes.drvs("doctor", runtime_dir="/nonexistent/drvs")
    assert "drvs up" in done.stdout


def test_the_doctor_refuses_words_that_mean_nothing(runtime_dir: Path) -> None:
    done = nodes.drvs("doctor", "--json", runtime_dir=runtime_dir, DRVS_DISABLE="pidfd_thread,nonsense")
    levels = {row["what"]: row["level"] for row in json.loads(done.stdout)}
    assert done.returncode == 1
    assert (levels["DRVS_DISABLE"], levels["pidfd_thread"]) == ("fail", "warn")


@pytest.mark.root
def test_the_doctor_sees_a_directory_that_others_may_write(runtime_dir: Path) -> None:
    runtime_dir.chmod(0o777)
    done = nodes.drvs("doctor", runtime_dir=runtime_dir)
    assert done.returncode == 1
    assert "chmod go-w" in done.stdout


def test_status_and_doctor_name_a_stopped_process_that_holds_a_lock(node: RunningNode) -> None:
    """The lock word is written by hand: it names a process that is stopped."""
    run(node, "vm", "create", "lab")
    child = children.spawn(STOPPED_HOLDER)
    child.wait_line("holds")
    child.send_signal(signal.SIGSTOP)
    for _ in range(200):
        if json.loads(nodes.drvs("status", "--json", runtime_dir=node.runtime_dir).stdout)["holders"]:
            break
    else:
        raise AssertionError("noded never noticed the stopped holder")
    assert f"process {child.pid}" in run(node, "status", status=1)
    assert f"kill -CONT {child.pid}" in run(node, "doctor", status=1)
    child.send_signal(signal.SIGCONT)
    child.tell("let go")
    child.wait()


STOPPED_HOLDER = """
import ctypes, mmap, os, re
import drvs
endpoint = drvs.connect().vm("lab").bind()
maps = [line for line in open("/proc/self/maps") if "memfd:" in line and "rw-s" in line and "drvs-block" not in line]
lock = ctypes.c_uint32.from_address(int(maps[0].partition("-")[0], 16))
lock.value = os.getpid()
me.say("holds")
me.hear()
lock.value = 0
"""


# ---- in the foreground ----


def test_foreground_becomes_noded_and_ends_in_order_on_sigterm(runtime_dir: Path, nothing_left: None) -> None:
    environment = {**os.environ, "DRVS_RUNTIME_DIR": str(runtime_dir)}
    command = [sys.executable, "-m", "drvs.cli", "up", "--foreground"]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline, answered = time.monotonic() + 20, False
    while not answered and time.monotonic() < deadline:
        answered = nodes.drvs("status", runtime_dir=runtime_dir).returncode == 0
    assert answered
    with api.connect(runtime_dir) as connection:
        assert connection.client.call("hello")["pid"] == running.pid
    running.terminate()
    assert running.wait(20) == 0
    assert nodes.drvs("status", runtime_dir=runtime_dir).returncode == 3
