"""Whatever the dumped process does meanwhile, nothing of it is held when a dump has returned."""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from drvs.procspace import image
from drvs.procspace.image import tracer, tracing
from support import images
from support.children import PATIENCE_S

# What is refused before anything is touched.
BEFORE = ("has no first thread now", "has no program now", "is not yours to look at", "has another root", "no process")


def held(pid: int) -> list[str]:
    """Return the threads of a process that somebody traces, and what they do."""
    found = []
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(OSError):
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if fields.get("TracerPid", "0") != "0":
                found.append(f"{fields['Pid']} {fields['State']}")
    return found


def turn(pid: int) -> int:
    """Return which turn a program that executes itself is at; -1 if that cannot be told just now."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[3])
    return -1


def await_another_turn(pid: int) -> None:
    """It is stopped by nobody, then."""
    deadline, before = time.monotonic() + PATIENCE_S, turn(pid)
    while turn(pid) in (before, -1):
        assert time.monotonic() < deadline, Path(f"/proc/{pid}/status").read_text()
        os.sched_yield()


@pytest.mark.parametrize("count", [40, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("snapshot", [False, True], ids=["standing", "snapshot"])
@pytest.mark.parametrize(
    ("threads", "nap_us"),
    [(0, 0), (1, 0), (5, 0), (5, 3000)],
    ids=["the first thread", "another thread", "the last of six", "the last of six, now and then"],
)
def test_a_program_that_executes_itself_all_the_time_is_let_go_of(
    programs: dict[str, Path], nothing_left: None, threads: int, nap_us: int, snapshot: bool, count: int
) -> None:
    touched = 0
    with images.Program([programs["execer"], str(threads), str(nap_us)]) as program, scratch() as fd:
        assert program.line() == "ready"
        deadline = time.monotonic() + PATIENCE_S
        while touched < count and (time.monotonic() < deadline or count > 1000):
            os.lseek(fd, 0, os.SEEK_SET)
            refusal = refusal_of(program.pid, fd, snapshot=snapshot)
            touched += not any(words in refusal for words in BEFORE)
            assert not held(program.pid), refusal
        assert program.process.poll() is None
        await_another_turn(program.pid)
    assert touched


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only a second for a thread to stop."""
    monkeypatch.setattr(tracer, "PATIENCE_S", 0.1)


def test_a_thread_that_nothing_reaches_goes_on_when_it_can(
    programs: dict[str, Path], nothing_left: None, impatient: None
) -> None:
    with images.Program([programs["unreachable"]]) as program, scratch() as fd:
        assert program.line() == "ready"
        await_state(program.pid, "D")
        assert f"thread {program.pid} does not stop" in refusal_of(program.pid, fd)
        assert not held(program.pid)
        assert program.ask() == "reached"  # the dumper, which is this test, still lives
        assert program.ask("well") == "well"


def await_state(pid: int, letter: str) -> None:
    """Wait until the first thread of a process is in this state."""
    deadline = time.monotonic() + PATIENCE_S
    while f"State:\t{letter}" not in (status := Path(f"/proc/{pid}/status").read_text()):
        assert time.monotonic() < deadline, status
        os.sched_yield()


def test_a_child_that_is_to_end_does_so_at_once(counter: images.Program) -> None:
    """It is dead when it is let go of, and left to who waits for it: nothing is waited for here."""
    began = time.monotonic()
    with scratch() as fd:
        image.dump(counter.pid, fd, stop=True)
    assert time.monotonic() - began < 0.9
    assert os.waitstatus_to_exitcode(os.waitpid(counter.pid, 0)[1]) == -signal.SIGKILL


class Enough(Exception):
    """What a signal handler raises."""


@pytest.fixture
def raised() -> Iterator[list[int]]:
    """A handler of SIGUSR1 raises, twice at most, and notes it here."""
    numbers: list[int] = []

    def enough(number: int, _frame: object) -> None:
        if len(numbers) < 2:
            numbers.append(number)
            raise Enough

    before = signal.signal(signal.SIGUSR1, enough)
    yield numbers
    signal.signal(signal.SIGUSR1, before)


def test_what_a_signal_handler_raises_breaks_a_dump_off(counter: images.Program, raised: list[int]) -> None:
    def wait_for_ever(_done: int, _total: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        while True:
            os.sched_yield()

    threads = os.listdir("/proc/self/task")
    with scratch() as fd, pytest.raises(Enough):
        image.dump(counter.pid, fd, progress=wait_for_ever)
    assert not held(counter.pid)
    assert counter.ask() == "1"
    assert os.listdir("/proc/self/task") == threads


def test_who_waits_for_a_reader_in_vain_can_be_broken_off(counter: images.Program, raised: list[int]) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    over = threading.Event()
    killer = threading.Thread(target=kill_until, args=(over, writer))
    killer.start()
    try:
        with pytest.raises(Enough):
            image.dump(counter.pid, writer)
    finally:
        over.set()
        os.close(reader)  # which ends the write, and with that the hold
        os.close(writer)
    killer.join()
    assert counter.ask() == "1"
    assert len(raised) == 2, "after one signal it waits for the end of the write"


def kill_until(over: threading.Event, writer: int) -> None:
    """Wait until a thread of this process hangs in its write to a pipe, and send this process signals."""
    calls = Path("/proc/self/task")
    while not any(file.read_text().startswith(f"1 {writer:#x} ") for file in calls.glob("*/syscall")):
        if over.wait(0.001):
            return
    while not over.wait(0.01):
        os.kill(os.getpid(), signal.SIGUSR1)


def test_what_the_work_raises_is_raised_and_its_thread_is_gone() -> None:
    def fail() -> None:
        raise Enough

    threads = os.listdir("/proc/self/task")
    with pytest.raises(Enough):
        tracing.trace(fail, lambda: None)
    assert os.listdir("/proc/self/task") == threads


def refusal_of(pid: int, fd: int, **options: bool) -> str:
    """Dump a process; returns why it was refused, if it was."""
    try:
        image.dump(pid, fd, **options)
    except image.Refused as refusal:
        return str(refusal)
    return ""


@contextmanager
def scratch() -> Iterator[int]:
    """A file in memory."""
    fd = os.memfd_create("scratch", os.MFD_CLOEXEC)
    yield fd
    os.close(fd)
