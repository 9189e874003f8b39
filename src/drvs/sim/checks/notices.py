"""Notifications: each arrives, alone or merged with others of its source, and nothing arrives that was not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drvs.core._core import NOTIFY
from drvs.sim.history import Call, Judge
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from drvs.core import Message
    from drvs.sim.process import Process
    from drvs.sim.world import World


class Pending:
    """What one process has told another one by notifications that has not been received."""

    __slots__ = ("bits", "calls", "seen")

    def __init__(self) -> None:
        self.bits = 0
        self.seen = 0
        self.calls: list[Call] = []


class Notices(Judge):
    """Judges notifications by the bits of their arguments, which are ORed where they meet."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: dict[tuple[int, int], Pending] = {}  # by id of the source process, and destination endpoint

    def began(self, call: Call) -> None:
        """It may be received before its call has ended."""
        if call.op == NOTIFY:
            pending = self._pending.setdefault((id(call.process), call.peer), Pending())
            pending.bits |= call.value
            pending.calls.append(call)

    def ended(self, call: Call) -> None:
        """One that was not made is not waited for; one that was given up may arrive."""
        if call.op == NOTIFY and call.code and not call.blocked:
            pending = self._pending[id(call.process), call.peer]
            pending.calls.remove(call)

    def received(self, process: Process, message: Message, own: Call) -> None:
        """A notification was received."""
        if not message.is_notify:
            return
        value = message.m9_l1 & 0xFFFFFFFF
        source = self._world.sender_of(process.space.vmid, message.source)
        pending = next(
            (p for s in source if (p := self._pending.get((id(s), process.endpoint))) and value & ~p.bits == 0), None
        )
        if pending is None:
            raise Violation(f"{process.name} received notification {value:#x} of {message.source}, which was not sent")
        first = {bit: call for call in reversed(pending.calls) for bit in _bits(call.value & value)}
        if not first:
            raise Violation(f"{process.name} received notification {value:#x} of {message.source} twice")
        for call in pending.calls:
            if call.value & value:
                call.received_by = process  # if it is not the first with its bit, perhaps: it may also be on its way
        surely = {*first.values()}
        pending.calls = [call for call in pending.calls if call not in surely]

    def missing(self) -> list[Call]:
        """Return notifications that went well and were not received, though nothing happened on their way."""
        return [call for pending in self._pending.values() for call in pending.calls if self._should_be_there(call)]

    def _should_be_there(self, call: Call) -> bool:
        there = self._world.living(call.process.space.vmid, call.peer)
        if (
            call.code != 0
            or call.received_by is not None
            or there is None
            or there.since > call.began
            or not call.process.alive
        ):
            return False
        return not self._world.history.disturbed(call.process.node.number, there.node.number, call.began)


def _bits(value: int) -> list[int]:
    return [1 << at for at in range(value.bit_length()) if value >> at & 1]
