"""A worker: it asks the executor for work, does it, and says what came of it, until it is told to stop.

Between two calls it waits in one `sendrec` to the executor's endpoint; see `wire` for what is said. Everything that
the executor may still read (the pickle of a result, the buffers in it) is kept until the next answer has come.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

from drvs.core import Endpoint, Message, span_of
from drvs.executor import failures, memory, pickling, wire


class Worker:
    """One process's side of the conversation."""

    def __init__(self, endpoint: Endpoint, inlet: int) -> None:
        self._endpoint = endpoint
        self._inlet = inlet
        self._inbox = mmap.mmap(-1, wire.INBOX_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view = memoryview(self._inbox)
        self._message = Message()
        self._shelf = memory.Shelf()
        self._kept: object = None

    def serve(self, rank: int) -> None:
        """Work until told to stop."""
        message = self._message
        address, nbytes = span_of(self._view)
        message.type = wire.READY
        message.set_m8(rank, os.getpid(), address, nbytes)
        while True:
            self._ask()
            self._kept = None
            kind = message.type & wire.KIND
            if kind == wire.STOP:
                return
            self._run(kind)

    def rehearse(self, call: bytes) -> None:
        """Begin, and run a call that nobody sent; the answer is not sent either."""
        message = self._message
        message.type = wire.READY
        message.set_m8(0, os.getpid(), *span_of(self._view))
        message.payload = call
        message.type = wire.CALL | len(call) << wire.LENGTH_SHIFT
        self._run(message.type & wire.KIND)

    def refuse(self, rank: int, reason: str) -> None:
        """Tell the executor why this worker cannot begin; returns when it has heard."""
        text = reason.encode()[: wire.INBOX_BYTES]
        self._message.type = wire.BROKEN
        self._message.set_m8(rank, 0, *span_of(text))
        self._ask()

    def _ask(self) -> None:
        """Say what is in the message, and wait for the answer. Without an executor there is nothing left to do."""
        try:
            self._endpoint.sendrec(self._inlet, self._message)
        except Exception:
            os._exit(0)

    # ---- one call ------------------------------------------------------------------------------------------------

    def _run(self, kind: int) -> None:
        try:
            function, args, kwargs = self._load() if kind == wire.LOAD else self._read()
            result = function(*args, **kwargs)
        except BaseException as error:
            self._tell_failure(error)
            return
        self._tell(result)

    def _read(self) -> Any:
        """A call that came in the message or in the inbox."""
        message = self._message
        length = message.type >> wire.LENGTH_SHIFT
        if length:
            return pickling.loads(message.payload[:length])
        return pickling.loads(self._view[: message.m8_p1])

    def _load(self) -> Any:
        """A call with big parts: make room for them, and have the executor fill it."""
        message, count = self._message, self._message.m8_i2
        parts = [self._shelf.fresh(n) for n in struct.unpack_from(f"<{count}Q", self._inbox)]
        table = struct.pack(f"<{count}Q", *(span_of(part)[0] for part in parts))
        message.type = wire.LOADED
        message.set_m8(0, count, *span_of(table))
        self._ask()
        return pickling.loads(parts[0], parts[1:])

    # ---- what came of it -----------------------------------------------------------------------------------------

    def _tell(self, result: object) -> None:
        try:
            stream, buffers = pickling.dumps(result)
        except Exception as problem:
            self._tell_failure(failures.unpicklable_result(result, problem))
            return
        self._say(wire.DONE, stream, buffers)

    def _tell_failure(self, error: BaseException) -> None:
        self._say(wire.FAILED, pickling.dumps(failures.report(error))[0], ())

    def _say(self, kind: int, stream: bytes, buffers: Sequence[memoryview]) -> None:
        message, length = self._message, len(stream)
        if length <= wire.IN_PLACE and not buffers:
            message.payload = stream
            message.type = kind | length << wire.LENGTH_SHIFT
            return
        parts: list[bytes | memoryview] = [stream, *buffers]
        spans = [number for part in parts for number in span_of(part)]
        table = struct.pack(f"<{len(spans)}Q", *spans)
        message.type = kind
        message.set_m8(0, len(buffers), *span_of(table), *spans[:2])
        self._kept = stream, buffers, table


# ---- a process becomes one -----------------------------------------------------------------------------------------


def work(endpoint: Endpoint, inlet: int, rank: int, initializer: Callable[[], object] | None) -> None:
    """Be worker number `rank`, and end the process when there is no more work."""
    worker = Worker(endpoint, inlet)
    try:
        if initializer is not None:
            initializer()
    except BaseException as error:
        worker.refuse(rank, failures.report(error)[1])
        end(1)
    worker.serve(rank)
    end(0)


def end(status: int) -> None:
    """Leave as a program does (threads joined, exit handlers run, streams flushed), but without taking it all apart."""
    import atexit
    import threading

    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)
