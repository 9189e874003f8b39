"""Who runs what: calls go out to workers, and what came of them comes back.

Two endpoints of the caller share the work. Workers ask at the **inlet**. Whoever holds the pump (one thread at a time)
receives there, takes the result that comes with a question, and answers it with the next call if one waits. If none
does, the question is relayed to the **outlet**, where any thread that submits may answer it at once, while another
sits in a receive at the inlet. So a call alone costs two messages and no change of threads:

    submit()     outlet: reply to the worker that came last      result()     inlet: receive its next question

Lock order: pump, `lock`, outlet. Futures are told of their ends under no lock but the pump, for their callbacks are
the user's, and may call in here again.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable

from drvs.base.errors import DrvsError
from drvs.core import Endpoint, Message
from drvs.core._core import ANY, RECEIVE
from drvs.executor import memory, wire
from drvs.executor.call import SENDING, SENT, WAITING, Call, WorkerState


class Exchange:
    """The calls of one executor, and the workers that wait for them.

    Args:
        timed: told when a call with a timeout has begun.

    Attributes:
        lock: guards everything below up to `closing`.
        backlog: calls that no worker has.
        idle: workers that wait at the outlet; the last one came last.
        workers: all that are wanted, by rank.
        running: calls that a worker has.
        closing: no more calls come; workers end when these are done.
        dead: nothing can go on; every future has been told.
        opened: set when there is a VM to exchange in, or none will ever be.
        bell: wakes the collector.
    """

    def __init__(self, timed: Callable[[WorkerState, Call], None]) -> None:
        self.timed = timed
        self.lock = threading.Lock()
        self.backlog: deque[Call] = deque()
        self.idle: list[WorkerState] = []
        self.workers: dict[int, WorkerState] = {}
        self.by_endpoint: dict[int, WorkerState] = {}
        self.running = 0
        self.closing = False
        self.dead = False
        self.opened = threading.Event()
        self.bell = threading.Event()
        self._outlet_lock = threading.RLock()

    def open(self, inlet: Endpoint, outlet: Endpoint) -> None:
        """Begin to exchange, now that there is a VM."""
        self.inlet, self._outlet = inlet, outlet
        self._inlet_id, self.outlet_id = inlet.endpoint, outlet.endpoint
        self.opened.set()

    @property
    def outstanding(self) -> bool:
        """Whether some call has not ended."""
        return self.running > 0 or len(self.backlog) > 0

    # ---- calls find workers --------------------------------------------------------------------------------------

    def submit(self, call: Call) -> bool:
        """Give a call to an idle worker, or put it in the queue; returns whether a worker got it."""
        with self.lock:
            if not self.idle:
                self.backlog.append(call)
                return False
            call.future.begin()
            worker = self.idle.pop()
            self._assign(worker, call)
        self._answer_from_outlet(worker)
        return True

    def employ(self, worker: WorkerState, question: Message) -> None:
        """Answer a worker's question at the inlet with the next call, or let it wait at the outlet."""
        with self.lock:
            if worker.call is None:
                self._assign_next(worker)
        if worker.call is not None:
            if worker.state != SENT:
                self._answer(self.inlet, worker, question)
            return
        if not self._move_to_outlet(worker, question):
            return
        with self.lock:
            if not self._assign_next(worker):
                self.idle.append(worker)
                return
        self._answer_from_outlet(worker)

    def _assign_next(self, worker: WorkerState) -> bool:
        while self.backlog:
            call = self.backlog.popleft()
            if call.future.begin():
                self._assign(worker, call)
                return True
        return False

    def _assign(self, worker: WorkerState, call: Call) -> None:
        worker.state = WAITING
        worker.call = call
        self.running += 1

    def _move_to_outlet(self, worker: WorkerState, question: Message) -> bool:
        moved = Message()
        with self._outlet_lock:
            try:
                self.inlet.relay(self.outlet_id, question)
            except DrvsError:
                return False  # it died: the spawner will tell
            code = self._outlet.raw(RECEIVE, ANY, moved, 0)
        worker.question = moved
        return code == 0

    # ---- the answers ---------------------------------------------------------------------------------------------

    def _answer_from_outlet(self, worker: WorkerState) -> None:
        with self._outlet_lock:
            self._answer(self._outlet, worker, worker.question)

    def _answer(self, endpoint: Endpoint, worker: WorkerState, question: Message) -> None:
        """Send a worker the call that it was assigned. If it has died, the call goes to another."""
        call = worker.call
        if call is None:
            return  # its death was told meanwhile
        worker.state = SENDING
        try:
            _send_call(endpoint, worker, question, call)
        except DrvsError:
            self.take_back(worker, call)
        else:
            worker.state = SENT
            if call.options.timeout is not None:
                self.timed(worker, call)

    def take_back(self, worker: WorkerState, call: Call) -> None:
        """Put a call that never reached its worker first in the queue."""
        with self.lock:
            if worker.call is call:
                worker.call = None
                self.running -= 1
                self.backlog.appendleft(call)
        self.dispatch()

    def dispatch(self) -> None:
        """Give calls that came back to workers that wait."""
        while True:
            with self.lock:
                if not self.idle or not self.backlog:
                    return
                worker = self.idle.pop()
                if not self._assign_next(worker):
                    self.idle.append(worker)
                    return
            self._answer_from_outlet(worker)

    def fill(self, worker: WorkerState, question: Message) -> None:
        """Copy the parts of a call into the room that the worker has made for them, and let it run."""
        call = worker.call
        if call is None:
            return
        try:
            addresses = _addresses(self.inlet, question)
            parts: list[bytes | memoryview] = [call.stream, *call.buffers]
            for address, part in zip(addresses, parts, strict=True):
                memory.copy_out(self.inlet, part, worker.endpoint, address)
            self.inlet.reply(question, Message(wire.GO))
        except DrvsError:
            pass  # it died with the call half sent: the spawner will tell

    def stop(self, worker: WorkerState, question: Message | None = None) -> None:
        """Tell a worker that waits (at the inlet with `question`, or at the outlet) to end."""
        try:
            if question is not None:
                self.inlet.reply(question, Message(wire.STOP))
                return
            with self._outlet_lock:
                self._outlet.reply(worker.question, Message(wire.STOP))
        except DrvsError:
            pass  # it has ended

    def kick(self) -> None:
        """Make whoever sits in a receive at the inlet look around."""
        if self.opened.is_set() and not self.dead:
            try:
                with self._outlet_lock:
                    self._outlet.notify(self._inlet_id)
            except DrvsError:
                pass  # the VM has just ended, which wakes everybody


def _send_call(endpoint: Endpoint, worker: WorkerState, question: Message, call: Call) -> None:
    stream, length, out = call.stream, len(call.stream), Message(wire.CALL)
    if call.buffers or length > wire.INBOX_BYTES:
        lengths = (length, *(buffer.nbytes for buffer in call.buffers))
        table = struct.pack(f"<{len(lengths)}Q", *lengths)
        memory.copy_out(endpoint, table, worker.endpoint, worker.inbox)
        out.type = wire.LOAD
        out.set_m8(0, len(lengths))
    elif length <= wire.IN_PLACE:
        out.payload = stream
        out.type = wire.CALL | length << wire.LENGTH_SHIFT
    else:
        memory.copy_out(endpoint, stream, worker.endpoint, worker.inbox)
        out.set_m8(0, 0, length)
    endpoint.reply(question, out)


def _addresses(endpoint: Endpoint, question: Message) -> tuple[int, ...]:
    _, count, address, nbytes, _, _ = question.get_m8()
    table = memory.fetch(endpoint, question.source, [(address, nbytes)])[0]
    return struct.unpack(f"<{count}Q", table)
