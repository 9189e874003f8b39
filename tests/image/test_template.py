"""Copies of an image go on each by itself: with threads, open files, offsets and ranks of their own."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drvs.procspace import image
from support import images


@contextmanager
def template(file: Path, **options: bool) -> Iterator[image.Template]:
    """A template out of an image file."""
    with file.open("rb", buffering=0) as stream, image.Template(stream.fileno(), **options) as made:
        yield made


def test_copies_go_on_each_by_itself(counter: images.Program, tmp_path: Path) -> None:
    assert counter.ask() == "1"
    file = images.dumped(counter.pid, tmp_path / "image")
    with template(file) as made, images.Copy(made, 0, 2) as one, images.Copy(made, 1, 2) as other:
        assert [one.ask(), one.ask(), other.ask()] == ["2", "3", "2"]
        assert one.pid != other.pid
        assert len(os.listdir(f"/proc/{one.pid}/task")) == 4
        made.close()
        assert [one.ask(), other.ask()] == ["4", "3"]
        assert one.finish() == 7
        assert other.finish() == 7


def test_copies_run_in_their_own_right(counter: images.Program, tmp_path: Path) -> None:
    with template(images.dumped(counter.pid, tmp_path / "image")) as made, images.Copy(made) as copy:
        assert copy.ask() == "1"
        status = dict(line.split(":\t") for line in Path(f"/proc/{copy.pid}/status").read_text().splitlines())
        assert int(status["PPid"]) == os.getpid()
        assert status["Name"] == "answer"
        assert Path(f"/proc/{made.pid}/comm").read_text() == "drvs-template\n"
        assert sorted(os.listdir(f"/proc/{copy.pid}/fd")) == ["0", "1", "2"]
        os.kill(copy.pid, signal.SIGTERM)
        assert copy.finish() == -signal.SIGTERM


NUMPY = """
import sys, threading, queue
try:
    import numpy as np
except ImportError:
    np = None
asked, answers = queue.Queue(), queue.Queue()
matrix = np.arange(90000.0).reshape(300, 300) if np is not None else None
def work():
    while True:
        n = asked.get()
        answers.put((n, float((matrix @ matrix).trace()) if np is not None else 0.0))
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
asked.put(0); answers.get()
print("ready", flush=True)
for n, line in enumerate(sys.stdin):
    asked.put(n)
    print(*answers.get(), threading.active_count(), flush=True)
"""


def test_copies_of_python_with_threads_and_numpy(tmp_path: Path, nothing_left: None) -> None:
    with images.python(NUMPY) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        expected = program.ask()
    with template(file) as made:
        copies = [images.Copy(made, rank, 8) for rank in range(8)]
        dirty = [_private_dirty_kb(copy.pid) for copy in copies]
        assert [copy.ask() for copy in copies] == [expected] * 8
        for copy in copies:
            copy.end()
    assert max(dirty) <= 1024


def _private_dirty_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))


OPEN_FILES = """
import ctypes, fcntl, json, mmap, os, select, signal, socket, sys
libc = ctypes.CDLL(None)
file = open(sys.argv[1], "rb", buffering=0); file.seek(3)
again = os.dup(file.fileno())
reader, writer = os.pipe2(os.O_NONBLOCK); os.write(writer, b"in the pipe")
one, other = socket.socketpair(); one.send(b"in the socket"); other.send(b"back")
event = os.eventfd(5, os.EFD_SEMAPHORE)
memory = os.memfd_create("notes"); os.write(memory, b"in memory"); shared = mmap.mmap(memory, 9)
timer = libc.timerfd_create(1, 0); libc.timerfd_settime(timer, 0, (ctypes.c_long * 4)(0, 0, 1000, 0), None)
poll = select.epoll(); poll.register(reader, select.EPOLLIN); poll.register(other, select.EPOLLIN)
null = os.open("/dev/null", os.O_RDWR)
os.dup2(null, 100, inheritable=False)
print("ready", flush=True)
for line in sys.stdin:
    left = (ctypes.c_long * 4)(); libc.timerfd_gettime(timer, left)
    said = {
        "file": [os.read(again, 2).decode(), file.tell()],
        "pipe": [os.read(reader, 100).decode(), fcntl.fcntl(reader, fcntl.F_GETFL) & os.O_NONBLOCK],
        "sockets": [other.recv(100).decode(), one.recv(100).decode()],
        "event": [os.eventfd_read(event), os.eventfd_read(event)],
        "memory": [bytes(shared).decode(), os.pread(memory, 9, 0).decode(), os.lseek(memory, 0, os.SEEK_CUR)],
        "timer": 990 < left[2] <= 1000,
        "cloexec": not os.get_inheritable(100),
        "numbers": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    }
    shared[0:2] = b"IN"
    os.write(writer, line.encode())
    said["epoll"] = sorted(fd == reader for fd, _ in poll.poll(0))
    print(json.dumps(said), flush=True)
    one.send(b"in the socket"); other.send(b"back"); os.eventfd_write(event, 2)
"""


def test_copies_have_open_files_of_their_own(tmp_path: Path, nothing_left: None) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with images.Program([sys.executable, "-c", OPEN_FILES, path]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        first, second = json.loads(program.ask("a")), json.loads(program.ask("b"))
    assert first["memory"] == ["in memory", "in memory", 9]
    with template(file) as made:
        copies = [images.Copy(made, rank, 3) for rank in range(3)]
        assert [json.loads(copy.ask("a")) for copy in copies] == [first] * 3  # what one did no other saw
        assert [json.loads(copy.ask("b")) for copy in copies] == [second] * 3
        for copy in copies:
            copy.end()


ASYNCIO = """
import asyncio, sys
async def work():
    return await asyncio.gather(asyncio.to_thread(lambda: 42), asyncio.sleep(0, 1))
loop = asyncio.new_event_loop()
loop.run_until_complete(work())
print("ready", flush=True)
for line in sys.stdin:
    print(*loop.run_until_complete(work()), flush=True)
"""


def test_an_asyncio_loop_works_in_copies(tmp_path: Path, nothing_left: None) -> None:
    with images.python(ASYNCIO) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with template(file) as made, images.Copy(made, 0, 2) as one, images.Copy(made, 1, 2) as other:
        assert [one.ask(), other.ask(), one.ask()] == ["42 1"] * 3


SIGNALS = """
import json, os, signal, sys
seen = []
signal.signal(signal.SIGUSR1, lambda n, f: seen.append(n))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.kill(os.getpid(), signal.SIGUSR1)
signal.setitimer(signal.ITIMER_REAL, 1000, 2)
print("ready", flush=True)
for line in sys.stdin:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    print(json.dumps([seen, signal.getitimer(signal.ITIMER_REAL)]), flush=True)
"""


def test_copies_have_no_pending_signals_and_no_timers(tmp_path: Path, nothing_left: None) -> None:
    with images.python(SIGNALS) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with template(file) as made, images.Copy(made) as copy:
        assert json.loads(copy.ask()) == [[], [0, 0]]
        os.kill(copy.pid, signal.SIGUSR1)
        assert json.loads(copy.ask())[0] == [signal.SIGUSR1]


def test_the_rank_stands_in_the_environment(programs: dict[str, Path], tmp_path: Path, nothing_left: None) -> None:
    environ = {"BPROC_RANK": "XXXXXXX", "XBPROC_RANK": "XXXXXXX", "PATH": os.environ["PATH"]}
    with images.Program([programs["answer"]], env=environ) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with template(file) as made:
        for rank in (0, 7, 1234567):
            with images.Copy(made, rank, 2000000) as copy:
                words = Path(f"/proc/{copy.pid}/environ").read_bytes().split(b"\0")
                assert f"BPROC_RANK={rank:07}".encode() in words
                assert b"XBPROC_RANK=XXXXXXX" in words


WRITER = """
import os, sys
file = open(sys.argv[1], "r+b", buffering=0)
print("ready", flush=True)
for line in sys.stdin:
    file.write(line.encode()); print(file.tell(), flush=True)
"""


def test_files_open_for_writing_are_refused_or_shared(tmp_path: Path, nothing_left: None) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"")
    with images.Program([sys.executable, "-c", WRITER, log]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with pytest.raises(image.Refused, match=f"{log} open for writing .*share_files"), template(file):
        pass
    with template(file, share_files=True) as made, images.Copy(made, 0, 2) as one, images.Copy(made, 1, 2) as other:
        assert [one.ask("a"), other.ask("b"), one.ask("c")] == ["2", "4", "6"]
    assert log.read_bytes() == b"a\nb\nc\n"


MAPPER = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    shared = mmap.mmap(file.fileno(), 0)
print("ready", flush=True)
sys.stdin.read()
"""


def test_shared_writable_mappings_are_refused(tmp_path: Path, nothing_left: None) -> None:
    path = tmp_path / "table"
    path.write_bytes(bytes(4096))
    with images.Program([sys.executable, "-c", MAPPER, path]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with pytest.raises(image.Refused, match=str(path)), template(file):
        pass


@pytest.mark.root
def test_a_copy_can_have_a_pid_of_choice(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    free = int(Path("/proc/sys/kernel/pid_max").read_text()) - 7
    with template(file) as made:
        with images.Copy(made, pid=free) as copy:
            assert copy.pid == free
            assert copy.ask() == "1"
            with pytest.raises(image.Mismatch, match=f"pid {free} is taken"):
                made.copy(1, 2, pid=free)
        with images.Copy(made) as copy:  # the template has taken no harm
            assert copy.ask() == "1"


def _started(file: Path, n: int) -> list[int]:
    """Start copies from a process whose input is at its end."""
    end, stdin = os.dup(0), os.open("/dev/null", os.O_RDONLY)
    os.dup2(stdin, 0)
    try:
        with file.open("rb") as stream:
            return image.start(stream.fileno(), n)
    finally:
        os.dup2(end, 0)
        os.close(end)
        os.close(stdin)


def test_many_are_started_at_once(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    pids = _started(file, 20)
    assert len(set(pids)) == 20
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert ends == [7] * 20  # their input is ours, and has an end


def test_a_dump_flows_into_a_template(counter: images.Program) -> None:
    import threading

    reader, writer = os.pipe()

    def feed() -> None:
        image.dump(counter.pid, writer)
        os.close(writer)

    thread = threading.Thread(target=feed)
    thread.start()
    with image.Template(reader) as made:
        thread.join()
        os.close(reader)
        with images.Copy(made) as copy:
            assert copy.ask() == "1"
    assert counter.ask() == "1"


CROWD = """
import os, sys
events = [os.eventfd(n + 1) for n in range(600)]
print("ready", flush=True)
for line in sys.stdin:
    print([os.eventfd_read(event) for event in events] == list(range(1, 601)), flush=True)
    for n, event in enumerate(events): os.eventfd_write(event, n + 1)
"""


def test_hundreds_of_descriptors_find_their_places(tmp_path: Path, nothing_left: None) -> None:
    with images.python(CROWD) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with template(file) as made, images.Copy(made, 0, 2) as one, images.Copy(made, 1, 2) as other:
        assert [one.ask(), one.ask(), other.ask()] == ["True"] * 3
    with images.Restored(file) as restored:
        assert restored.ask() == "True"
