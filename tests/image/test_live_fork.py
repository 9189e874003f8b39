"""Copies of a process that goes on: it notices a pause of some milliseconds, and nothing else."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from drvs.procspace import image
from drvs.procspace.image.live import template_of
from support import images
from support.children import LineReader


def answers(pid: int, line: LineReader) -> str:
    """Wait for the next line of a copy, and for its end."""
    said = line.next_line(30)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    return str(said)


def copies_of(pid: int, n: int) -> list[str]:
    """Fork copies of a program that counts lines, let each answer one, and end it."""
    found = []
    with template_of(pid) as (template, done):
        assert 0 < done.paused_s < 5
        for rank in range(n):
            asked, ask = os.pipe()
            told, tell = os.pipe()
            copy = template.copy(rank, n, streams=(asked, tell, 2))
            os.close(asked)
            os.close(tell)
            os.write(ask, b"\n")
            os.close(ask)
            found.append(answers(copy, LineReader(told)))
            os.close(told)
    return found


def test_copies_of_a_running_process_begin_where_it_was(counter: images.Program) -> None:
    assert counter.ask() == "1"
    assert copies_of(counter.pid, 3) == ["2", "2", "2"]
    assert counter.ask() == "2"
    assert not Path(f"/proc/{counter.pid}/task/{counter.pid}/children").read_text()


def test_a_caller_with_threads_leaves_the_dump_to_a_fresh_interpreter(counter: images.Program) -> None:
    rest = threading.Event()
    thread = threading.Thread(target=rest.wait)
    thread.start()
    try:
        assert copies_of(counter.pid, 1) == ["1"]
    finally:
        rest.set()
        thread.join()


def test_a_dump_in_a_process_of_its_own_is_a_dump(counter: images.Program, tmp_path: Path) -> None:
    with (tmp_path / "image").open("w+b") as file:
        os.fchmod(file.fileno(), 0o600)
        assert image.dump_apart(counter.pid, file.fileno()).threads == 4
    with images.Restored(tmp_path / "image") as restored:
        assert restored.ask() == counter.ask() == "1"
    with pytest.raises(image.Refused, match="no process"):
        image.dump_apart(2**22 - 1, 1)


def test_what_a_dump_refuses_a_fork_refuses_by_the_same_name(tmp_path: Path, nothing_left: None) -> None:
    with images.python(
        "import socket, sys\ns = socket.socket()\nprint('ready', flush=True)\nsys.stdin.read()"
    ) as program:
        assert program.line() == "ready"
        with pytest.raises(image.Refused, match="AF_INET"):
            image.fork(program.pid, 2)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command_states_the_pause_and_runs_the_copies(counter: images.Program, arguments: list[str]) -> None:
    command = [Path(sys.executable).with_name("drvs"), "image", "fork", str(counter.pid), "-n", "2", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert f"process {counter.pid} stood still for " in done.stderr
    assert done.returncode == 7  # what the copies return at the end of their input
    assert counter.ask() == "1"


def test_a_killed_fork_leaves_the_process_alone(counter: images.Program) -> None:
    for turn in range(10):
        child = os.fork()
        if not child:
            while True:
                for pid in image.fork(counter.pid, 1):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        assert counter.ask() == str(turn + 1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert copies_of(counter.pid, 1) == ["11"]
