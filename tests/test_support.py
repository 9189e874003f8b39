"""The support code itself: children that talk, fail, hang and die; the watchdog; leak checks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support import children, leaks, nodes, procfs, users, watchdog


def test_a_forked_child_talks_and_returns_a_result() -> None:
    def double(me: children.Me, factor: int) -> int:
        me.say("ready")
        return factor * int(me.hear())

    child = children.spawn(double, 2)
    child.wait_line("ready")
    child.tell(21)
    assert child.result() == 42


def test_a_fresh_interpreter_runs_source_text() -> None:
    child = children.spawn("import os\nme.say(os.getpid())\nresult = args[0] + 1", 4)
    assert int(child.wait_line()) == child.pid
    assert child.result() == 5


def test_a_child_that_raises_shows_its_traceback() -> None:
    def fail(me: children.Me) -> None:
        raise ValueError("on purpose")

    with pytest.raises(children.ChildFailed, match="on purpose"):
        children.spawn(fail).result()


def test_a_killed_child_is_reported_with_its_signal() -> None:
    child = children.spawn(lambda me: signal.pause())
    assert child.kill() == -signal.SIGKILL
    with pytest.raises(children.ChildFailed, match="died with status -9"):
        child.result()


def test_a_hanging_child_is_reported_with_its_python_stack() -> None:
    def hang_here(me: children.Me) -> None:
        signal.pause()

    with pytest.raises(children.ChildFailed, match="hang_here"):
        children.spawn(hang_here).result(timeout=0.3)


def test_a_stopped_child_stands_still_and_goes_on() -> None:
    child = children.spawn(lambda me: me.hear())
    child.stop()
    assert procfs.state_and_parent(child.pid)[0] == "T"
    child.tell("go")
    child.resume()
    assert child.result() == "go"


@pytest.mark.root
def test_as_nobody_runs_with_the_rights_of_an_ordinary_user() -> None:
    seen = users.as_nobody(lambda: (os.geteuid(), os.getgroups(), os.access("/etc/shadow", os.R_OK)))
    assert seen == (users.NOBODY, [], False)


def test_the_watchdog_ends_a_test_that_hangs_and_prints_where(tmp_path: Path) -> None:
    child = children.spawn(lambda me: signal.pause())
    with open(tmp_path / "report", "w+") as out:
        with pytest.raises(watchdog.Hang), watchdog.watched("a hanging test", 0.2, out.fileno()):
            signal.pause()
        out.seek(0)
        report = out.read()
    assert "a hanging test still runs" in report
    assert f"child {child.pid}" in report
    assert "test_the_watchdog_ends" in report


def test_leaks_are_found() -> None:
    before = leaks.Holdings()
    memfd = os.memfd_create("left-behind")
    child = children.spawn(lambda me: me.hear())
    left = "\n".join(leaks.left_since(before))
    assert "left-behind" in left
    assert f"process {child.pid}" in left
    os.close(memfd)
    child.close()
    children.live.remove(child)
    assert leaks.left_since(before) == []


def test_a_node_starts_serves_is_killed_restarted_and_leaves_nothing(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir)
    first = running.noded_pid
    running.kill()
    running.restart()
    assert running.noded_pid != first
    running.stop()
    assert not [pid for pid in running.processes if procfs.state_and_parent(pid)[0]]


@pytest.mark.root
def test_as_nobody_can_import_and_start_python_wherever_it_lies() -> None:
    def start_python() -> str:
        import fractions  # noqa: F401 - any module that nobody has imported yet

        command = [sys.executable, "-c", "import os, drvs; print(os.geteuid(), drvs.__version__)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert users.as_nobody(start_python).startswith(f"{users.NOBODY} ")
