"""What a mechanism is: a way for one process to call another with 64 bytes and get 64 back.

Both sides live in processes forked from the one that made the mechanism: `prepare` runs before the forks, `serve` in
the server until it is killed, `connect` and then `batch` and `singles` in the client. Imports that start threads
belong behind the fork, into `serve` and `connect`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import repeat

PAYLOAD = bytes(64)


class Mechanism:
    """One way to call: a subclass gives `serve` and `connect`, and `batch` and `singles` of its own if it is fast."""

    name = "?"
    most_calls = 1 << 24
    """Calls of a batch at most: fewer where a call takes longer than what is counted of it."""

    def missing(self) -> str | None:
        """Return why this mechanism cannot be measured here (a package that is not installed), None if it can."""
        return None

    def prepare(self) -> None:
        """Make what both sides inherit."""

    def serve(self) -> None:
        """Answer until killed."""
        raise NotImplementedError

    def connect(self) -> Callable[[], object]:
        """Return a function that makes one call and waits for its answer."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove what `prepare` made, after both sides are gone."""

    def open(self) -> None:
        """Become the client: `connect`, once."""
        self.call = self.connect()

    def batch(self, calls: int) -> int:
        """Make `calls` calls in a row; returns the nanoseconds of all."""
        call = self.call
        start = time.perf_counter_ns()
        for _ in repeat(None, calls):
            call()
        return time.perf_counter_ns() - start

    def singles(self, calls: int, clock_cost: int) -> list[int]:
        """Time `calls` calls one by one; returns the nanoseconds of each without the clock's own."""
        call, now, times = self.call, time.perf_counter_ns, []
        for _ in repeat(None, calls):
            start = now()
            call()
            times.append(now() - start - clock_cost)
        return times


def read_exactly(read: Callable[[int], bytes], nbytes: int = 64) -> bytes:
    """Read `nbytes` from a stream that may give less at a time."""
    got = read(nbytes)
    while len(got) < nbytes:
        got += read(nbytes - len(got))
    return got
