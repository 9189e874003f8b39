"""A process: makes one call at a time, and tells the history of it. What it does next is its program's business."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from drvs.base.codes import Code
from drvs.core import CODES, Message
from drvs.core._core import BIND_LOCAL, BLOCKED, CALL_NOWAIT
from drvs.sim.dice import dice
from drvs.sim.history import NAMES, RECEIVES, SENDS, Call, code_name
from drvs.sim.space import BLOCKED as BLOCKED_BITS
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from drvs.sim.node import Node
    from drvs.sim.space import Space

LOCAL_COPY_S = 0.0005


class Request:
    """A request that was received and is not answered yet."""

    __slots__ = ("call", "endpoint", "number")

    def __init__(self, endpoint: int, call: int, number: int) -> None:
        self.endpoint, self.call, self.number = endpoint, call, number


class Process:
    """One bound process, from birth to death."""

    def __init__(self, node: Node, space: Space, slot: int, name: str) -> None:
        pid = os.getpid()
        self.node, self.space, self.slot, self.name = node, space, slot, name
        self.world = node.world
        self.since = self.world.agenda.now
        self.life = node.lives
        code, self.endpoint, self.incarnation = space.region.bind(slot, pid, pid, node.number, BIND_LOCAL, 0, name)
        if code:
            raise Violation(f"{name} could not be bound: {code}")
        space.vm.bound[slot] = self  # type: ignore[assignment]
        space.names[name] = self
        self.alive = True
        self.call: Call | None = None
        #: All that it has called, in this order.
        self.calls: list[Call] = []
        self.dice = dice(self.world.seed, "process", name, self.since)
        self.rts_at, self.seq_at, self.waiting_at = (space.at(slot, field) for field in ("rts", "seq", "waiting"))
        self.memory = self.world.arena.block(self.world.options.memory_bytes)
        #: Requests that it has not answered, by the endpoint of their client.
        self.requests: dict[int, Request] = {}
        #: Endpoints by name, as it last looked them up.
        self.known: dict[str, int] = {}
        self.world.born(self)

    @property
    def address(self) -> int:
        """Where its memory is."""
        return ctypes.addressof(self.memory)

    def over(self) -> None:
        """It is dead."""
        self.alive = False
        self.space.rise(self)
        self.space.names.pop(self.name, None)
        self.world.died(self)
        self.world.history.over(self)

    # ---- calls ----

    def step(self, call: Call, answers: int = 0) -> None:
        """Make a call; go on at once if it has ended at once."""
        message = Message(payload=_payload(call))
        self._made(call)
        code, _ = self.space.region.step(
            self.slot,
            call.op,
            call.peer,
            message,
            flags=CALL_NOWAIT if call.nowait else 0,
            answers=answers,
            value=call.value,
        )
        self._after(call, code, message)

    def copy(self, call: Call, source: Process, target: Process, nbytes: int) -> None:
        """Copy between the memories of two processes, at least one of which is not the caller."""
        self._made(call)
        region = self.space.region
        code, _ = region.copy_far(self.slot, source.endpoint, source.address, target.endpoint, target.address, nbytes)
        if code != Code.LCLPROC:
            self._after(call, code, None)
            return
        code, _, _ = region.copy_begin(self.slot, source.endpoint, target.endpoint, nbytes)
        self.call = call
        if code:
            self._conclude(call, code)
        else:
            delay = LOCAL_COPY_S * self.dice.random()
            self.world.agenda.after(delay, self._copy_here, call, source, target, nbytes)

    def _copy_here(self, call: Call, source: Process, target: Process, nbytes: int) -> None:
        """The bytes of a copy between processes of one node, and its end."""
        if not self.alive or self.call is not call:
            return
        if source.alive and target.alive:
            ctypes.memmove(target.address, source.address, nbytes)
        code, _ = self.space.region.copy_end(self.slot)
        self.space.look()
        self._conclude(call, code)

    def _made(self, call: Call) -> None:
        self.world.history.made(call)
        self.node.note("%s calls %s %s%s #%d%s", self.name, NAMES[call.op], call.peer,
                       " at once" if call.nowait else "", call.number,
                       f", the answer to #{call.answers}" if call.answers else "")  # fmt: skip

    def _after(self, call: Call, code: int, message: Message | None) -> None:
        """A call has been made."""
        self.call = call
        if code == BLOCKED:
            call.blocked = True
            call.core_number = self.space.word(self.slot, "out_call")
            self._sleep()
            self.space.look()
            return
        self._received(call, code, message)
        self.space.look()
        self._conclude(call, code)

    def _sleep(self) -> None:
        self.space.words[self.waiting_at] = 1
        self.space.sleep(self)

    def woken(self) -> None:
        """Somebody has woken it: go on, if the call has ended."""
        words = self.space.words
        if words[self.rts_at] & BLOCKED_BITS:
            self.space.sleep(self)
            return
        words[self.waiting_at] = 0
        self.space.rise(self)
        call = self.call
        assert call is not None
        message = Message()
        code, _, _, _ = self.space.region.finish(self.slot, call.op, message)
        self._received(call, code, message)
        self._conclude(call, code)

    def _conclude(self, call: Call, code: int) -> None:
        """A call has ended."""
        self.call = None
        self.node.note("%s == %s #%d %s", self.name, NAMES[call.op], call.number, code_name(code))
        self.world.history.end(call, code)
        if code and code in _FORGET:
            self._forget(call.peer)
        self.world.program.think(self)

    def _received(self, call: Call, code: int, message: Message | None) -> None:
        """A message has come, if it has: before its sender is told."""
        if code or message is None or call.op not in RECEIVES:
            return
        number = number_of(message)
        self.node.note(
            "%s << %s from %d", self.name, "notification" if message.is_notify else f"#{number}", message.source
        )
        self.world.history.receive(self, message, call)
        if message.is_request:
            self.requests[message.source] = Request(message.source, message.call, number)

    def _forget(self, endpoint: int) -> None:
        """Whoever had that endpoint is gone, as far as this process knows."""
        self.requests.pop(endpoint, None)
        for name in [name for name, known in self.known.items() if known == endpoint]:
            del self.known[name]

    # ---- giving up ----

    def give_up(self, call: Call, verdict: int) -> None:
        """End a call that lasts too long."""
        if self.call is not call or not self.alive or self.seq_at not in self.space.sleepers:
            return
        call.given_up = True
        code, _ = self.space.region.cancel(self.slot, verdict)
        if code == Code.AGAIN:
            raise Violation(f"{call} had ended, and its caller was not woken")
        if code not in (0, BLOCKED):
            raise Violation(f"{call} could not be given up: {code_name(code)}")
        self.space.look()


_FORGET = frozenset({CODES["DSTDIED"], CODES["SRCDIED"], CODES["ENDPOINT"], CODES["RANGE"]})


def _payload(call: Call) -> bytes:
    """What a message carries: the number of its call."""
    return call.number.to_bytes(8, "little") if call.op in SENDS else b""


def number_of(message: Message) -> int:
    """Return the number of the call that sent a message."""
    return int.from_bytes(message.payload[:8], "little")
