"""Copies: one that went well has copied exactly those bytes, and a dead process's memory stays as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drvs.core._core import VCOPY
from drvs.sim.dice import dice
from drvs.sim.history import Call, Judge
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from drvs.sim.process import Process
    from drvs.sim.world import World


class Copy:
    """A copy that was asked for."""

    __slots__ = ("alone", "nbytes", "source", "source_bytes", "target", "target_bytes")

    def __init__(self, source: Process, target: Process, nbytes: int, *, alone: bool) -> None:
        self.source, self.target, self.nbytes, self.alone = source, target, nbytes, alone
        self.source_bytes, self.target_bytes = bytes(source.memory), bytes(target.memory)


class Copies(Judge):
    """Judges the memories of processes. A copy that failed may have copied some bytes, and some may still come."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice = dice(world.seed, "memory")
        self._under_way: dict[int, Copy] = {}
        self._all: dict[int, Copy] = {}
        #: Of a target, who began copies for it that failed, and from whom: bytes may still come, even if it waits in
        #: another call by now, until a copy that was begun later has come the same way.
        self._spoilt: dict[Process, set[tuple[Process, Process]]] = {}
        self._dead: list[tuple[Process, bytes]] = []

    def plan(self, call: Call, source: Process, target: Process, nbytes: int) -> None:
        """A copy is about to be asked for."""
        both = {id(source), id(target)}
        involved = [copy for copy in self._under_way.values() if both & {id(copy.source), id(copy.target)}]
        for copy in involved:
            copy.alone = False  # what it copies is not what it was
        clean = not involved and not any(self._spoilt.get(process) for process in (source, target))
        if not involved:
            for process in (one for one in (source, target) if one.alive):
                process.memory.raw = self._dice.randbytes(len(process.memory))
        self._under_way[call.number] = self._all[call.number] = Copy(source, target, nbytes, alone=clean)

    def parties(self, call: Call) -> tuple[Process, Process]:
        """Return source and target of a copy."""
        copy = self._all[call.number]
        return copy.source, copy.target

    def ended(self, call: Call) -> None:
        """A copy has ended."""
        if call.op != VCOPY:
            return
        copy = self._under_way.pop(call.number)
        if call.blocked:
            way = (call.process, copy.source)
            spoilt = self._spoilt.setdefault(copy.target, set())
            spoilt.add(way) if call.code else spoilt.discard(way)
        if not copy.alone:
            return
        expected = copy.source_bytes[: copy.nbytes] + copy.target_bytes[copy.nbytes :]
        found = bytes(copy.target.memory)
        if call.code == 0 and found != expected:
            raise Violation(
                f"{call} of {copy.nbytes} bytes went well, and the target has {_difference(found, expected)}"
            )
        if call.code and not call.blocked and found != copy.target_bytes:
            raise Violation(f"{call} was refused, and has copied all the same")
        if found[copy.nbytes :] != copy.target_bytes[copy.nbytes :]:
            raise Violation(f"{call} has written behind the end of its target")

    def over(self, process: Process) -> None:
        """What is in a dead process's memory stays as it is."""
        for copy in self._under_way.values():
            if process in (copy.source, copy.target):
                copy.alone = False
        self._dead.append((process, bytes(process.memory)))
        if process.call is not None:
            self._under_way.pop(process.call.number, None)

    def written_after_death(self) -> list[str]:
        """Return the names of dead processes whose memory has changed since."""
        return [process.name for process, memory in self._dead if bytes(process.memory) != memory]


def _difference(found: bytes, expected: bytes) -> str:
    at = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
    return f"other bytes from {at} on"
