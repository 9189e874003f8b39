"""POSIX and System V message queues, straight from libc through ctypes: they need no package, only the kernel."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from drvs.bench.mechanisms.base import Mechanism

_IPC_PRIVATE, _IPC_RMID, _MODE = 0, 0, 0o600
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class _MqAttributes(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_long),
        ("most", ctypes.c_long),
        ("size", ctypes.c_long),
        ("now", ctypes.c_long),
        ("reserved", ctypes.c_long * 4),
    )


class PosixQueue(Mechanism):
    """Two POSIX message queues."""

    name = "POSIX mq"

    def missing(self) -> str | None:
        try:
            os.close(self._open("probe"))
        except (OSError, AttributeError) as error:
            return f"this kernel has none ({error})"
        return None

    def _open(self, what: str) -> int:
        """Open a queue that vanishes with its last descriptor."""
        name = f"/drvs-bench-{os.getpid()}-{what}".encode()
        attributes = _MqAttributes(most=4, size=64)
        queue = _check(_libc.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, _MODE, ctypes.byref(attributes)))
        _check(_libc.mq_unlink(name))
        return queue

    def prepare(self) -> None:
        self.there, self.back = self._open("there"), self._open("back")

    def _call(self, send_to: int, receive_from: int) -> Callable[[], object]:
        out, buffer = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)

        def call() -> None:
            _libc.mq_send(send_to, out, 64, 0)
            _libc.mq_receive(receive_from, buffer, 64, None)

        return call

    def serve(self) -> None:
        buffer = ctypes.create_string_buffer(64)
        while True:
            _check(_libc.mq_receive(self.there, buffer, 64, None))
            _check(_libc.mq_send(self.back, buffer, 64, 0))

    def connect(self) -> Callable[[], object]:
        return self._call(self.there, self.back)

    def close(self) -> None:
        os.close(self.there)
        os.close(self.back)


class _SysvMessage(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_long), ("text", ctypes.c_char * 64))


class SysvQueue(Mechanism):
    """Two System V message queues."""

    name = "SysV mq"

    def missing(self) -> str | None:
        try:
            _check(_libc.msgctl(_check(_libc.msgget(_IPC_PRIVATE, _MODE)), _IPC_RMID, None))
        except OSError as error:
            return f"this kernel has none ({error})"
        return None

    def prepare(self) -> None:
        self.there, self.back = (_check(_libc.msgget(_IPC_PRIVATE, _MODE)) for _ in range(2))

    def serve(self) -> None:
        message = _SysvMessage(kind=1)
        at = ctypes.byref(message)
        while True:
            _check(_libc.msgrcv(self.there, at, 64, 0, 0))
            _check(_libc.msgsnd(self.back, at, 64, 0))

    def connect(self) -> Callable[[], object]:
        message = _SysvMessage(kind=1)
        at, there, back = ctypes.byref(message), self.there, self.back

        def call() -> None:
            _libc.msgsnd(there, at, 64, 0)
            _libc.msgrcv(back, at, 64, 0, 0)

        return call

    def close(self) -> None:
        for queue in (self.there, self.back):
            _libc.msgctl(queue, _IPC_RMID, None)


def queues() -> list[Mechanism]:
    """Return the message queues of the kernel."""
    return [PosixQueue(), SysvQueue()]
