"""Deadlines of many things, most of which are put off before they come.

A thing has a `deadline`. It is looked at when the one that it had at `arm` comes; by then it has mostly moved on, and
is armed again. So putting off costs nothing, and only an earlier deadline costs a place in the heap.
"""

import heapq
import itertools
from typing import Protocol

NEVER = float("inf")


class Timed(Protocol):
    """Something that wants to be looked at in time."""

    @property
    def deadline(self) -> float:
        """When, at the latest."""
        ...


class Timers:
    """A heap of (time, thing)."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._armed: dict[Timed, float] = {}
        self._serial = itertools.count()

    def __len__(self) -> int:
        return len(self._armed)

    def armed(self, thing: Timed) -> float:
        """Return when a thing will be looked at."""
        return self._armed.get(thing, NEVER)

    def arm(self, thing: Timed) -> None:
        """Look at a thing by its present deadline."""
        when = thing.deadline
        if when < self._armed.get(thing, NEVER):
            self._armed[thing] = when
            heapq.heappush(self._heap, (when, next(self._serial), thing))

    def forget(self, thing: Timed) -> None:
        """Look at it no more."""
        self._armed.pop(thing, None)

    @property
    def deadline(self) -> float:
        """When `due` should be asked next."""
        heap = self._heap
        while heap and self._armed.get(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else NEVER

    def due(self, now: float) -> list[Timed]:
        """Return the things whose deadline has come. They are armed no more."""
        found: list[Timed] = []
        heap, armed = self._heap, self._armed
        while heap and heap[0][0] <= now:
            when, _, thing = heapq.heappop(heap)
            if armed.get(thing) != when:
                continue
            later = thing.deadline
            if later <= now:
                found.append(thing)
            elif later < NEVER:
                armed[thing] = later
                heapq.heappush(heap, (later, next(self._serial), thing))
                continue
            del armed[thing]
        return found
