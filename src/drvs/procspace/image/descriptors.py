"""Open files of a stopped process: what each is, and what of it has to be kept. `reopen` is the other half."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, cmp_to_key

from drvs.procspace.image import calls, model, unixdiag
from drvs.procspace.image.errors import Refused

_FLAGS = (
    os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC | os.O_DIRECT | os.O_NOATIME | os.O_PATH | os.O_DIRECTORY
)
_DEVICES = {(1, 3): "null", (1, 5): "zero", (1, 7): "full", (1, 8): "random", (1, 9): "urandom"}
_MEMORY_MAJOR, _TTY_MAJORS = 1, {4, 5, *range(136, 144)}
_FIRST_REAL = 3
_F_GETPIPE_SZ, _F_GET_SEALS = 1032, 1034


@dataclass
class Found:
    """A descriptor as /proc shows it."""

    pid: int
    pidfd: int
    number: int
    target: str
    info: dict[str, list[str]]

    @property
    def path(self) -> str:
        """Where it can be looked at."""
        return f"/proc/{self.pid}/fd/{self.number}"

    @property
    def flags(self) -> int:
        """Its flags, as open takes them."""
        return int(self.info["flags"][0], 8)

    @property
    def position(self) -> int:
        """Its offset."""
        return int(self.info["pos"][0])

    @cached_property
    def stat(self) -> os.stat_result:
        """What it is."""
        return os.stat(self.path)

    @contextmanager
    def borrowed(self) -> Iterator[int]:
        """Give a descriptor of ours for the same open file."""
        fd = calls.borrow_fd(self.pidfd, self.number)
        try:
            yield fd
        finally:
            os.close(fd)

    def refuse(self, why: str) -> Refused:
        """Make the error that names it."""
        return Refused(
            f"process {self.pid} has descriptor {self.number} open: {why}.",
            "--close-fds keeps a dead placeholder for it.",
        )


def look(pid: int, pidfd: int) -> list[Found]:
    """Return all descriptors of a process, by number."""
    return [_found(pid, pidfd, number) for number in sorted(map(int, os.listdir(f"/proc/{pid}/fd")))]


def _found(pid: int, pidfd: int, number: int) -> Found:
    info: dict[str, list[str]] = {}
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            info.setdefault(name, []).append(value.strip())
    return Found(pid, pidfd, number, os.readlink(f"/proc/{pid}/fd/{number}"), info)


def standard_streams() -> list[model.AnyOpen]:
    """Describe what a process has open of which nothing is kept: its restorer's standard streams."""
    return [model.Stream(numbers=[(number, False)], number=number) for number in range(_FIRST_REAL)]


def describe(found: list[Found], close_unknown: bool) -> list[model.AnyOpen]:
    """Describe the open files that descriptors lead to.

    Args:
        close_unknown: what cannot be kept becomes a dead placeholder instead of a refusal.

    Raises:
        Refused: one cannot be kept.
    """
    groups = [_described(group, found, close_unknown) for group in _grouped(found)]
    return [group for group in groups if group is not None]


def _grouped(found: list[Found]) -> Iterator[list[Found]]:
    """Put together the descriptors that share one open file description."""
    groups: dict[tuple[object, ...], list[Found]] = {}
    for one in found:
        status = one.stat
        groups.setdefault((status.st_dev, status.st_ino, one.flags & ~os.O_CLOEXEC, one.target), []).append(one)
    for alike in groups.values():
        yield from _told_apart(alike) if len(alike) > 1 else [alike]


def _told_apart(alike: list[Found]) -> Iterator[list[Found]]:
    """The kernel orders open files in some way, so that there may be thousands of them."""
    ordered = sorted(alike, key=cmp_to_key(_order))
    group = ordered[:1]
    for one in ordered[1:]:
        if _order(group[0], one):
            yield sorted(group, key=lambda found: found.number)
            group = []
        group.append(one)
    yield sorted(group, key=lambda found: found.number)


def _order(one: Found, other: Found) -> int:
    return calls.compare_open_files(one.pid, one.number, other.number)


def _described(group: list[Found], found: list[Found], close_unknown: bool) -> model.AnyOpen | None:
    numbers = [(one.number, bool(one.flags & os.O_CLOEXEC)) for one in group]
    first, flags = group[0], group[0].flags & _FLAGS
    if first.number < _FIRST_REAL:
        return model.Stream(numbers=numbers, flags=flags, number=first.number)
    try:
        if "lock" in first.info:
            raise first.refuse("it holds a file lock")
        opened = _kind_of(first)(first, found)
    except Refused as refusal:
        if not close_unknown:
            raise
        opened = model.Dead(numbers=[], what=str(refusal).partition(". ")[0])
    opened.numbers, opened.flags = numbers, flags
    return opened


def _kind_of(one: Found) -> Callable[[Found, list[Found]], model.AnyOpen]:
    if one.target.startswith("anon_inode:"):
        return _ANONYMOUS.get(one.target.removeprefix("anon_inode:"), _unknown)
    if one.target.startswith("/memfd:"):
        return _memfd
    mode = one.stat.st_mode
    if stat.S_ISFIFO(mode):
        return _pipe if one.target.startswith("pipe:") else _unknown
    if stat.S_ISSOCK(mode):
        return _socket
    return _on_disk


def _unknown(one: Found, _found: list[Found]) -> model.AnyOpen:
    raise one.refuse(f"{one.target} cannot be kept")


def _on_disk(one: Found, _found: list[Found]) -> model.AnyOpen:
    status = one.stat
    kind = _disk_kind(one, status)
    if one.target.endswith(" (deleted)") or not one.target.startswith("/"):
        raise one.refuse(f"{one.target.removesuffix(' (deleted)')} has been deleted")
    now = os.stat(one.target) if os.path.exists(one.target) else None
    if now is None or (now.st_dev, now.st_ino) != (status.st_dev, status.st_ino):
        raise one.refuse(f"{one.target} is another file now")
    if kind in ("file", "directory") and one.target.startswith("/proc/"):
        raise one.refuse(f"{one.target} tells of processes that will not be the same")
    return model.OnDisk(
        numbers=[], path=one.target, kind=kind, device=status.st_dev, inode=status.st_ino, size=status.st_size,
        mtime_ns=status.st_mtime_ns, position=one.position,
    )  # fmt: skip


def _disk_kind(one: Found, status: os.stat_result) -> str:
    if stat.S_ISREG(status.st_mode):
        return "file"
    if stat.S_ISDIR(status.st_mode):
        return "directory"
    numbers = os.major(status.st_rdev), os.minor(status.st_rdev)
    if stat.S_ISCHR(status.st_mode) and (numbers in _DEVICES or numbers[0] in _TTY_MAJORS):
        return "device"
    raise one.refuse(f"the device {one.target} cannot be kept")


def _pipe(one: Found, found: list[Found]) -> model.AnyOpen:
    inode = one.stat.st_ino
    ends = {other.flags & os.O_ACCMODE for other in found if other.target == one.target}
    if one.flags & os.O_ACCMODE == os.O_RDWR:
        raise one.refuse(f"{one.target} is open for both reading and writing")
    if not {os.O_RDONLY, os.O_WRONLY} <= ends:
        raise one.refuse(f"the other end of {one.target} is not in this process")
    with one.borrowed() as fd:
        capacity = _fcntl(fd, _F_GETPIPE_SZ)
    return model.PipeEnd(numbers=[], pipe=inode, writes=one.flags & os.O_ACCMODE == os.O_WRONLY, capacity=capacity)


def _socket(one: Found, found: list[Found]) -> model.AnyOpen:
    with one.borrowed() as fd, socket.socket(fileno=os.dup(fd)) as borrowed:
        family, kind = borrowed.family, borrowed.type
        if family != socket.AF_UNIX:
            raise one.refuse(f"a socket of family {family.name if hasattr(family, 'name') else family}")
        if borrowed.getsockname() or borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise one.refuse("a socket with a name, which others may connect to")
    inode = one.stat.st_ino
    peer, shutdown = unixdiag.peer_of(inode)
    if peer and f"socket:[{peer}]" not in {other.target for other in found}:
        raise one.refuse("a Unix socket whose other end is not in this process")
    if not peer:
        raise one.refuse("a Unix socket that is not connected")
    return model.SocketEnd(numbers=[], inode=inode, peer=peer, style=int(kind), shutdown=shutdown)


def _eventfd(one: Found, _found: list[Found]) -> model.AnyOpen:
    semaphore = one.info.get("eventfd-semaphore", ["0"])[0] != "0"
    return model.EventFd(numbers=[], count=int(one.info["eventfd-count"][0], 16), semaphore=semaphore)


def _timerfd(one: Found, _found: list[Found]) -> model.AnyOpen:
    value, interval = (_pair(one.info[name][0]) for name in ("it_value", "it_interval"))
    ticks = int(one.info["ticks"][0])
    return model.TimerFd(numbers=[], clock=int(one.info["clockid"][0]), value=value, interval=interval, ticks=ticks)


def _pair(text: str) -> tuple[int, int]:
    seconds, nanoseconds = text.strip("()").split(",")
    return int(seconds), int(nanoseconds)


def _epoll(one: Found, found: list[Found]) -> model.AnyOpen:
    inodes = {other.number: other.stat.st_ino for other in found}
    watched = []
    for line in one.info.get("tfd", []):
        words = line.replace(":", " ").split()
        number, events, data, inode = int(words[0]), int(words[2], 16), int(words[4], 16), int(words[8], 16)
        if inodes.get(number) != inode:
            raise one.refuse(f"an epoll that watches a descriptor closed since ({number})")
        watched.append((number, events, data))
    return model.Epoll(numbers=[], watched=watched)


def _signalfd(one: Found, _found: list[Found]) -> model.AnyOpen:
    return model.SignalFd(numbers=[], mask=int(one.info["sigmask"][0], 16))


def _memfd(one: Found, _found: list[Found]) -> model.AnyOpen:
    name = one.target.removeprefix("/memfd:").removesuffix(" (deleted)")
    status = one.stat
    if status.st_dev != _memfd_device():
        raise one.refuse("a memfd of huge pages")
    with one.borrowed() as fd:
        seals = _fcntl(fd, _F_GET_SEALS)
    return model.MemFd(
        numbers=[], name=name, inode=status.st_ino, size=status.st_size, seals=seals, position=one.position
    )


def _memfd_device() -> int:
    fd = os.memfd_create("")
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def _fcntl(fd: int, command: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, command)


_ANONYMOUS: dict[str, Callable[[Found, list[Found]], model.AnyOpen]] = {
    "[eventfd]": _eventfd,
    "[timerfd]": _timerfd,
    "[eventpoll]": _epoll,
    "[signalfd]": _signalfd,
}
