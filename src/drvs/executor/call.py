"""One call on its way, and a worker as the executor sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drvs.core import Message

if TYPE_CHECKING:
    from drvs.executor.future import CallFuture


class Options:
    """How calls are to be treated.

    Attributes:
        timeout: seconds that a call may run; its worker is killed then. None: any time.
        retries: how often a call whose worker died is run again.
    """

    __slots__ = ("retries", "timeout")

    def __init__(self, timeout: float | None = None, retries: int = 0) -> None:
        self.timeout = timeout
        self.retries = retries


USUAL = Options()


class Call:
    """One call: its pickle and the buffers beside it, which are kept alive until it has ended."""

    __slots__ = ("buffers", "deadline", "future", "options", "stream", "tries")

    def __init__(self, future: CallFuture, stream: bytes, buffers: list[memoryview], options: Options) -> None:
        self.future = future
        self.stream = stream
        self.buffers = buffers
        self.options = options
        self.tries = 0
        self.deadline = 0.0


WAITING, SENDING, SENT = range(3)
_NOTHING = Message()


class WorkerState:
    """One worker.

    Attributes:
        rank: its number, never used again.
        pid: its process, 0 until the spawner has told.
        endpoint: where it asks from, 0 until it has.
        inbox: address of the memory where it takes calls.
        call: what it runs, or is about to be given.
        state: how far the call has come: WAITING to be sent, SENDING, SENT.
        question: what it asked, while it waits at the outlet.
        done: calls that it has finished.
        verdict: why it was killed, for the call it ran. None: it died by itself.
    """

    __slots__ = ("call", "done", "endpoint", "inbox", "pid", "question", "rank", "state", "verdict")

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.pid = 0
        self.endpoint = 0
        self.inbox = 0
        self.call: Call | None = None
        self.state = WAITING
        self.question = _NOTHING
        self.done = 0
        self.verdict: str | None = None
