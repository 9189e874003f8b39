"""Whoever dies while copies are made, and whatever an image says: no half-made process stays, nobody waits for ever."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drvs.procspace import image
from drvs.procspace.image import birth, orders
from drvs.procspace.image.format import Kind, Reader, Writer
from support import images, procfs

QUICK_S = 20


@pytest.fixture
def file(counter: images.Program, tmp_path: Path) -> Path:
    """An image of a program that ends when its input does."""
    return images.dumped(counter.pid, tmp_path / "image")


@contextmanager
def template(file: Path) -> Iterator[image.Template]:
    """A template out of an image file."""
    with file.open("rb", buffering=0) as stream, image.Template(stream.fileno()) as made:
        yield made


def of_session(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for pid in procfs.pids():
        fields = procfs.text(pid, "stat").rpartition(")")[2].split()
        if fields and int(fields[3]) == session and fields[0] not in "ZX":
            found.append(pid)
    return found


def until_none(session: int) -> None:
    """Wait until a session has no process left."""
    deadline = time.monotonic() + QUICK_S
    while left := of_session(session):
        assert time.monotonic() < deadline, f"left: {[(pid, procfs.text(pid, 'syscall')) for pid in left]}"
        os.sched_yield()


def test_a_template_that_died_is_named(file: Path) -> None:
    with template(file) as made:
        os.kill(made.pid, signal.SIGKILL)
        with pytest.raises(image.ImageError, match=rf"the template \(process {made.pid}\) has died"):
            while True:
                birth.kill(made.copy(0, 1))
        with pytest.raises(image.ImageError, match="closed"):
            made.copy(0, 1)


def test_a_template_that_dies_among_many_orders_leaves_only_what_it_told(file: Path) -> None:
    chosen = random.Random(2)
    for _ in range(30):
        children = procfs.text(os.getpid(), f"task/{os.getpid()}/children")
        pids: list[int] = []
        last = chosen.randrange(8)
        with template(file) as made, pytest.raises(image.ImageError, match="has died"):
            for pid in made.copies(50):
                pids.append(pid)
                if len(pids) > last:
                    os.kill(made.pid, signal.SIGKILL)
        assert last < len(pids) < 50
        for pid in pids:
            birth.kill(pid)
        assert procfs.text(os.getpid(), f"task/{os.getpid()}/children") == children


def test_a_closed_template_is_named(file: Path) -> None:
    with template(file) as made:
        pass
    with pytest.raises(image.ImageError, match="closed"):
        made.copy(0, 1)
    made.close()


def test_a_forked_child_cannot_use_the_template(file: Path) -> None:
    with template(file) as made:
        child = os.fork()
        if not child:
            try:
                made.close()
                made.copy(0, 1)
            except image.ImageError:
                os._exit(3)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        with images.Copy(made) as copy:
            assert copy.ask() == "1"


def test_a_template_made_in_a_thread_outlives_it(file: Path) -> None:
    made: list[image.Template] = []

    def make() -> None:
        with file.open("rb", buffering=0) as stream:
            made.append(image.Template(stream.fileno()))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    with made[0], images.Copy(made[0]) as copy:
        assert copy.ask() == "1"


def make_copies_for_ever(file: Path, tell: int) -> None:
    """In a session of its own: a template and copies whose input ends with this process."""
    os.setsid()
    reader, _writer = os.pipe()
    with template(file) as made:
        os.write(tell, b"x")
        while True:
            pid = made.copy(0, 1, streams=(reader, 1, 2))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_maker_that_is_killed_leaves_nothing(file: Path, seed: int) -> None:
    chosen = random.Random(seed)
    for _ in range(15):
        told, tell = os.pipe()
        maker = os.fork()
        if not maker:
            make_copies_for_ever(file, tell)
        os.close(tell)
        if chosen.random() < 0.7:
            os.read(told, 1)
        spin_until = time.monotonic() + chosen.random() * 0.02
        while time.monotonic() < spin_until:
            pass
        os.kill(maker, signal.SIGKILL)
        os.waitpid(maker, 0)
        os.close(told)
        until_none(maker)


def test_copies_that_are_killed_while_they_are_made_are_errors_and_nothing_hangs(file: Path) -> None:
    done = threading.Event()

    def killer() -> None:
        chosen = random.Random(1)
        while not done.is_set():
            for pid in procfs.text(os.getpid(), f"task/{os.getpid()}/children").split():
                if int(pid) != made.pid and chosen.random() < 0.3:
                    try:
                        os.kill(int(pid), signal.SIGKILL)
                    except ProcessLookupError:
                        pass

    said: set[str] = set()
    with template(file) as made:
        spared = {int(pid) for pid in procfs.text(os.getpid(), f"task/{os.getpid()}/children").split()}
        before = spared - {made.pid}
        thread = threading.Thread(target=killer)
        if before:  # the original: its killer is to spare it
            os.kill(before.pop(), signal.SIGKILL)
        thread.start()
        try:
            for rank in range(300):
                try:
                    birth.kill(made.copy(rank, 300))
                except image.ImageError as error:
                    said.add(str(error).partition(")")[2])
        finally:
            done.set()
            thread.join()
    assert said <= {" was killed before it was complete."}


def test_an_interrupted_maker_leaves_no_copy(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with template(file) as made:
        real, left = orders.birth.receive, [1]

        def interrupted(control: Any) -> Any:
            if left[0]:
                left[0] -= 1
                raise KeyboardInterrupt
            return real(control)

        children = procfs.text(os.getpid(), f"task/{os.getpid()}/children")
        monkeypatch.setattr(orders.birth, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.copy(0, 1)
        assert procfs.text(os.getpid(), f"task/{os.getpid()}/children") == children
        monkeypatch.undo()
        with images.Copy(made) as copy:
            assert copy.ask() == "1"


# ---- images that lie -------------------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in a decoded description that is no list or map."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


def lie(chosen: random.Random, found: dict[str, Any]) -> None:
    """Change something in a description. Who it is of stays: it runs with our rights."""
    path = chosen.choice([path for path in leaves(found) if path[0] not in ("credentials", "limits")])
    place = found
    for step in path[:-1]:
        place = place[step]
    value = place[path[-1]]
    if isinstance(value, bool):
        place[path[-1]] = not value
    elif isinstance(value, int):
        changed = chosen.choice([0, 1, value + 1, value ^ 4096, value * 2, 2**31 - 1, 2**47, 2**63, 2**64 - 1])
        place[path[-1]] = changed & 2**64 - 1
    elif isinstance(value, bytes):
        place[path[-1]] = bytes(chosen.randrange(256) for _ in value)
    elif isinstance(value, str):
        place[path[-1]] = chosen.choice(["", "/", "/dev/null", "/nowhere", value + "x"])


def lying(file: Path, target: Path, chosen: random.Random) -> None:
    """Write an image with a changed description and a right checksum."""
    with file.open("rb", buffering=0) as stream:
        reader = Reader(stream.fileno())
        reader.header()
        found = msgspec.msgpack.decode(reader.record()[2])
        rest = stream.read()
    for _ in range(chosen.randrange(1, 4)):
        lie(chosen, found)
    with open(os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0) as stream:
        writer = Writer(stream.fileno())
        writer.header()
        writer.record(Kind.META, 0, msgspec.msgpack.encode(found))
        stream.write(rest)


@pytest.mark.parametrize("seed", range(4))
def test_images_that_lie_make_no_half_made_process_and_no_crash(file: Path, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    made = 0
    for turn in range(40):
        lying(file, tmp_path / "lie", chosen)
        try:
            with template(tmp_path / "lie") as found:
                birth.kill(found.copy(0, 1))
                made += 1
        except image.ImageError:
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}, turn {turn}") from error
    assert made < 40


def test_a_flipped_bit_among_the_pages_makes_no_template(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-5000] ^= 16
    file.write_bytes(data)
    with pytest.raises(image.BadImage, match="checksum"), template(file):
        pass
