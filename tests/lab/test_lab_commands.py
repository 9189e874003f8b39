"""`drvs lab` as somebody types it: what it says, what it gives as JSON, its exit statuses, Ctrl-C."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drvs.lab import kernel, place
from support import labs, nodes, procfs

NOTHING = "/nonexistent/drvs-test-without-a-node"


@pytest.fixture(autouse=True)
def _folder_of_labs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Labs of this test live apart, and none is left."""
    monkeypatch.setenv("DRVS_LAB_DIR", str(tmp_path))
    before = labs.Traces()
    yield
    nodes.drvs("lab", "down", "--all", runtime_dir=NOTHING)
    assert list(tmp_path.iterdir()) == []
    assert not labs.Traces().since(before)


def run(*arguments: str, status: int = 0, **environment: str) -> str:
    """Run `drvs lab …`, expect an exit status, return what it printed."""
    done = nodes.drvs("lab", *arguments, runtime_dir=NOTHING, **environment)
    assert done.returncode == status, f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if status == 0 else done.stdout + done.stderr


def shown() -> dict[str, Any]:
    """What `drvs lab status --json` shows."""
    done = nodes.drvs("lab", "status", "--json", runtime_dir=NOTHING)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_day_in_the_life_of_a_lab() -> None:
    said = run("up", "3")
    assert "Lab 'lab' is up: 3 nodes" in said
    assert "drvs lab down" in said
    assert "0 - 1   whole" in run("status")
    assert [row["state"] for row in shown()["nodes"]] == ["up"] * 3
    assert "node           1" in run("run", "1", "--", "drvs", "status")
    assert run("sh", "node2", "--", "sh", "-c", "echo $DRVS_NODE; exit 3", status=3) == "2\n"
    commands = [row["command"] for row in json.loads(run("ps", "--json")) if row["node"] == 1]
    assert any("drvs.daemon" in command for command in commands)

    run("cut", "0", "1")
    run("slow", "1", "2", "--delay", "20", "--loss", "5")
    text = run("status")
    assert "cut" in text
    assert "20 ms slow, loses 5 %" in text
    run("heal")
    assert "cut" not in run("status")

    assert "restart 2" in run("kill", "2")
    assert "killed" in run("status", status=1)
    assert "node 2 is killed" in run("run", "2", "true", status=1)
    run("restart", "2")
    assert run("log", "2").count("is initialised") == 2
    assert run("down") == "Lab 'lab' has ended.\n"


def test_several_labs_are_told_apart_by_name() -> None:
    assert "-n one" in run("up", "1", "--name", "one", "--loopback")
    assert json.loads(run("up", "1", "-n", "two", "--loopback", "--json"))["lab"] == "two"
    assert place.names() == ["one", "two"]
    assert "one, two" in run("status", status=3)
    assert "there already" in run("up", "1", "-n", "one", status=6)
    assert "no node '1'" in run("run", "-n", "one", "1", "--", "true", status=5)
    assert "ended" in run("down", DRVS_LAB="one")
    run("down", "--all")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("status",), 3, "there is no lab 'lab'"),
        (("down",), 3, "there is no lab 'lab'"),
        (("cut", "0", "1"), 3, "drvs lab up"),
        (("up", "0"), 1, "1 to"),
        (("up", "three"), 2, "integer"),
        (("up", "2", "--transport", "pigeon"), 1, "tcp, udp"),
        (("up", "2", "-n", "no/name"), 1, "letters"),
        (("slow", "0", "1"), 2, "--delay 20"),
        (("slow", "0", "1", "--loss", "101"), 2, "--loss"),
    ],
)
def test_what_cannot_be_done_names_its_reason(arguments: tuple[str, ...], status: int, words: str) -> None:
    text = run(*arguments, status=status)
    assert words in text
    assert "Traceback" not in text


def test_wrong_links_and_nodes_of_a_running_lab_are_refused() -> None:
    run("up", "2", "--loopback")
    assert "no link to itself" in run("cut", "1", "1", status=1)
    assert "nodes of lab 'lab' are 0 to 1" in run("cut", "0", "2", status=5)
    assert "two ends" in run("heal", "0", status=2)
    assert "Cut its links first" in run("kill", "1", "--unplug", status=1)


def test_a_dead_lab_is_named_as_such_and_cleared_away_by_the_next_up() -> None:
    run("up", "2")
    everything = procfs.descendants(shown()["supervisor"])
    os.kill(shown()["supervisor"], signal.SIGKILL)
    nodes.wait_gone(everything)
    assert "drvs lab down" in run("status", status=3)
    assert "is up" in run("up", "2")


def test_ctrl_c_while_it_comes_up_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "drvs.cli", "lab", "up", "3"]
    starting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    while not list(tmp_path.glob("lab/*/console.log")):  # its first node is being made
        assert starting.poll() is None
    os.killpg(starting.pid, signal.SIGINT)
    said, _ = starting.communicate(timeout=nodes.PATIENCE_S)
    assert starting.returncode == 130, said
    assert list(tmp_path.iterdir()) == []


def test_a_shell_has_the_terminal() -> None:
    run("up", "1")
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable, [sys.executable, "-m", "drvs.cli", "lab", "sh", "0"], {**os.environ, "SHELL": "/bin/sh"}
        )
    with open(fd, "r+b", buffering=0) as terminal:
        terminal.write(b"tty; echo node=$DRVS_NODE; exit 4\n")
        seen = b""
        try:
            while chunk := terminal.read(4096):
                seen += chunk
        except OSError:  # the other side is closed
            pass
        assert b"This is node 0 of lab 'lab'" in seen
        assert b"node=0" in seen
        assert b"not a tty" not in seen
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4


def test_namespaces_are_what_root_gets() -> None:
    found = json.loads(run("up", "1", "--json"))
    assert found["namespaces"] == (not kernel.namespaces_allowed())
