"""Virtual time: what happens when. Nothing here takes real time, and what happens at one moment keeps its order.

A large cluster has a hundred thousand deeds before it. So only those of the millisecond at hand are kept in order, in a
heap; later ones lie in a heap for each millisecond that is put in order when it comes.
"""

import heapq
from collections.abc import Callable
from typing import Any

from drvs.sim.violation import Violation

Deed = Callable[..., object]

#: When, which one, whether it counts as an event, and what to do.
_Entry = tuple[float, int, int, Deed, tuple[Any, ...]]

#: Deeds of one moment that can only be a circle.
AT_ONCE = 20000
#: Parts of a second that are put in order as one.
PARTS = 1024


class Agenda:
    """Deeds to be done, and the time of the one that is being done."""

    def __init__(self) -> None:
        self.now = 1.0
        #: Deeds done so far, but for reactions.
        self.events = 0
        self._part = PARTS  # that of `now`
        self._present: list[_Entry] = []  # a heap: of this part
        self._later: dict[int, list[_Entry]] = {}  # in any order: of each later part
        self._parts: list[int] = []  # a heap: the later parts
        self._serial = 0
        self._at_once = 0

    def at(self, when: float, do: Deed, *args: Any) -> None:
        """Call `do(*args)` at a time; at once, if that has passed."""
        self._enter(when, 1, do, args)

    def react(self, when: float, do: Deed, *args: Any) -> None:
        """Do the same with what follows from an event, and is none itself."""
        self._enter(when, 0, do, args)

    def after(self, seconds: float, do: Deed, *args: Any) -> None:
        """Call `do(*args)` that much later."""
        self._enter(self.now + seconds, 1, do, args)

    def _enter(self, when: float, counts: int, do: Deed, args: tuple[Any, ...]) -> None:
        self._serial += 1
        entry = when, self._serial, counts, do, args
        part = int(when * PARTS)
        if part <= self._part:
            heapq.heappush(self._present, entry)
        elif part in self._later:
            self._later[part].append(entry)
        else:
            self._later[part] = [entry]
            heapq.heappush(self._parts, part)

    def step(self) -> bool:
        """Do the next deed. False: there is none."""
        if not self._present:
            if not self._parts:
                return False
            self._part = heapq.heappop(self._parts)
            self._present = self._later.pop(self._part)
            heapq.heapify(self._present)
        when, _, counts, do, args = heapq.heappop(self._present)
        if when > self.now:
            self.now, self._at_once = when, 0
        else:
            self._at_once += 1
            if self._at_once > AT_ONCE:
                raise Violation(f"{AT_ONCE} things happened at one moment: {do} is called again and again")
        self.events += counts
        do(*args)
        return True
