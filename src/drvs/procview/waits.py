"""Who waits on whom in a VM, why, and in which circles.

A blocked process waits on at most one other: the one it sends to, or the one it wants to receive from. So the waits of
a VM are a graph in which nobody has more than one way out, and every circle in it is a deadlock: a circle of senders
is refused by the core before it closes (EMOLLOCKED), but a circle that contains a receiver is legal, and shows here.

    processes = vm.processes()
    view = analyse(processes)
    for edge in view.edges: print(edge)
    for cycle in view.cycles: print(describe_cycle(cycle))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from drvs.api.info import ProcessInfo
from drvs.base.flags import Rts
from drvs.base.ids import ANY


class Wait(NamedTuple):
    """One process that is blocked, on whom, and why.

    `holder` is the process it waits on: None if it waits on nobody in particular (receive from ANY) or on an endpoint
    that is not bound here.
    """

    waiter: ProcessInfo
    holder: ProcessInfo | None
    reason: str

    def __str__(self) -> str:
        return f"{title(self.waiter)} {self.reason}"


class WaitView(NamedTuple):
    """The waits of a VM at one moment: every blocked process once, and the circles among them."""

    edges: tuple[Wait, ...]
    cycles: tuple[tuple[Wait, ...], ...]

    @property
    def deadlocked(self) -> bool:
        """Tell whether somebody waits on himself through others."""
        return bool(self.cycles)


def title(process: ProcessInfo) -> str:
    """Return how a process is called in a sentence: its endpoint, and its name where it has one."""
    return f"{process.endpoint} ({process.name})" if process.name else str(process.endpoint)


def analyse(processes: Iterable[ProcessInfo]) -> WaitView:
    """Return who waits on whom among `processes`, which are those of one VM.

    Args:
        processes: as `VM.processes()` returns them; the order of the edges is theirs.

    Returns:
        Every blocked process with its reason in words, and every circle of waits (each once, from its lowest endpoint
        on).
    """
    known = {int(process.endpoint): process for process in processes}
    edges = tuple(wait for process in known.values() if (wait := wait_of(process, known)) is not None)
    return WaitView(edges, _cycles(edges))


def wait_of(process: ProcessInfo, known: dict[int, ProcessInfo]) -> Wait | None:
    """Return what `process` waits for, None if it is runnable."""
    rts = process.rts
    if rts & Rts.MIGRATING:
        return Wait(process, None, "waits until it has moved")
    if rts & Rts.SENDING:
        return _sending(process, known)
    if rts & Rts.RECEIVING:
        return _receiving(process, known)
    if rts & Rts.ONCOPY:
        return Wait(process, None, "has its memory in a copy")
    return None


def _sending(process: ProcessInfo, known: dict[int, ProcessInfo]) -> Wait:
    holder = known.get(process.sendto)
    what = "to take its request" if process.rts & Rts.RECEIVING else "to receive its message"
    return Wait(process, holder, f"waits for {_named(process.sendto, holder)} {what}{_copying(process)}")


def _receiving(process: ProcessInfo, known: dict[int, ProcessInfo]) -> Wait:
    if process.getfrom == ANY:
        what = "a request" if process.requests_only else "a message"
        return Wait(process, None, f"waits for {what} of anyone{_copying(process)}")
    holder = known.get(process.getfrom)
    what = "to answer" if process.calling else "to send to it"
    return Wait(process, holder, f"waits for {_named(process.getfrom, holder)} {what}{_copying(process)}")


def _named(endpoint: int, holder: ProcessInfo | None) -> str:
    return title(holder) if holder is not None else f"{endpoint} (not bound)"


def _copying(process: ProcessInfo) -> str:
    return ", its memory in a copy" if process.rts & Rts.ONCOPY else ""


def _cycles(edges: Sequence[Wait]) -> tuple[tuple[Wait, ...], ...]:
    """Follow every chain of waits once; a chain that comes back to itself is a circle."""
    by_waiter = {int(wait.waiter.endpoint): wait for wait in edges}
    finished: set[int] = set()
    cycles = []
    for start in by_waiter:
        chain: dict[int, Wait] = {}
        at: int | None = start
        while at is not None and at in by_waiter and at not in chain and at not in finished:
            chain[at] = by_waiter[at]
            holder = by_waiter[at].holder
            at = None if holder is None else holder.endpoint
        if at in chain:
            cycles.append(_turned(list(chain.values())[list(chain).index(at) :]))
        finished.update(chain)
    return tuple(cycles)


def _turned(cycle: list[Wait]) -> tuple[Wait, ...]:
    """Turn a circle so that it begins at its lowest endpoint: the same circle always reads the same."""
    lowest = min(range(len(cycle)), key=lambda index: cycle[index].waiter.endpoint)
    return tuple(cycle[lowest:] + cycle[:lowest])


def describe_cycle(cycle: Sequence[Wait]) -> str:
    """Return a circle of waits as one line: 5 (fs) -> 70 -> 5 (fs)."""
    return " -> ".join([title(wait.waiter) for wait in cycle] + [title(cycle[0].waiter)])
