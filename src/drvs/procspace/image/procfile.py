"""What /proc says about a process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from drvs.procspace.image.errors import Refused

_ATTEMPTS = 3


def content(pid: int, name: str) -> bytes:
    """Read a file of /proc/PID.

    Raises:
        Refused: the process is gone, or not ours to look at.
    """
    for _ in range(_ATTEMPTS):
        try:
            with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
                return file.readall() or b""
        except ProcessLookupError:
            continue  # it ended just now, or another of its threads took over the id (exec)
        except FileNotFoundError:
            break
        except PermissionError:
            raise Refused(f"process {pid} is not yours to look at.", "Be its user, or root.") from None
    raise Refused(f"there is no process {pid}.")


def text(pid: int, name: str) -> str:
    """Read a file of /proc/PID as text. Raises: as `content`."""
    return content(pid, name).decode(errors="surrogateescape")


def status(pid: int, tid: int | None = None) -> dict[str, str]:
    """Return the fields of a process's or a thread's status."""
    lines = text(pid, f"task/{tid}/status" if tid else "status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def stat(pid: int) -> list[str]:
    """Return the fields of its stat, by their numbers in proc(5): field 1 is at index 1; 2, the name, is empty."""
    rest = text(pid, "stat").rpartition(")")[2].split()
    return ["", str(pid), "", *rest]


def threads(pid: int) -> list[int]:
    """Return the tids of its threads, the first one first; none if it is gone."""
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")), key=lambda tid: (tid != pid, tid))
    except OSError:
        return []


def link(pid: int, name: str) -> str:
    """Return what a link of /proc/PID points to, an empty string if that cannot be told."""
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""


def living_children(pid: int) -> list[int]:
    """Return its children that run (dead ones that nobody waited for are not meant)."""
    return [child for child in _children(pid) if state(child) not in ("Z", "X", "")]


def _children(pid: int) -> Iterator[int]:
    for tid in threads(pid):
        try:
            with open(f"/proc/{pid}/task/{tid}/children", encoding="ascii") as file:
                yield from map(int, file.read().split())
        except FileNotFoundError:
            continue


def state(pid: int) -> str:
    """Return the letter of its state, an empty string if it is gone."""
    try:
        return stat(pid)[3]
    except Refused:
        return ""


@contextmanager
def opened(path: str, flags: int, instead: str = "") -> Iterator[int]:
    """Give a descriptor of a file, or of another one where it may not be opened."""
    try:
        fd = os.open(path, flags | os.O_CLOEXEC)
    except PermissionError:
        if not instead:
            raise Refused(f"{path} may not be opened.", "Be the user of the process, or root.") from None
        fd = os.open(instead, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def pidfd(pid: int) -> Iterator[int]:
    """Give a descriptor of a process."""
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)


def own_capabilities() -> dict[str, int]:
    """Return CapInh, CapPrm, CapEff, CapBnd and CapAmb of this process, as bit masks."""
    with open("/proc/self/status", "rb") as file:
        data = file.read()
    words = data[data.index(b"CapInh:") :].split(None, 10)
    return {words[i][:-1].decode(): int(words[i + 1], 16) for i in range(0, 10, 2)}
