"""Delivery: once at most, in order, to whom it was for; what was acknowledged was delivered (DESIGN section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drvs.core._core import REPLY, RTS_ONCOPY, SEND, SENDREC
from drvs.sim.history import Call, Judge, code_name
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from drvs.core import Message
    from drvs.sim.process import Process
    from drvs.sim.world import World


class Delivery(Judge):
    """Judges messages."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._calls = world.history.calls
        self._newest: dict[tuple[int, int], int] = {}
        #: Delivered, but to processes that a copy holds: they have not seen it yet.
        self._owed: list[Call] = []

    def received(self, process: Process, message: Message, own: Call) -> None:
        """A message was received."""
        if message.is_notify:
            return
        number = int.from_bytes(message.payload[:8], "little")
        if not 0 < number <= len(self._calls):
            raise Violation(f"{process.name} received a message that nobody has sent")
        sent = self._calls[number - 1]
        self._check_parties(process, message, sent)
        self._check_once(process, sent)
        self._check_order(process, sent)
        if own.op == SENDREC:
            self._check_answer(own, sent)
        sent.received_by = process

    def _check_parties(self, process: Process, message: Message, sent: Call) -> None:
        if (message.source, sent.peer) != (sent.process.endpoint, process.endpoint):
            raise Violation(f"{process.name} ({process.endpoint}) received {sent}, with source {message.source}")
        if sent.process.space.vmid != process.space.vmid:
            raise Violation(f"{process.name} received {sent} of another VM")
        if sent.began < process.since:
            raise Violation(f"{process.name} received {sent}, which was sent before it was born, to another one")
        if message.is_request != (sent.op == SENDREC):
            raise Violation(f"{process.name} received {sent}, as {'a' if message.is_request else 'no'} request")

    def _check_once(self, process: Process, sent: Call) -> None:
        if sent.received_by is not None:
            raise Violation(f"{sent} was received twice: by {sent.received_by.name} and by {process.name}")
        if sent.code is not None and sent.code != 0 and never_arrives(sent):
            raise Violation(f"{process.name} received {sent}, after that had ended with {code_name(sent.code)}")

    def _check_order(self, process: Process, sent: Call) -> None:
        way = id(sent.process), id(process)
        if sent.number < self._newest.get(way, 0):
            raise Violation(f"{process.name} received {sent} after the later #{self._newest[way]}")
        self._newest[way] = sent.number

    def _check_answer(self, own: Call, sent: Call) -> None:
        if own.answered:
            raise Violation(f"{own} was answered by #{own.answered} and by {sent}")
        if own.received_by is None:
            raise Violation(f"{own} was answered by {sent} before it was received")
        if own.received_by is not sent.process:
            raise Violation(f"{own} was received by {own.received_by.name} and answered by {sent}")
        if sent.answers not in (0, own.number):
            raise Violation(f"{own} got the answer to #{sent.answers}, {sent}")
        own.answered = sent.number

    def ended(self, call: Call) -> None:
        """What ended well was received; what ended with a code that says so was not."""
        if call.op not in (SEND, SENDREC, REPLY):
            return
        if call.code == 0:
            if call.received_by is None and not _may_be_under_way(call):
                self._owe(call)
        elif call.received_by is not None and never_arrives(call):
            raise Violation(f"{call} was received by {call.received_by.name} all the same")

    def _owe(self, call: Call) -> None:
        """It has ended before its receiver went on: that must be in a copy, or have died in it."""
        there = self._world.living(call.process.space.vmid, call.peer)
        if there is not None and not there.space.words[there.rts_at] & RTS_ONCOPY:
            raise Violation(f"{call} ended well, and nobody has received it")
        self._owed.append(call)

    def missing(self) -> list[Call]:
        """Return what was delivered to somebody who lives and has not got it."""
        living = self._world.living
        return [call for call in self._owed if call.received_by is None and living(call.process.space.vmid, call.peer)]


def _may_be_under_way(call: Call) -> bool:
    """An answer that waits for no acknowledgement, to another node."""
    return call.abroad and call.nowait


#: Codes that say that a message was not and will not be received, even where its call had to wait.
REFUSALS = frozenset(
    {"LOCKED", "CALLDENIED", "ENDPOINT", "RANGE", "AGAIN", "PROCSTS", "SLOTUSED", "LCLPROC", "NOTBIND", "BADVMID"}
)


def never_arrives(call: Call) -> bool:
    """Say whether the code of a call that has failed says that nobody has received its message."""
    assert call.code is not None
    name = code_name(call.code)
    if not call.blocked or name in REFUSALS:
        return True
    if call.op == SENDREC:
        return name == "DSTDIED"
    return not call.abroad
