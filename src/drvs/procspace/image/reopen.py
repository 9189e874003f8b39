"""Open files of an image, made again in the process that becomes it. `descriptors` is the other half.

Everything is made at descriptors above those of the image, moved to its number when all is there, and closed above by
the last step of the restore.
"""

from __future__ import annotations

import errno
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
_SETTABLE = os.O_APPEND | os.O_NONBLOCK | os.O_DIRECT | os.O_NOATIME
_OPENABLE = (
    os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC | os.O_NOATIME | os.O_PATH | os.O_DIRECTORY | os.O_DIRECT
)


class Reopener:
    """Makes the open files of an image again."""

    def __init__(self, meta: model.Meta, above: int) -> None:
        """Take the image, and the first descriptor number that it does not use."""
        self.meta = meta
        self.above = above
        self.made: dict[int, int] = {}
        self._pipes: dict[int, tuple[int, int]] = {}
        self._sockets: dict[int, int] = {}

    def lift(self, fd: int) -> int:
        """Move a descriptor above those of the image."""
        lifted = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, self.above)
        os.close(fd)
        return lifted

    def make(self) -> None:
        """Make everything that needs no other descriptor.

        Raises:
            Mismatch: a file is another one now.
        """
        for index, opened in enumerate(self.meta.open_files):
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
        """Seal, shut down, set flags and positions; then give everything its numbers and fill the epolls."""
        for index, opened in enumerate(self.meta.open_files):
            if index in self.made:
                self._complete(opened, self.made[index])
        self._place()
        for index, opened in enumerate(self.meta.open_files):
            if isinstance(opened, model.Epoll):
                for number, events, data in opened.watched:
                    calls.epoll_add(self.made[index], number, events, data)

    # ---- kinds -------------------------------------------------------------------------------------------------------

    def _make(self, opened: model.AnyOpen) -> int:
        match opened:
            case model.OnDisk():
                return self.lift(_on_disk(opened))
            case model.PipeEnd():
                return self._pipe_end(opened)
            case model.SocketEnd():
                return self._socket_end(opened)
            case model.EventFd():
                return self.lift(_eventfd(opened))
            case model.TimerFd():
                return self.lift(_timerfd(opened))
            case model.Epoll():
                return self.lift(_epoll())
            case model.SignalFd():
                return self.lift(calls.signalfd(opened.mask, opened.flags & os.O_NONBLOCK))
            case model.MemFd():
                fd = self.lift(os.memfd_create(opened.name, os.MFD_CLOEXEC | _MFD_ALLOW_SEALING))
                os.ftruncate(fd, opened.size)
                return fd
            case _:
                return self.lift(_dead())

    def _pipe_end(self, opened: model.PipeEnd) -> int:
        if opened.pipe not in self._pipes:
            reader, writer = (self.lift(fd) for fd in os.pipe())
            fcntl.fcntl(writer, _F_SETPIPE_SZ, opened.capacity)
            self._pipes[opened.pipe] = reader, writer
        end = self._pipes[opened.pipe][opened.writes]
        # A description of its own: another end of the same pipe may have other flags.
        access = os.O_WRONLY if opened.writes else os.O_RDONLY
        return self.lift(os.open(f"/proc/self/fd/{end}", access | os.O_NONBLOCK | os.O_CLOEXEC))

    def _socket_end(self, opened: model.SocketEnd) -> int:
        if opened.inode not in self._sockets:
            one, other = socket.socketpair(socket.AF_UNIX, opened.style)
            self._sockets[opened.inode], self._sockets[opened.peer] = self.lift(one.detach()), self.lift(other.detach())
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

    # ---- numbers -----------------------------------------------------------------------------------------------------

    def _place(self) -> None:
        """Give all descriptors their numbers, and close what the image does not have."""
        wanted = {number for opened in self.meta.open_files for number, _ in opened.numbers}
        for index, opened in enumerate(self.meta.open_files):
            for number, cloexec in opened.numbers:
                if isinstance(opened, model.Stream):
                    _stream(opened.number, number, cloexec)
                else:
                    calls.dup_to(self.made[index], number, cloexec)
        for number in range(self.above):
            if number not in wanted:
                try:
                    os.close(number)
                except OSError:
                    pass


def _stream(source: int, number: int, cloexec: bool) -> None:
    if number != source:
        try:
            calls.dup_to(source, number, cloexec)
        except OSError as error:
            if error.errno != errno.EBADF:  # the restorer has closed that stream
                raise
    else:
        try:
            os.set_inheritable(number, not cloexec)
        except OSError:
            pass


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
    fd = calls.timerfd(opened.clock, 0)
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
