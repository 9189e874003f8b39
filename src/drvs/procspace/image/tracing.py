"""A thread for what traces: the kernel lets go of all that it holds when it ends.

PTRACE_DETACH takes only a thread that stands still. One that sleeps where nothing reaches it, is dying, or is just
executing a program (and changes its id meanwhile) stops later, for a tracer that looks no more, and would stand until
that ends. No loop of ours has a good end there: such a sleep may last for hours. But whatever a tracer holds when it
*ends*, Linux lets go of, in any state and under any id, the dead included, whom somebody waits for. So who traces is a
thread that ends with its work; what stands still has been detached by then, and the kernel sees to the rest.

The caller waits meanwhile, and looks after the dead: see `Tracer.collect_dead`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from drvs.core._core import image_interrupt
from drvs.procspace.image.errors import ImageError

T = TypeVar("T")
_TEND_S, _END_S = 0.02, 1.0


def trace(work: Callable[[], T], tend: Callable[[], None]) -> T:
    """Do work in a thread of its own, and return when that has let go of all it traced.

    What a signal handler of the caller raises meanwhile breaks the work off.

    Args:
        work: what to do there.
        tend: called in the calling thread, every now and then.

    Raises:
        BaseException: what `work` raises.
        ImageError: there is no thread left for it.
    """
    worker = _Worker(work)
    try:
        worker.start()
    except RuntimeError as error:
        raise ImageError(f"no thread could be started for the dump: {error}.") from None
    try:
        while worker.is_alive():
            worker.join(_TEND_S)
            tend()
    except BaseException:
        worker.break_off()
        raise
    worker.await_end()
    return worker.result()


class _BrokenOff(BaseException):
    """The caller does not want it any more."""


class _Worker(threading.Thread, Generic[T]):
    """Does one piece of work, and ends."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="drvs-dump", daemon=True)
        self._work = work
        self._lock = threading.Lock()
        self._over = False
        self._done: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            try:
                self._done.append(self._work())
            except BaseException as error:
                self._error = error
            with self._lock:
                self._over = True
        except _BrokenOff:
            pass  # just too late

    def result(self) -> T:
        """Return what the work returned, or raise what it raised."""
        if self._error:
            raise self._error
        return self._done[0]

    def break_off(self) -> None:
        """Raise an exception in the middle of the work, and wait until it has been dealt with.

        Who is interrupted again waits no more; a thread that hangs in a write to a full pipe lets go when that ends.
        """
        with self._lock:
            if not self._over and self.ident:
                image_interrupt(self.ident, _BrokenOff)
        self.join()
        self.await_end()

    def await_end(self) -> None:
        """Wait for the kernel, too, to be done with it: Python's thread ends some microseconds earlier."""
        until = time.monotonic() + _END_S
        while os.path.exists(f"/proc/self/task/{self.native_id}") and time.monotonic() < until:
            os.sched_yield()
