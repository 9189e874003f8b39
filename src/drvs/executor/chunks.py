"""Many small calls in one: what `map` sends, and what a worker makes of it.

The size of a chunk follows from how long the calls take: the first have one call, later ones as many as fill about a
millisecond, and never so many that workers would stand idle at the end. A chunk is the unit of failure: a worker that
dies takes the results of its chunk with it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from drvs.executor import failures
from drvs.executor.future import CallFuture

if TYPE_CHECKING:
    from drvs.executor.collector import Collector

AIM_NS = 1_000_000
GROWTH = 8
#: Chunks that are out or queued, for each worker: one runs, one waits behind it.
AHEAD = 2

#: results, the report of the exception that ended the chunk, how long it took
Done = tuple[list[Any], "failures.Report | None", int]


def run_chunk(function: Callable[..., Any], items: Sequence[tuple[Any, ...]]) -> Done:
    """Make one call after the other, up to the first that raises."""
    began = time.perf_counter_ns()
    results: list[Any] = []
    try:
        results.extend(function(*item) for item in items)
    except BaseException as error:
        return results, failures.report(error), 0
    return results, None, time.perf_counter_ns() - began


class ChunkFuture(CallFuture):
    """The future of a chunk; when it ends, the next chunk is sent, by the thread that ends it."""

    def __init__(self, collector: Collector, ended: Callable[[int, int], None], calls: int) -> None:
        super().__init__(collector)
        self._ended = ended
        self._calls = calls

    def set_result(self, result: Done) -> None:
        """End it."""
        super().set_result(result)
        self._ended(self._calls, result[2])

    def set_exception(self, exception: BaseException | None) -> None:
        """End it."""
        super().set_exception(exception)
        self._ended(0, 0)


class Chunks:
    """The calls of one `map`: cut into chunks as they are needed, and their results in order.

    Args:
        items: arguments of each call.
        chunksize: calls of a chunk; None finds it.
        workers: how many there are to keep busy.
        submit: enters a future in `futures`, then sends the chunk.
    """

    def __init__(
        self,
        items: Sequence[tuple[Any, ...]],
        chunksize: int | None,
        workers: int,
        submit: Callable[[Chunks, Sequence[tuple[Any, ...]]], None],
    ) -> None:
        self._items = items
        self._at = 0
        self._size = chunksize or 1
        self._fixed = chunksize is not None
        self._workers = workers
        self._submit = submit
        self._out = 0
        self._feeding = False
        self._lock = threading.Lock()
        self.futures: deque[ChunkFuture] = deque()
        self.given_up = False

    def feed(self) -> None:
        """Send chunks until there are enough on their way. One thread does; others only say that a chunk has ended."""
        with self._lock:
            if self._feeding:
                return
            self._feeding = True
        while (part := self._next_part()) is not None:
            self._submit(self, part)

    def _next_part(self) -> Sequence[tuple[Any, ...]] | None:
        with self._lock:
            left = len(self._items) - self._at
            if self._out >= AHEAD * self._workers or left <= 0 or self.given_up:
                self._feeding = False
                return None
            size = self._size if self._fixed else max(1, min(self._size, left // (AHEAD * self._workers)))
            part = self._items[self._at : self._at + size]
            self._at += size
            self._out += 1
            return part

    def ended(self, calls: int, took_ns: int) -> None:
        """Learn from a chunk that has ended, and send the next."""
        with self._lock:
            self._out -= 1
            if not self._fixed and calls and took_ns:
                self._size = max(1, min(calls * AIM_NS // took_ns, GROWTH * calls))
        self.feed()

    def give_up(self) -> None:
        """Nobody wants the rest."""
        self.given_up = True
        for future in self.futures:
            future.cancel()

    @property
    def more(self) -> bool:
        """Whether there is a chunk to wait for."""
        return bool(self.futures)
