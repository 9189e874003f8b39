"""Chance: one stream for each thing that needs it, all made from one seed.

So what one part of a simulation draws changes nothing for another: a history without cuts has the same calls as the one
with them, until a cut would have mattered.
"""

import random


def dice(seed: int, *whose: object) -> random.Random:
    """Return a stream of chance of its own."""
    return random.Random("/".join(map(str, (seed, *whose))))


def soon(chance: random.Random, mean: float) -> float:
    """Return a time with that mean, mostly shorter and sometimes much longer."""
    return chance.expovariate(1.0) * mean


def between(chance: random.Random, bounds: tuple[float, float]) -> float:
    """Return a time within bounds."""
    return bounds[0] + (bounds[1] - bounds[0]) * chance.random()
