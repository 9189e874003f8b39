"""The pump: taking what workers say, one message after the other, in whatever thread has need of it.

One thread at a time holds it. That is a thread that waits in `Future.result`, as long as it waits; or the collector
(`collector`), when somebody waits in another way and no thread is in `result`. A message that has been received stays
noted until it has been dealt with: Ctrl-C may raise between any two instructions, and the next turn then finishes it.
"""

from __future__ import annotations

import math
import struct
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from drvs.base.codes import Code
from drvs.base.errors import DrvsError
from drvs.core import Message
from drvs.core._core import ANY, RECEIVE
from drvs.executor import failures, memory, pickling, wire
from drvs.executor.call import SENT, Call, WorkerState
from drvs.executor.future import PENDING, RUNNING, CallFuture

if TYPE_CHECKING:
    from drvs.executor.crew import Crew
    from drvs.executor.exchange import Exchange

_QUIET = (Code.AGAIN, Code.TIMEDOUT, Code.RESTARTSYS)
_LOOK_AGAIN_S = 1.0


class Pump:
    """Takes messages at the inlet and ends futures.

    Attributes:
        held: the role; a callback of a future may take it again.
        turns: counts messages looked for, so that the collector sees whether anybody works here.
    """

    def __init__(self, exchange: Exchange, crew: Crew) -> None:
        self._exchange = exchange
        self._crew = crew
        self.held = threading.RLock()
        self.turns = 0
        self.outcomes: deque[tuple[CallFuture, BaseException | None, Any]] = deque()
        self._message = Message()
        self._depth = 0

    # ---- turns (the caller holds the pump) -------------------------------------------------------------------------

    def turn(self, timeout: float | None) -> bool:
        """Wait for one message and deal with it; False if none came in `timeout` seconds (None: wait for ever)."""
        self.turns += 1
        nested = self._depth > 0  # by a callback, or by code that runs when a result is unpickled
        message = Message() if nested else self._message
        if not message.type:  # else Ctrl-C came between its arrival and its being dealt with
            timeout_ms = -1 if timeout is None else math.ceil(timeout * 1000)
            code = self._exchange.inlet.raw(RECEIVE, ANY, message, timeout_ms)
            if code != 0:
                self._check(code)
                return False
        self._depth += 1
        try:
            if message.source != self._exchange.outlet_id:  # not a kick
                self._deal_with(message)
            message.type = 0
            self.tell()
        finally:
            self._depth -= 1
        return True

    def _check(self, code: int) -> None:
        if code not in _QUIET and not self._exchange.dead:
            self._crew.break_down(f"the executor's VM cannot be used any more ({Code.of(code).canonical})")

    def tell(self) -> None:
        """End the futures whose outcome is known."""
        while self.outcomes:
            future, error, value = self.outcomes[0]
            if not future.done():
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            if self.outcomes and self.outcomes[0][0] is future:
                self.outcomes.popleft()

    # ---- what a worker says ----------------------------------------------------------------------------------------

    def _deal_with(self, message: Message) -> None:
        kind, exchange = message.type & wire.KIND, self._exchange
        if kind == wire.READY:
            worker = self._crew.arrived(message)
        elif kind == wire.BROKEN:
            self._complain(message)
            return
        else:
            worker = exchange.by_endpoint.get(message.source)
        if worker is None:
            return  # it was given up meanwhile
        if kind == wire.LOADED:
            exchange.fill(worker, message)
            return
        if kind in (wire.DONE, wire.FAILED):
            self._take_result(worker, message, kind)
        if self._crew.has_worked_enough(worker):
            exchange.stop(worker, message)
            self._crew.replace(worker)
        else:
            exchange.employ(worker, message)

    def _complain(self, message: Message) -> None:
        _, _, address, nbytes, _, _ = message.get_m8()
        try:
            reason = memory.fetch(self._exchange.inlet, message.source, [(address, nbytes)])[0].tobytes().decode()
        except DrvsError:
            return  # it died: one more death
        self._crew.break_down(f"a worker cannot begin:\n{reason}")

    def _take_result(self, worker: WorkerState, message: Message, kind: int) -> None:
        call = worker.call
        if call is None or worker.state != SENT:
            return  # a turn that Ctrl-C cut short had taken it
        try:
            stream, buffers = self._fetch(message)
        except DrvsError:
            return  # it died: the spawner will tell
        error, value = _outcome(kind, stream, buffers)
        self._finish(worker, call, error, value)

    def _fetch(self, message: Message) -> tuple[bytes | memoryview, list[memoryview]]:
        length = message.type >> wire.LENGTH_SHIFT
        if length:
            return message.payload[:length], []
        _, buffers, table, table_bytes, address, nbytes = message.get_m8()
        inlet, source = self._exchange.inlet, message.source
        if not buffers:
            return memory.fetch(inlet, source, [(address, nbytes)])[0], []
        numbers = struct.unpack(f"<{table_bytes // 8}Q", memory.fetch(inlet, source, [(table, table_bytes)])[0])
        parts = memory.fetch(inlet, source, list(zip(numbers[::2], numbers[1::2], strict=True)))
        return parts[0], parts[1:]

    def _finish(self, worker: WorkerState, call: Call, error: BaseException | None, value: Any) -> None:
        exchange = self._exchange
        with exchange.lock:
            if worker.call is not call:
                return  # its death was told meanwhile
            self.outcomes.append((call.future, error, value))
            worker.call = None
            exchange.running -= 1
            worker.done += 1
        self._crew.deaths = 0

    # ---- waiting -----------------------------------------------------------------------------------------------------

    def lead(self, future: CallFuture, deadline: float | None) -> None:
        """Take messages until a future has ended (the caller holds the pump)."""
        while future._state in (PENDING, RUNNING) and not self._exchange.dead:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            self.turn(left)

    def follow(self, future: CallFuture, deadline: float | None) -> None:
        """Sleep while another thread takes the messages, a second at most: it may have stopped just now."""
        left = _LOOK_AGAIN_S if deadline is None else min(_LOOK_AGAIN_S, deadline - time.monotonic())
        with future._condition:
            if future._state in (PENDING, RUNNING) and left > 0:
                future._condition.wait(left)


def _outcome(kind: int, stream: bytes | memoryview, buffers: list[memoryview]) -> tuple[BaseException | None, Any]:
    try:
        value = pickling.loads(stream, buffers)
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt):
            raise
        return _unreadable(problem), None
    return (failures.rebuild(value), None) if kind == wire.FAILED else (None, value)


def _unreadable(problem: BaseException) -> BaseException:
    import pickle

    error = pickle.UnpicklingError(
        f"the call returned something that cannot be unpickled here: {type(problem).__name__}: {problem}"
    )
    error.__cause__ = problem
    return error
