"""Where the two sides of a pair run."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """A name and the CPUs that the client and the server may use."""

    name: str
    client: frozenset[int]
    server: frozenset[int]

    @property
    def one_core(self) -> bool:
        """Tell whether both sides share a single core."""
        return len(self.client) == 1 and self.client == self.server


def placements() -> list[Placement]:
    """Return the placements this host has: different cores (if there are two), the same core, unpinned."""
    cpus = sorted(os.sched_getaffinity(0))
    first, every = frozenset(cpus[:1]), frozenset(cpus)
    found = [Placement("same", first, first), Placement("unpinned", every, every)]
    if len(cpus) > 1:
        found.insert(0, Placement("different", first, frozenset(cpus[1:2])))
    return found


def different() -> Placement:
    """Return the placement on two cores, or what comes closest on this host."""
    return placements()[0]
