"""Whoever dies in the middle, the dumped process runs on and nothing half-made is left."""

import ctypes
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from drvs.procspace import image
from drvs.procspace.image import calls, remote
from support import images, procfs
from support.children import PATIENCE_S

STEPS = ("ptrace", "set_signal_mask")


def dump_and_die(pid: int, path: Path, step: int, **options: bool) -> int:
    """Dump in a forked child that kills itself before its step-th touch of the process. Returns its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        left = [step]

        def counted(function: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object) -> object:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments)

            return call

        for name in STEPS:
            setattr(calls, name, counted(getattr(calls, name)))
        real = remote._core

        class Core:
            image_regset_get = staticmethod(real.image_regset_get)
            image_regset_set = staticmethod(counted(real.image_regset_set))

        class Os:
            pwrite = staticmethod(counted(os.pwrite))

            def __getattr__(self, name: str) -> object:
                return getattr(os, name)

        remote._core, remote.os = Core, Os()
        images.dumped(pid, path, **options)
        os._exit(0)
    except BaseException:
        os._exit(1)


def test_a_dumper_killed_at_any_step_leaves_the_process_running(counter: images.Program, tmp_path: Path) -> None:
    step, asked = 0, 0
    while True:
        status = dump_and_die(counter.pid, tmp_path / "image", step)
        asked += 1
        assert counter.ask() == str(asked), f"after a kill at step {step}"
        if not os.WIFSIGNALED(status):
            break
        step += 1
    assert status == 0, "the last dump, without a kill, failed"
    assert step > 60
    # It has removed what the killed ones left, but for those killed just before they could write into their mapping.
    found = [line.split()[0] for line in Path(f"/proc/{counter.pid}/maps").read_text().splitlines() if "rwxp" in line]
    sizes = [int(end, 16) - int(start, 16) for start, end in (line.split("-") for line in found)]
    assert sum(sizes) <= 8 * (4096 + 4 * 0x9000)
    with images.Restored(tmp_path / "image") as restored:
        assert restored.ask() == str(asked)


def test_a_dumper_killed_around_a_snapshot_leaves_neither_harm_nor_a_duplicate(
    counter: images.Program, tmp_path: Path
) -> None:
    step, asked = 0, 0
    while True:
        status = dump_and_die(counter.pid, tmp_path / "image", step, snapshot=True)
        asked += 1
        assert counter.ask() == str(asked), f"after a kill at step {step}"
        await_alone(counter.pid)
        if not os.WIFSIGNALED(status):
            break
        step += 1
    assert status == 0, "the last dump, without a kill, failed"
    assert step > 70
    with images.Restored(tmp_path / "image") as restored:
        assert restored.ask() == str(asked)


@pytest.mark.parametrize("kills", [40, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("snapshot", [False, True])
def test_a_dumper_killed_at_any_instant_leaves_the_process_running(
    counter: images.Program, tmp_path: Path, snapshot: bool, kills: int
) -> None:
    chosen, asked = random.Random(kills), 0
    for turn in range(kills):
        dumper = os.fork()
        if not dumper:
            while True:
                images.dumped(counter.pid, tmp_path / "image", snapshot=snapshot)
        instant = time.monotonic() + chosen.uniform(0, 0.012)
        while time.monotonic() < instant:
            os.sched_yield()
        os.kill(dumper, signal.SIGKILL)
        _, status = os.waitpid(dumper, 0)
        assert os.WIFSIGNALED(status), "the dumper failed before it was killed"
        asked += 1
        assert counter.ask() == str(asked), f"after kill {turn} of seed {kills}"
    await_alone(counter.pid)
    with images.Restored(images.dumped(counter.pid, tmp_path / "image", snapshot=snapshot)) as restored:
        assert restored.ask() == str(asked + 1)


def await_alone(pid: int) -> None:
    """Wait until no other process runs the program of this one, and it has no child."""
    deadline = time.monotonic() + PATIENCE_S
    while found := duplicates(pid):
        assert time.monotonic() < deadline, f"{found} are left"
        os.sched_yield()
    assert not Path(f"/proc/{pid}/task/{pid}/children").read_text()


def duplicates(pid: int) -> list[int]:
    """Return the other processes with the memory layout of this one."""
    auxv = Path(f"/proc/{pid}/auxv").read_bytes()
    return [other for other in map(int, filter(str.isdigit, os.listdir("/proc"))) if other != pid and like(other, auxv)]


def like(pid: int, auxv: bytes) -> bool:
    """Has the process this auxiliary vector, with its random addresses?"""
    try:
        return Path(f"/proc/{pid}/auxv").read_bytes() == auxv
    except OSError:
        return False


def test_a_dumper_killed_at_random_leaves_python_running(tmp_path: Path, nothing_left: None) -> None:
    chosen = random.Random(4)
    source = "import sys, threading, faulthandler\nfaulthandler.enable()\n"
    source += "for _ in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    source += "print('ready', flush=True)\nfor line in sys.stdin: print(line, end='', flush=True)"
    with images.python(source) as program:
        assert program.line() == "ready"
        for turn in range(25):
            dump_and_die(program.pid, tmp_path / "image", chosen.randrange(90))
            assert program.ask(str(turn)) == str(turn)
        images.dumped(program.pid, tmp_path / "image")
        assert program.ask("end") == "end"


def test_threads_that_come_and_go_do_not_matter(tmp_path: Path, nothing_left: None) -> None:
    source = (
        "import sys, threading\nrounds = [0]\n"
        "def churn():\n    while True:\n"
        "        threads = [threading.Thread(target=threading.Event().wait, args=(0.001,)) for _ in range(4)]\n"
        "        [t.start() for t in threads]; [t.join() for t in threads]; rounds[0] += 1\n"
        "threading.Thread(target=churn, daemon=True).start()\n"
        "print('ready', flush=True)\nfor line in sys.stdin: print(rounds[0], flush=True)"
    )
    with images.python(source) as program:
        assert program.line() == "ready"
        for _ in range(15):
            file = images.dumped(program.pid, tmp_path / "image")
        with images.Restored(file) as restored:
            before = int(restored.ask())
            while int(restored.ask()) < before + 3:
                pass


def test_signals_that_arrive_meanwhile_are_delivered_once(tmp_path: Path, nothing_left: None) -> None:
    source = (
        "import signal, sys\nseen = []\n"
        "signal.signal(signal.SIGRTMIN, lambda n, f: seen.append(n))\n"  # these queue: each one counts
        "print('ready', flush=True)\nfor line in sys.stdin: print(len(seen), flush=True)"
    )
    with images.python(source) as program:
        assert program.line() == "ready"
        sender = os.fork()
        if not sender:
            for _ in range(2000):
                os.kill(program.pid, signal.SIGRTMIN)
            os._exit(0)
        for _ in range(5):
            images.dumped(program.pid, tmp_path / "image")
        os.waitpid(sender, 0)
        # Python merges signals of one number that come before it runs the handler: some, and no more than were sent.
        assert 0 < int(program.ask()) <= 2000


@pytest.mark.parametrize("snapshot", [False, True], ids=["standing", "snapshot"])
def test_numbered_signals_that_arrive_meanwhile_come_once_and_in_order(
    programs: dict[str, Path], tmp_path: Path, nothing_left: None, snapshot: bool
) -> None:
    count = 3000
    with images.Program([programs["numbers"]]) as program:
        assert program.line() == "ready"
        sender = os.fork()
        if not sender:
            send_numbers(program.pid, count)
        while os.waitpid(sender, os.WNOHANG) == (0, 0):
            file = images.dumped(program.pid, tmp_path / "image", snapshot=snapshot)
        assert program.ask() == f"{count} 0"
    with images.Restored(file) as restored:  # which goes on with the number it has to get next
        seen, mistakes = restored.ask().split()
        assert 0 <= int(seen) <= count
        assert mistakes == "0"


def test_the_end_of_a_child_during_its_dump_is_left_to_its_waiter(programs: dict[str, Path], tmp_path: Path) -> None:
    chosen = random.Random(7)
    for _ in range(20):
        with images.Program([programs["answer"]]) as program:
            assert program.line() == "ready"
            killer = os.fork()
            if not killer:
                instant = time.monotonic() + chosen.uniform(0, 0.004)
                while time.monotonic() < instant:
                    os.sched_yield()
                os.kill(program.pid, signal.SIGTERM)
                os._exit(0)
            chosen.random()
            refusal = refusal_of(program.pid, tmp_path / "image")
            assert "ended" in refusal or "ending" in refusal or not refusal
            os.waitpid(killer, 0)
            assert os.waitstatus_to_exitcode(os.waitpid(program.pid, 0)[1]) == -signal.SIGTERM


def refusal_of(pid: int, path: Path, **options: bool) -> str:
    """Dump a process; returns why it was refused, if it was."""
    try:
        images.dumped(pid, path, **options)
    except image.Refused as refusal:
        return str(refusal)
    return ""


def send_numbers(pid: int, count: int) -> NoReturn:
    """Queue numbered signals; a full queue is waited for."""
    libc = ctypes.CDLL(None)
    number = 0
    while number < count:
        if libc.sigqueue(pid, signal.SIGRTMIN + 1, ctypes.c_void_p(number)) == 0:
            number += 1
        if number % 10 == 0:
            os.sched_yield()
    os._exit(0)


@pytest.mark.parametrize("snapshot", [False, True], ids=["standing", "snapshot"])
@pytest.mark.parametrize("words", [[], ["fork"]], ids=["vforks", "forks"])
def test_a_program_that_forks_all_the_time_survives_being_dumped(
    programs: dict[str, Path], tmp_path: Path, nothing_left: None, snapshot: bool, words: list[str]
) -> None:
    made = 0
    with images.Program([programs["vforker"], *words], start_new_session=True) as program:
        assert program.line() == "ready"
        before = int(program.line())
        for _ in range(120):
            refusal = refusal_of(program.pid, tmp_path / "image", snapshot=snapshot)
            assert "children" in refusal or "does not stop" in refusal or not refusal
            if not refusal:
                (tmp_path / "image").rename(tmp_path / "last")
                made += 1
        while int(program.line()) < before + 500:
            pass
        assert program.process.poll() is None
        os.killpg(program.pid, signal.SIGKILL)
    if made:  # between two children
        with images.Restored(tmp_path / "last") as restored:
            assert int(restored.line()) < int(restored.line())


def test_a_restorer_that_dies_leaves_no_half_made_process(counter: images.Program, tmp_path: Path) -> None:
    data = images.dumped(counter.pid, tmp_path / "image").read_bytes()
    reader, writer = os.pipe()
    restorer = os.fork()
    if not restorer:
        os.close(writer)
        image.restore(reader)
        os._exit(0)
    os.close(reader)
    os.write(writer, data[: len(data) - 30])  # its end never comes
    while not (made := procfs.descendants(restorer)):
        os.sched_yield()
    pidfd = os.pidfd_open(made.pop())
    os.kill(restorer, signal.SIGKILL)
    os.waitpid(restorer, 0)
    import select

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    assert poller.poll(10_000), "the unfinished process lives on"
    os.close(pidfd)
    os.close(writer)


@pytest.mark.parametrize("cut", [1, 24, 25, 4096 + 24])
def test_a_truncated_image_makes_no_process(counter: images.Program, tmp_path: Path, cut: int) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    os.truncate(file, file.stat().st_size - cut)
    with file.open("rb") as stream, pytest.raises(image.BadImage, match="too early"):
        image.restore(stream.fileno())


def test_a_flipped_bit_among_the_pages_makes_no_process(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    data = bytearray(file.read_bytes())
    data[-5000] ^= 16
    file.write_bytes(data)
    with file.open("rb") as stream, pytest.raises(image.BadImage, match="checksum"):
        image.restore(stream.fileno())


def test_a_full_disk_is_an_error_and_the_process_runs_on(counter: images.Program) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space"):
        image.dump(counter.pid, full)
    os.close(full)
    assert counter.ask() == "1"


def test_a_reader_that_goes_away_is_an_error_and_the_process_runs_on(counter: images.Program) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        image.dump(counter.pid, writer)
    os.close(writer)
    assert counter.ask() == "1"
