"""Virtual time: what happens when. Nothing here takes real time, and what happens at one moment keeps its order."""

import heapq
from collections.abc import Callable
from typing import Any

from drvs.sim.violation import Violation

Deed = Callable[..., object]

#: Deeds of one moment that can only be a circle.
AT_ONCE = 20000


class Agenda:
    """A heap of deeds, and the time of the one that is being done."""

    def __init__(self) -> None:
        self.now = 1.0
        #: Deeds done so far, but for reactions.
        self.events = 0
        self._heap: list[tuple[float, int, int, Deed, tuple[Any, ...]]] = []
        self._serial = 0
        self._at_once = 0

    def at(self, when: float, do: Deed, *args: Any) -> None:
        """Call `do(*args)` at a time; at once, if that has passed."""
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, 1, do, args))

    def react(self, when: float, do: Deed, *args: Any) -> None:
        """Do the same with what follows from an event, and is none itself."""
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, 0, do, args))

    def after(self, seconds: float, do: Deed, *args: Any) -> None:
        """Call `do(*args)` that much later."""
        self.at(self.now + seconds, do, *args)

    @property
    def next_at(self) -> float:
        """When the next deed is due."""
        return self._heap[0][0] if self._heap else float("inf")

    def step(self) -> bool:
        """Do the next deed. False: there is none."""
        if not self._heap:
            return False
        when, _, counts, do, args = heapq.heappop(self._heap)
        if when > self.now:
            self.now, self._at_once = when, 0
        else:
            self._at_once += 1
            if self._at_once > AT_ONCE:
                raise Violation(f"{AT_ONCE} things happened at one moment: {do} is called again and again")
        self.events += counts
        do(*args)
        return True
