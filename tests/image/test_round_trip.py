"""A program goes on where it was: with its registers, memory, threads, signals and open files; and so does the
original."""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from drvs.procspace import image
from support import images


def test_original_and_restored_program_go_on(counter: images.Program, tmp_path: Path) -> None:
    assert counter.ask() == "1"
    file = images.dumped(counter.pid, tmp_path / "image")
    assert counter.ask() == "2"
    with images.Restored(file) as restored:
        assert restored.ask() == "2"
        assert restored.ask() == "3"
        assert counter.ask() == "3"


def test_a_snapshot_is_as_good_as_a_dump_and_leaves_nothing(counter: images.Program, tmp_path: Path) -> None:
    maps = Path(f"/proc/{counter.pid}/maps")
    before = maps.read_text()
    file = images.dumped(counter.pid, tmp_path / "image", snapshot=True)
    assert maps.read_text() == before
    assert not Path(f"/proc/{counter.pid}/task/{counter.pid}/children").read_text()
    assert counter.ask() == "1"
    with images.Restored(file) as restored:
        assert restored.ask() == "1"
        again = images.dumped(restored.real_pid, tmp_path / "again", snapshot=True)
        assert restored.ask() == "2"
    with images.Restored(again) as restored:
        assert restored.ask() == "2"


def test_a_snapshot_holds_what_waits_in_descriptors_at_that_moment(tmp_path: Path, nothing_left: None) -> None:
    source = "import os, sys\nr, w = os.pipe(); os.write(w, b'waits'); print('ready', flush=True)\n"
    source += "for line in sys.stdin: print(os.read(r, 10).decode(), flush=True); os.write(w, b'later')"
    with images.python(source) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image", snapshot=True)
        assert program.ask() == "waits"
        with images.Restored(file) as restored:
            assert restored.ask() == "waits"
            assert restored.ask() == program.ask() == "later"


def test_memory_that_forks_do_not_copy_is_refused_to_snapshots(tmp_path: Path, nothing_left: None) -> None:
    source = (
        "import mmap, sys\nm = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE); m.madvise(mmap.MADV_DONTFORK); m[:2] = b'ok'\n"
    )
    source += "print('ready', flush=True)\nfor line in sys.stdin: print(m[:2].decode(), flush=True)"
    with images.python(source) as program:
        assert program.line() == "ready"
        with pytest.raises(image.Refused, match="MADV_DONTFORK"):
            images.dumped(program.pid, tmp_path / "image", snapshot=True)
        file = images.dumped(program.pid, tmp_path / "image")
        assert program.ask() == "ok"
    with images.Restored(file) as restored:
        assert restored.ask() == "ok"


def test_files_of_shared_memory_are_files(tmp_path: Path, nothing_left: None) -> None:
    source = "import mmap, sys\nwith open(sys.argv[1], 'r+b') as file: m = mmap.mmap(file.fileno(), 4096)\n"
    source += "print('ready', flush=True)\nfor line in sys.stdin: print(m[:2].decode(), flush=True)"
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as shared:
        shared.write(b"ok".ljust(4096))
        shared.flush()
        with images.Program([sys.executable, "-c", source, shared.name]) as program:
            assert program.line() == "ready"
            file = images.dumped(program.pid, tmp_path / "image")
            with images.Restored(file) as restored:
                assert restored.ask() == "ok"


def test_the_exit_status_comes_through(counter: images.Program, tmp_path: Path) -> None:
    with images.Restored(images.dumped(counter.pid, tmp_path / "image")) as restored:
        restored.process.stdin.close()
        assert restored.process.wait(30) == 7


def test_one_image_can_be_restored_many_times_and_dumped_again(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    for _generation in range(3):
        with images.Restored(file) as restored:
            restored.ask()
            file = images.dumped(restored.real_pid, tmp_path / f"image-{restored.real_pid}")
    with images.Restored(file) as restored:
        assert restored.ask() == "4"
        lines = Path(f"/proc/{restored.real_pid}/maps").read_text().splitlines()
        areas = [line for line in lines if "r-xp 00000000 00:00 0 " in line and "[" not in line]
        assert len(areas) == 1  # what earlier restores left has been removed


def test_a_sleep_goes_on_in_the_original_and_ends_early_in_the_restored(
    programs: dict[str, Path], tmp_path: Path, nothing_left: None
) -> None:
    with images.Program([programs["sleeper"]]) as sleeper:
        assert sleeper.line() == "ready"
        while not Path(f"/proc/{sleeper.pid}/syscall").read_text().startswith("230 "):
            pass  # until it sleeps
        file = images.dumped(sleeper.pid, tmp_path / "image")
        assert sleeper.line() == "slept"
        with images.Restored(file) as restored:
            assert restored.line() == "interrupted"
            assert restored.line() == "slept"


def test_registers_are_kept(programs: dict[str, Path], tmp_path: Path, nothing_left: None) -> None:
    with images.Program([programs["registers"]]) as spinning:
        assert spinning.line() == "same"
        file = images.dumped(spinning.pid, tmp_path / "image")
        with images.Restored(file) as restored:
            for pid, program in ((spinning.pid, spinning), (restored.real_pid, restored)):
                os.kill(pid, signal.SIGUSR1)
                assert program.line() == "same"


def test_memory_is_the_same_byte_for_byte(programs: dict[str, Path], tmp_path: Path, nothing_left: None) -> None:
    with images.Program([programs["registers"]]) as spinning:
        assert spinning.line() == "same"
        # At first it may still be on its way back from printing; after that nothing but a dump could change anything.
        taken = [_pages(images.dumped(spinning.pid, tmp_path / f"{n}")) for n in range(2)]
        while taken[-2] != taken[-1] and len(taken) < 10:
            taken.append(_pages(images.dumped(spinning.pid, tmp_path / f"{len(taken)}")))
        assert len(taken[0]) > 4
        assert taken[-2] == taken[-1]


def _pages(file: Path) -> dict[int, bytes]:
    from drvs.procspace.image.format import Kind, Reader

    found = {}
    with file.open("rb", buffering=0) as stream:
        reader = Reader(stream.fileno())
        reader.header()
        reader.meta()
        while (record := reader.record())[0] != Kind.END:
            kind, address, payload = record
            if kind == Kind.PAGES:
                found |= {address + at: payload[at : at + 4096] for at in range(0, len(payload), 4096)}
    return found


PYTHON_THREADS = """
import hashlib, sys, threading, queue
try:
    import numpy as np
except ImportError:
    np = None
asked, answers = queue.Queue(), queue.Queue()
data = bytearray(range(256)) * 4096
matrix = np.arange(40000.0).reshape(200, 200) if np is not None else None
lock = threading.RLock()
def work():
    while True:
        n = asked.get()
        with lock:
            trace = float((matrix @ matrix).trace()) if np is not None else 0.0
            answers.put((n, hashlib.sha256(data).hexdigest()[:8], trace))
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
for n, line in enumerate(sys.stdin):
    asked.put(n)
    print(*answers.get(), threading.active_count(), flush=True)
"""


def test_python_with_threads_and_numpy_goes_on(tmp_path: Path, nothing_left: None) -> None:
    with images.python(PYTHON_THREADS) as program:
        assert program.line() == "ready"
        _, *was = program.ask().split()
        file = images.dumped(program.pid, tmp_path / "image")
        assert program.ask().split() == ["1", *was]
        with images.Restored(file) as restored:
            assert restored.ask().split() == ["1", *was]
            assert restored.ask().split() == ["2", *was]


OPEN_FILES = """
import ctypes, fcntl, json, mmap, os, select, signal, socket, sys, tempfile
libc = ctypes.CDLL(None)
file = open(sys.argv[1], "r+b", buffering=0); file.seek(3)
again = os.dup(file.fileno())
reader, writer = os.pipe2(os.O_NONBLOCK); os.write(writer, b"in the pipe")
one, other = socket.socketpair(); one.send(b"in the socket"); other.send(b"back")
event = os.eventfd(5, os.EFD_SEMAPHORE)
memory = os.memfd_create("notes"); os.write(memory, b"in memory"); shared = mmap.mmap(memory, 9)
timer = libc.timerfd_create(1, 0); libc.timerfd_settime(timer, 0, (ctypes.c_long * 4)(0, 0, 1000, 0), None)
poll = select.epoll(); poll.register(reader, select.EPOLLIN); poll.register(other, select.EPOLLIN)
null = os.open("/dev/null", os.O_RDWR)
os.close(100) if os.path.exists("/proc/self/fd/100") else None
os.dup2(null, 100, inheritable=False)
print("ready", flush=True)
for line in sys.stdin:
    left = (ctypes.c_long * 4)(); libc.timerfd_gettime(timer, left)
    shared[0:2] = b"IN"
    print(json.dumps({
        "file": [os.read(again, 2).decode(), file.tell()],
        "pipe": [os.read(reader, 100).decode(), fcntl.fcntl(reader, fcntl.F_GETFL) & os.O_NONBLOCK],
        "sockets": [other.recv(100).decode(), one.recv(100).decode()],
        "event": [os.eventfd_read(event), os.eventfd_read(event)],
        "memory": [os.pread(memory, 9, 0).decode(), os.lseek(memory, 0, os.SEEK_CUR)],
        "timer": 990 < left[2] <= 1000,
        "epoll": sorted(fd == reader for fd, _ in poll.poll(0)),
        "cloexec": not os.get_inheritable(100),
        "numbers": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    }), flush=True)
    os.write(writer, b"in the pipe"); one.send(b"in the socket"); other.send(b"back"); os.eventfd_write(event, 2)
    os.lseek(again, 3, 0)
"""


def test_open_files_are_kept(tmp_path: Path, nothing_left: None) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with images.Program([sys.executable, "-c", OPEN_FILES, path]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        original = json.loads(program.ask())
        assert original["pipe"][0] == "in the pipe"  # the dump took nothing away
        with images.Restored(file) as restored:
            found = json.loads(restored.ask())
            assert found.pop("epoll") == original.pop("epoll")
            assert found == original
            assert json.loads(restored.ask())["sockets"] == ["in the socket", "back"]


SIGNALS = """
import faulthandler, json, os, signal, sys
seen = []
signal.signal(signal.SIGUSR1, lambda n, f: seen.append(n))
signal.signal(signal.SIGUSR2, lambda n, f: seen.append(n))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.kill(os.getpid(), signal.SIGUSR1)
signal.setitimer(signal.ITIMER_REAL, 1000, 2)
faulthandler.enable()
print("ready", flush=True)
for line in sys.stdin:
    if "unblock" in line:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    left = signal.getitimer(signal.ITIMER_REAL)
    status = dict(l.split(":\\t") for l in open("/proc/self/status").read().splitlines() if l.startswith("Sig"))
    print(json.dumps([seen, sorted(signal.pthread_sigmask(0, [])), left[1], 990 < left[0] <= 1000, status["SigIgn"],
                      status["SigCgt"]]), flush=True)
"""


def test_signal_state_is_kept_and_pending_signals_come_once(tmp_path: Path, nothing_left: None) -> None:
    with images.python(SIGNALS) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        before = json.loads(program.ask("look"))
        with images.Restored(file) as restored:
            assert json.loads(restored.ask("look")) == before
            for one in (program, restored):
                seen, blocked, *_ = json.loads(one.ask("unblock"))
                assert seen == [signal.SIGUSR1]
                assert blocked == []


ASYNCIO = """
import asyncio, sys
async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while await reader.readline():
        got = await asyncio.gather(asyncio.to_thread(lambda: 42), asyncio.sleep(0, 1))
        print(*got, flush=True)
asyncio.run(main())
"""


@pytest.mark.root
def test_an_asyncio_loop_goes_on_under_its_pid(tmp_path: Path, nothing_left: None) -> None:
    with images.python(ASYNCIO) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        assert program.ask() == "42 1"
        was = program.pid
        program.end()
        with images.Restored(file, "keep") as restored:
            assert restored.real_pid == was
            assert restored.ask() == "42 1"


@pytest.mark.root
def test_a_taken_pid_is_named(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    with file.open("rb") as stream, pytest.raises(image.Mismatch, match=f"pid {counter.pid} is taken"):
        image.restore(stream.fileno(), keep_pid=True)


def test_an_image_flows_through_pipes(counter: images.Program, tmp_path: Path) -> None:
    import threading

    reader, writer = os.pipe()
    file = tmp_path / "image"

    def keep() -> None:
        with open(reader, "rb") as stream:
            file.write_bytes(stream.read())

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        image.dump(counter.pid, writer)
    finally:
        os.close(writer)
        thread.join()
    file.chmod(0o600)
    with images.Restored(file) as restored:
        assert restored.ask() == "1"


def test_without_its_files_an_image_of_everything_is_restored(
    programs: dict[str, Path], tmp_path: Path, nothing_left: None
) -> None:
    import shutil

    copy = shutil.copy(programs["answer"], tmp_path / "copy")
    with images.Program([copy]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image", everything=True)
    os.unlink(copy)
    with images.Restored(file) as restored:
        assert restored.ask() == "1"


def test_stop_ends_the_process(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image", stop=True)
    assert counter.process.wait(30) == -signal.SIGKILL
    with file.open("rb") as stream:
        assert image.verify(stream.fileno())[0].pid == counter.pid
