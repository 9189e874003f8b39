"""What lies between each two nodes of a lab: whether it is cut, how slow it is, how much it loses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Link:
    """One link, alike in both directions.

    Attributes:
        a, b: the nodes at its ends, the lower one first.
        cut: nothing passes.
        delay_ms: how much later everything arrives, in each direction.
        loss_percent: how much of it never does.
        passed, lost: frames, datagrams or pieces of a stream so far.
    """

    a: int
    b: int
    cut: bool = False
    delay_ms: float = 0.0
    loss_percent: float = 0.0
    passed: int = 0
    lost: int = 0

    def heal(self) -> None:
        """Be as at the start."""
        self.cut, self.delay_ms, self.loss_percent = False, 0.0, 0.0

    def loses(self) -> bool:
        """Throw the dice for one frame, and count it."""
        lost = self.cut or (self.loss_percent > 0 and random.random() * 100 < self.loss_percent)
        self.lost += lost
        self.passed += not lost
        return lost


class Links:
    """All links between `count` nodes."""

    def __init__(self, count: int) -> None:
        self._links = {(a, b): Link(a, b) for a in range(count) for b in range(a + 1, count)}

    def between(self, a: int, b: int) -> Link:
        """Return the link between two nodes, whatever their order.

        Raises:
            KeyError: there is none.
        """
        return self._links[min(a, b), max(a, b)]

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links.values())
