"""The bare C ping-pong (csrc/bench/pingpong.h): what is left when everything but the hop is taken away."""

from __future__ import annotations

import mmap
from array import array

from drvs.bench.mechanisms.base import Mechanism
from drvs.core import _core

SPIN_US = 20


class PingPong(Mechanism):
    """64 bytes each way, CPU-aware spin of 20 us, then futex; both loops in C."""

    name = "c-pingpong"
    idle_us = 0

    def prepare(self) -> None:
        self.shared = mmap.mmap(-1, mmap.PAGESIZE)

    def serve(self) -> None:
        _core.pingpong_serve(self.shared, SPIN_US)

    def open(self) -> None:
        self.batch(1)

    def batch(self, calls: int) -> int:
        return _core.pingpong_call(self.shared, calls, SPIN_US, self.idle_us)

    def singles(self, calls: int, clock_cost: int) -> list[int]:
        """`clock_cost` is Python's; C reads the clock in a small part of that, which stays in."""
        times = array("Q", bytes(8 * calls))
        _core.pingpong_call(self.shared, calls, SPIN_US, self.idle_us, times)
        return times.tolist()

    def close(self) -> None:
        self.shared.close()


class PingPongIdle(PingPong):
    """The same with 100 us of sleep before each round, which is not counted."""

    name = "c-pingpong (100 us idle)"
    idle_us = 100
    most_calls = 50


def yardsticks() -> list[Mechanism]:
    """Return the ping-pongs."""
    return [PingPong(), PingPongIdle()]
