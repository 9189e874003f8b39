"""A helper thread that makes blocking calls for an event loop, one at a time, each of which can be stopped.

The loop hands over a job and awaits its future. To stop a job the loop sets `stopped` and calls the interrupter until
the job has ended: once is not enough, since the thread may be between looking at `stopped` and falling asleep.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from drvs.base.limits import INTERRUPT_RETRY_MS

T = TypeVar("T")
Interrupter = Callable[[], object]
_RETRY_S = INTERRUPT_RETRY_MS / 1000


class Stopped(Exception):
    """The job was stopped before it began."""


class Job(Generic[T]):
    """One blocking call: made by the helper thread, awaited by the loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, call: Callable[[], T], orphan: Callable[[T], object] | None
    ) -> None:
        self._loop = loop
        self._call = call
        self._orphan = orphan
        self.future: asyncio.Future[T] = loop.create_future()
        self.ended = threading.Event()
        self.stopped = False

    def run(self) -> None:
        """Make the call and tell the loop. A result that no loop can take any more goes to `orphan`."""
        value: Any = None
        error: BaseException | None = None
        try:
            if self.stopped:
                raise Stopped
            value = self._call()
        except BaseException as caught:
            error = caught
        self.ended.set()
        try:
            self._loop.call_soon_threadsafe(self._resolve, value, error)
        except RuntimeError:  # the loop was closed with the call still out
            if error is None and self._orphan is not None:
                self._orphan(value)

    def _resolve(self, value: T, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)


class Helper:
    """The thread. It ends when told to, or when its owner is collected; it never keeps an interpreter from exiting."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=_serve, args=(self._jobs,), name=name, daemon=True)
        self._thread.start()

    async def run(
        self, call: Callable[[], T], interrupt: Interrupter, *, orphan: Callable[[T], object] | None = None
    ) -> T:
        """Make a blocking call in the thread.

        Cancelled, it stops the call, waits until it has ended, hands a result that came all the same to `orphan`, and
        lets the cancellation go on.
        """
        job = Job(asyncio.get_running_loop(), call, orphan)
        self._jobs.put(job)
        try:
            return await asyncio.shield(job.future)
        except asyncio.CancelledError:
            await _stop(job, interrupt)
            if job.future.exception() is None and orphan is not None:
                orphan(job.future.result())
            raise
        except GeneratorExit:  # the loop is gone: nothing can be awaited any more
            _stop_without_loop(job, interrupt)
            raise

    def end(self) -> None:
        """Let the thread end after the jobs it has."""
        self._jobs.put(None)

    def join(self) -> None:
        """Wait until the thread has ended; call `end` first."""
        self._thread.join()


def _serve(jobs: SimpleQueue[Job[Any] | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # an idle thread holds no message


async def _stop(job: Job[Any], interrupt: Interrupter) -> None:
    """Interrupt until the call has ended; further cancellations change nothing about that."""
    job.stopped = True
    while not job.future.done():
        if not job.ended.is_set():
            interrupt()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({job.future}, timeout=_RETRY_S)


def _stop_without_loop(job: Job[Any], interrupt: Interrupter) -> None:
    job.stopped = True
    while not job.ended.is_set():
        interrupt()
        job.ended.wait(_RETRY_S)
