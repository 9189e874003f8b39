"""Who is at the other end, and who a host process is: answered by Linux alone, never by a message or a region.

A process is (pid, start time): a pid alone may be somebody else's a moment later.
"""

import os
import socket
import struct
from typing import NamedTuple

from drvs.base import features

_UCRED = struct.Struct("iII")


class Peer(NamedTuple):
    """Who connected, as SO_PEERCRED says: credentials at the time of connect(). pid 0: from a foreign pid namespace."""

    pid: int
    uid: int
    gid: int


class HostProcess(NamedTuple):
    """A thread or process of this host, read from /proc in one go."""

    pid: int  # of the process, whatever was asked for
    start: int  # clock ticks since boot
    state: str  # R, S, D, T, t, Z, X
    uids: tuple[int, int, int]  # real, effective, saved
    nested: bool  # it lives in a pid namespace below ours
    cpu_ticks: int  # user + system time

    @property
    def alive(self) -> bool:
        """Whether it still runs code."""
        return self.state not in "ZX"


def peer_of(sock: socket.socket) -> Peer:
    """Return who connected this socket."""
    return Peer(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


def peer_pidfd(sock: socket.socket) -> int | None:
    """Return a pidfd of the very process that connected, or None where the kernel cannot tell or it is gone."""
    if not features.has("peerpidfd"):
        return None
    try:
        fd = sock.getsockopt(socket.SOL_SOCKET, features.SO_PEERPIDFD)
    except OSError:
        return None
    os.set_inheritable(fd, False)
    return fd


def look_at(pid: int) -> HostProcess | None:
    """Return what /proc says of a process or thread; None if there is none.

    Raises:
        OSError: noded itself is short of something: that says nothing about the process.
    """
    try:
        stat = _read(f"/proc/{pid}/stat")
        status = _read(f"/proc/{pid}/status")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    leader, uids, nested = _parse_status(status)
    cpu = int(fields[11]) + int(fields[12])
    return HostProcess(leader, int(fields[19]), fields[0].decode(), uids, nested, cpu)


def start_of(pid: int, tid: int = 0) -> int | None:
    """Return the start time of a process, or of its thread `tid`; None if it is gone or a zombie.

    Raises:
        OSError: noded itself is short of something: that says nothing about the process.
    """
    try:
        stat = _read(f"/proc/{pid}/task/{tid}/stat" if tid else f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split(None, 20)
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def name_of(pid: int) -> str:
    """Return a process's name for people, "?" if it is gone."""
    try:
        return _read(f"/proc/{pid}/comm").decode(errors="replace").strip()
    except OSError:
        return "?"


def is_frozen(pid: int) -> bool:
    """Say whether the cgroup freezer holds the process: it looks asleep, and goes on later."""
    try:
        return b"freezer" in _read(f"/proc/{pid}/wchan") or _cgroup_frozen(pid)
    except OSError:
        return False


def _cgroup_frozen(pid: int) -> bool:
    for line in _read(f"/proc/{pid}/cgroup").decode().splitlines():
        if line.startswith("0::"):
            try:
                return b"frozen 1" in _read(f"/sys/fs/cgroup{line[3:]}/cgroup.events")
            except OSError:
                return False
    return False


def _parse_status(status: bytes) -> tuple[int, tuple[int, int, int], bool]:
    leader, uids, nested = 0, (0, 0, 0), False
    for line in status.split(b"\n"):
        if line.startswith(b"Tgid:"):
            leader = int(line[5:])
        elif line.startswith(b"Uid:"):
            real, effective, saved = (int(word) for word in line[4:].split()[:3])
            uids = (real, effective, saved)
        elif line.startswith(b"NSpid:"):
            nested = len(line.split()) > 2
            break
    return leader, uids, nested


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 8192)
    finally:
        os.close(fd)
