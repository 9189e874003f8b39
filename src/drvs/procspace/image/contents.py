"""What waits inside pipes, socketpairs and memfds: read without taking it, and put back."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

from drvs.procspace.image import calls, model
from drvs.procspace.image.descriptors import Found
from drvs.procspace.image.format import RECORD_MAX

_F_SETPIPE_SZ = 1031


def read(opened: model.AnyOpen, one: Found) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of what is inside."""
    if isinstance(opened, model.PipeEnd) and not opened.writes:
        yield from _parts(_in_pipe(one, opened.capacity))
    elif isinstance(opened, model.SocketEnd):
        yield from _parts(_in_socket(one, opened))
    elif isinstance(opened, model.MemFd):
        yield from _in_memfd(one, opened.size)


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    for at in range(0, len(data), RECORD_MAX):
        yield at, data[at : at + RECORD_MAX]


def _in_pipe(one: Found, capacity: int) -> bytes:
    import fcntl

    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.fcntl(writer, _F_SETPIPE_SZ, capacity)
        with one.borrowed() as fd:
            try:
                calls.tee(fd, writer, capacity)
            except BlockingIOError:
                return b""
        os.close(writer)
        writer = -1
        with open(reader, "rb", buffering=0, closefd=False) as file:
            return file.readall() or b""
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _in_socket(one: Found, opened: model.SocketEnd) -> bytes:
    with one.borrowed() as fd, socket.socket(fileno=os.dup(fd)) as borrowed:
        try:
            data, ancillary, _, _ = borrowed.recvmsg(
                1 << 24, 4096, socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINVAL, errno.ENOTCONN, errno.ECONNRESET):
                return b""
            raise
    if ancillary:
        for _, _, carried in ancillary:
            for at in range(0, len(carried) - 3, 4):
                os.close(int.from_bytes(carried[at : at + 4], "little"))
        raise one.refuse("a socket with descriptors on their way")
    if data and opened.style != socket.SOCK_STREAM:
        raise one.refuse("a socket with messages that nobody has read yet")
    return data


def _in_memfd(one: Found, size: int) -> Iterator[tuple[int, bytes]]:
    fd = os.open(one.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        start = 0
        while start < size:
            try:
                start = os.lseek(fd, start, os.SEEK_DATA)
            except OSError:
                return
            end = min(os.lseek(fd, start, os.SEEK_HOLE), start + RECORD_MAX)
            data = os.pread(fd, end - start, start)
            if not data:
                return
            yield start, data
            start += len(data)
    finally:
        os.close(fd)
