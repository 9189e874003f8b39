"""Open files of an image, made again. `descriptors` is the other half.

They are made in the process that restores, get what was inside them, and travel to the restored one, whose table gives
them their numbers: `places` says which.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
from collections.abc import Iterable

from drvs.procspace.image import calls, checks, model
from drvs.procspace.image.errors import ImageError, Mismatch

_F_ADD_SEALS, _F_SETPIPE_SZ = 1033, 1031
_MFD_ALLOW_SEALING = 2
_TFD_IOC_SET_TICKS = 0x40085400
_STREAM_MAX = 2
_SETTABLE = os.O_APPEND | os.O_NONBLOCK | os.O_DIRECT | os.O_NOATIME
_OPENABLE = (
    os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC | os.O_NOATIME | os.O_PATH | os.O_DIRECTORY | os.O_DIRECT
)


class Reopener:
    """Makes open files of an image again, all but the standard streams."""

    def __init__(self, meta: model.Meta, indexes: Iterable[int] | None = None) -> None:
        """Take the image, and which of its open files are meant (None: all)."""
        self.meta = meta
        self.made: dict[int, int] = {}
        self._indexes = range(len(meta.open_files)) if indexes is None else indexes
        self._pipes: dict[int, tuple[int, int]] = {}
        self._sockets: dict[int, int] = {}

    def __enter__(self) -> Reopener:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def make(self) -> None:
        """Make everything, still empty.

        Raises:
            Mismatch: a file is another one now.
        """
        for index in self._indexes:
            opened = self.meta.open_files[index]
            if not isinstance(opened, model.Stream):
                self.made[index] = self._make(opened)

    def fill(self, data: Iterable[tuple[int, int, bytes]]) -> None:
        """Put back what was inside pipes, sockets and memfds."""
        for index, offset, content in data:
            opened = self.meta.open_files[index]
            if isinstance(opened, model.MemFd):
                os.pwrite(self.made[index], content, offset)
            elif isinstance(opened, model.PipeEnd):
                self._write(self._pipes[opened.pipe][1], content, "a pipe")
            elif isinstance(opened, model.SocketEnd):
                self._write(self._sockets[opened.peer], content, "a socketpair")
            else:
                raise ImageError(f"the image has contents for a {type(opened).__name__}.", "Make the image again.")

    def finish(self) -> None:
        """Seal, shut down, set flags and positions."""
        for index, fd in self.made.items():
            self._complete(self.meta.open_files[index], fd)

    def close(self) -> None:
        """Close everything here; what has been sent lives on there."""
        ends = [fd for pair in self._pipes.values() for fd in pair]
        for fd in {*self.made.values(), *ends, *self._sockets.values()}:
            os.close(fd)
        self.made, self._pipes, self._sockets = {}, {}, {}

    # ---- kinds -------------------------------------------------------------------------------------------------------

    def _make(self, opened: model.AnyOpen) -> int:
        match opened:
            case model.OnDisk():
                return _on_disk(opened)
            case model.PipeEnd():
                return self._pipe_end(opened)
            case model.SocketEnd():
                return self._socket_end(opened)
            case model.EventFd():
                return _eventfd(opened)
            case model.TimerFd():
                return _timerfd(opened)
            case model.Epoll():
                return _epoll()
            case model.SignalFd():
                return calls.signalfd(opened.mask, opened.flags & os.O_NONBLOCK | os.O_CLOEXEC)
            case model.MemFd():
                fd = os.memfd_create(opened.name, os.MFD_CLOEXEC | _MFD_ALLOW_SEALING)
                os.ftruncate(fd, opened.size)
                return fd
            case _:
                return _dead()

    def _pipe_end(self, opened: model.PipeEnd) -> int:
        if opened.pipe not in self._pipes:
            reader, writer = os.pipe()
            fcntl.fcntl(writer, _F_SETPIPE_SZ, opened.capacity)
            self._pipes[opened.pipe] = reader, writer
        end = self._pipes[opened.pipe][opened.writes]
        # A description of its own: another end of the same pipe may have other flags.
        access = os.O_WRONLY if opened.writes else os.O_RDONLY
        return os.open(f"/proc/self/fd/{end}", access | os.O_NONBLOCK | os.O_CLOEXEC)

    def _socket_end(self, opened: model.SocketEnd) -> int:
        if opened.inode not in self._sockets:
            one, other = socket.socketpair(socket.AF_UNIX, opened.style)
            self._sockets[opened.inode], self._sockets[opened.peer] = one.detach(), other.detach()
        return self._sockets[opened.inode]

    def _write(self, fd: int, content: bytes, what: str) -> None:
        was = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, was | os.O_NONBLOCK)
        try:
            if os.write(fd, content) != len(content):
                raise ImageError(f"{what} does not take what was in it.")
        except BlockingIOError:
            raise ImageError(f"{what} does not take what was in it.") from None
        fcntl.fcntl(fd, fcntl.F_SETFL, was)

    def _complete(self, opened: model.AnyOpen, fd: int) -> None:
        if isinstance(opened, model.MemFd):
            os.lseek(fd, opened.position, os.SEEK_SET)
            fcntl.fcntl(fd, _F_ADD_SEALS, opened.seals)
        elif isinstance(opened, model.SocketEnd) and opened.shutdown:
            with socket.socket(fileno=os.dup(fd)) as end:
                for bit, how in ((1, socket.SHUT_RD), (2, socket.SHUT_WR)):
                    if opened.shutdown & bit:
                        end.shutdown(how)
        if not isinstance(opened, model.OnDisk | model.Epoll | model.Dead):
            fcntl.fcntl(fd, fcntl.F_SETFL, opened.flags & _SETTABLE)


def places(meta: model.Meta, made: dict[int, int]) -> list[tuple[int, int, bool]]:
    """Return descriptor, number and close-on-exec flag of each descriptor that is made out of `made`."""
    return [
        (made[index], number, cloexec)
        for index, opened in enumerate(meta.open_files)
        if index in made
        for number, cloexec in opened.numbers
    ]


def stream_places(meta: model.Meta) -> list[tuple[int, int, bool]]:
    """Return the same for standard streams: each is the restorer's, and what had one open elsewhere has it again."""
    found = [
        (number if number <= _STREAM_MAX else opened.number, number, cloexec)
        for opened in meta.open_files
        if isinstance(opened, model.Stream)
        for number, cloexec in opened.numbers
    ]
    return sorted(found, key=lambda place: -place[1])


def _on_disk(opened: model.OnDisk) -> int:
    fd = os.open(opened.path, opened.flags & _OPENABLE | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
    problem = checks.difference(opened, os.fstat(fd))
    if problem:
        raise Mismatch(f"the open file {opened.path} {problem}.")
    if opened.flags & os.O_PATH:
        return fd
    fcntl.fcntl(fd, fcntl.F_SETFL, opened.flags & _SETTABLE)
    if opened.kind == "file" or (opened.kind == "directory" and opened.position):
        os.lseek(fd, opened.position, os.SEEK_SET)
    return fd


def _eventfd(opened: model.EventFd) -> int:
    fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK | (os.EFD_SEMAPHORE if opened.semaphore else 0))
    if opened.count:
        os.eventfd_write(fd, opened.count)
    return fd


def _timerfd(opened: model.TimerFd) -> int:
    fd = calls.timerfd(opened.clock, os.O_CLOEXEC)
    if any(opened.value):
        calls.timerfd_set(fd, opened.value, opened.interval)
    if opened.ticks:
        fcntl.ioctl(fd, _TFD_IOC_SET_TICKS, opened.ticks.to_bytes(8, "little"))
    return fd


def _epoll() -> int:
    with select.epoll() as made:
        return os.dup(made.fileno())


def _dead() -> int:
    one, other = socket.socketpair()
    other.close()
    return one.detach()
