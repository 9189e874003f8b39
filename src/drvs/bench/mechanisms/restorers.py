"""Ways to put a process aside and bring it back: drvs and CRIU, each as a library would call it and as a command."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


class Restorer:
    """One way; `dump` ends the process once its image is complete, `restore` returns the pid of a child of ours."""

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        raise NotImplementedError

    def missing(self) -> str | None:
        """Return why it cannot be measured here, None if it can."""
        return None

    def dump(self, pid: int, place: Path) -> None:
        """Write the image of a process to a place of our choice, and end the process."""
        raise NotImplementedError

    def restore(self, place: Path) -> int:
        """Make the process run again."""
        raise NotImplementedError

    def clear(self, place: Path) -> None:
        """Remove an image."""
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


@contextmanager
def opened(place: Path, flags: int) -> Iterator[int]:
    """Open a file for as long as a block runs."""
    fd = os.open(place, flags | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def dump_apart(pid: int, fd: int, **options: bool) -> None:
    """Dump in a process of its own."""
    from drvs.procspace.image.apart import Apart

    Apart(pid, fd, **options).result()


class Drvs(Restorer):
    """drvs.procspace.image, called by this program: a dump starts a thread, a restore a program; both starts count."""

    @property
    def name(self) -> str:
        return "drvs"

    def dump(self, pid: int, place: Path) -> None:
        from drvs.procspace import image

        with opened(place, os.O_RDWR | os.O_CREAT) as fd:
            image.dump(pid, fd, stop=True)

    def restore(self, place: Path) -> int:
        from drvs.procspace import image

        with opened(place, os.O_RDONLY) as fd:
            return image.restore(fd)


class DrvsApart(Drvs):
    """The same, with the dump in a helper: a forked process, whose start and end count."""

    @property
    def name(self) -> str:
        return "drvs, forked dumper"

    def dump(self, pid: int, place: Path) -> None:
        with opened(place, os.O_RDWR | os.O_CREAT) as fd:
            dump_apart(pid, fd, stop=True)


def _command(*words: object) -> str:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout


class DrvsCommands(Restorer):
    """drvs image dump --stop, drvs image restore -d: two starts of Python with all that a command line needs."""

    @property
    def name(self) -> str:
        return "drvs commands"

    def dump(self, pid: int, place: Path) -> None:
        _command(sys.executable, "-m", "drvs.cli", "image", "dump", "--stop", pid, place)

    def restore(self, place: Path) -> int:
        command = [sys.executable, "-m", "drvs.cli", "image", "restore", "-d", str(place)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            return int(running.stdout.readline())  # not to the end: the restored program has the stream too


class Criu(Restorer):
    """`criu swrk`: what CRIU's own libraries start, asked by one message on a socket."""

    how = "swrk"

    @property
    def name(self) -> str:
        return f"CRIU {criu_version() or '4'} {self.how}"

    def missing(self) -> str | None:
        if not shutil.which("criu"):
            return "criu is not installed"
        return None if os.geteuid() == 0 else "criu wants root"

    def dump(self, pid: int, place: Path) -> None:
        place.mkdir()
        self._ask(place, 1, {2: pid, 9: 0})

    def restore(self, place: Path) -> int:
        answer = self._ask(place, 2, {9: 0, 26: 1})  # 26: as a sibling of swrk, which makes it a child of ours
        return int(dict(fields(dict(fields(answer))[4]))[1])

    def _ask(self, place: Path, request: int, options: dict[int, int]) -> bytes:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs, opened(place, os.O_RDONLY | os.O_DIRECTORY) as folder:
            os.set_inheritable(folder, True)
            worker = subprocess.Popen(
                ["criu", "swrk", str(theirs.fileno())], pass_fds=[theirs.fileno(), folder], stderr=subprocess.DEVNULL
            )
            theirs.close()
            asked = b"".join(number(key, value) for key, value in {1: folder, **options}.items())
            ours.send(number(1, request) + bytes([2 << 3 | 2]) + varint(len(asked)) + asked)
            answer = ours.recv(1 << 16)
            ours.close()
            worker.wait()
        if not answer or dict(fields(answer)).get(2) != 1:
            raise RuntimeError(f"criu failed: {answer!r}")
        return answer


class CriuCommands(Criu):
    """criu dump and criu restore."""

    how = "commands"

    def dump(self, pid: int, place: Path) -> None:
        place.mkdir()
        _command("criu", "dump", "-v0", "-t", pid, "-D", place)

    def restore(self, place: Path) -> int:
        note = place / "pid"
        _command("criu", "restore", "-v0", "-d", "-D", place, "--pidfile", note)
        return int(note.read_text())


@cache
def criu_version() -> str | None:
    """Return the version of the CRIU that is installed, None if there is none."""
    if not shutil.which("criu"):
        return None
    return _command("criu", "--version").split()[1]


def restorers() -> list[Restorer]:
    """Return all ways."""
    return [Drvs(), DrvsApart(), DrvsCommands(), Criu(), CriuCommands()]


# ---- the little of protobuf that a request and its answer need -------------------------------------------------------


def varint(value: int) -> bytes:
    """Encode a number in groups of seven bits."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """Encode a field that is a number."""
    return varint(field << 3) + varint(value)


def fields(message: object) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a message: numbers, or the bytes of what is nested."""
    assert isinstance(message, bytes)
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if key & 7 == 2:
            yield key >> 3, message[at : at + value]
            at += value
        else:
            yield key >> 3, value


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 127) << shift
        shift += 7
        at += 1
        if message[at - 1] < 128:
            return value, at
