"""The future of a call: a `concurrent.futures.Future` whose waiter fetches the result itself.

A thread in `result` takes the executor's messages as they come until its own has come, so the answer of a worker wakes
the thread that wants it and no other. Those who wait in another way (callbacks, `wait`, `as_completed`) make the
executor's background thread do it.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from drvs.executor.collector import Collector

PENDING, RUNNING, CANCELLED, FINISHED = "PENDING", "RUNNING", "CANCELLED", "FINISHED"


class _Waiters(list[Any]):
    """`wait` and `as_completed` enter themselves here, and then sleep: somebody else has to take the messages."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def append(self, waiter: Any) -> None:
        list.append(self, waiter)
        self._collector.watch()


class CallFuture(Future[Any]):
    """The result of a call, once there is one; see `concurrent.futures.Future`."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector
        self._waiters = _Waiters(collector)

    def result(self, timeout: float | None = None) -> Any:
        """Return what the call returned, or raise what it raised.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            TimeoutError: there was no result in time; the call goes on.
            CancelledError: the call was cancelled.
            WorkerDiedError: its worker died.
        """
        if self._state in (PENDING, RUNNING):
            timeout = self._fetch(timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised, None if it returned; see `result`."""
        if self._state in (PENDING, RUNNING):
            timeout = self._fetch(timeout)
        return super().exception(timeout)

    def _fetch(self, timeout: float | None) -> float | None:
        """Take messages until this call has ended; returns what is left of the timeout."""
        if timeout is None:
            self._collector.wait_for(self, None)
            return None
        deadline = time.monotonic() + timeout
        self._collector.wait_for(self, deadline)
        return max(0.0, deadline - time.monotonic())

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call `fn` with this future when it is done."""
        super().add_done_callback(fn)
        if not self.done():
            self._collector.watch()

    def cancel(self) -> bool:
        """Cancel the call, unless a worker has it already; returns whether it is cancelled."""
        if not super().cancel():
            return False
        with self._condition:
            fresh = self._state == CANCELLED
            if fresh:
                self.set_running_or_notify_cancel()
        if fresh:
            self._collector.kick()
        return True

    def begin(self) -> bool:
        """Mark it running; False if it was cancelled before."""
        with self._condition:
            if self._state != PENDING:
                return self._state == RUNNING  # a call that is repeated
            self._state = RUNNING
            return True

    def fail(self, error: BaseException) -> None:
        """End it with an error, unless it has ended."""
        try:
            self.set_exception(error)
        except InvalidStateError:
            pass  # cancelled, or its result has just come
