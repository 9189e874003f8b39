"""What Python's standard library offers between two processes."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.queues import Queue

from drvs.bench.mechanisms.base import PAYLOAD, Mechanism, read_exactly


class OsPipe(Mechanism):
    """Two os.pipe, 64 bytes each way."""

    name = "os.pipe"

    def prepare(self) -> None:
        self.there = os.pipe()
        self.back = os.pipe()

    def serve(self) -> None:
        reading, writing = self.there[0], self.back[1]
        while True:
            os.write(writing, read_exactly(lambda nbytes: os.read(reading, nbytes)))

    def connect(self) -> Callable[[], object]:
        reading, writing = self.back[0], self.there[1]

        def call() -> None:
            os.write(writing, PAYLOAD)
            os.read(reading, 64)

        return call

    def close(self) -> None:
        for fd in (*self.there, *self.back):
            os.close(fd)


class Seqpacket(Mechanism):
    """A Unix socket pair that keeps packets apart."""

    name = "unix seqpacket"

    def prepare(self) -> None:
        self.client_end, self.server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def serve(self) -> None:
        receive, send = self.server_end.recv, self.server_end.send
        while True:
            send(receive(64))

    def connect(self) -> Callable[[], object]:
        receive, send = self.client_end.recv, self.client_end.send

        def call() -> None:
            send(PAYLOAD)
            receive(64)

        return call

    def close(self) -> None:
        self.client_end.close()
        self.server_end.close()


class MpPipe(Mechanism):
    """multiprocessing.Pipe with send and recv, as programs use it (pickle included)."""

    name = "multiprocessing.Pipe"

    def prepare(self) -> None:
        self.client_end, self.server_end = multiprocessing.Pipe()

    def serve(self) -> None:
        while True:
            self.server_end.send(self.server_end.recv())

    def connect(self) -> Callable[[], object]:
        receive, send = self.client_end.recv, self.client_end.send

        def call() -> None:
            send(PAYLOAD)
            receive()

        return call

    def close(self) -> None:
        self.client_end.close()
        self.server_end.close()


class MpQueue(Mechanism):
    """Two multiprocessing.Queue."""

    name = "multiprocessing.Queue"

    def prepare(self) -> None:
        context = multiprocessing.get_context("fork")
        self.there: Queue[bytes] = context.Queue()
        self.back: Queue[bytes] = context.Queue()

    def serve(self) -> None:
        while True:
            self.back.put(self.there.get())

    def connect(self) -> Callable[[], object]:
        def call() -> None:
            self.there.put(PAYLOAD)
            self.back.get()

        return call

    def close(self) -> None:
        self.there.close()
        self.back.close()


def stdlib() -> list[Mechanism]:
    """Return the peers that need no package."""
    return [OsPipe(), Seqpacket(), MpPipe(), MpQueue()]
