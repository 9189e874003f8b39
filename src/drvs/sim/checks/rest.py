"""Rest: the network is whole, nothing is under way, nobody begins anything. Whoever still waits must have a reason.

The reason is a living peer that has not done its part: it has not received the message, has not answered the request,
has
sent nothing. Where the peer is on another node, that node must know of the call: a stand-in waits there for the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drvs.core._core import (
    ANY,
    CMD_COPYIN_RQST,
    RECEIVE,
    RTS_FREE,
    RTS_HELD,
    RTS_ONCOPY,
    RTS_RECEIVING,
    RTS_REMOTE,
    RTS_RMTOPER,
    RTS_SENDING,
    SEND,
    SENDREC,
    VCOPY,
)
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drvs.sim.history import Call
    from drvs.sim.process import Process
    from drvs.sim.space import Space
    from drvs.sim.world import World

CALLING = RTS_SENDING | RTS_RECEIVING


class Rest:
    """Judges a world at rest."""

    def __init__(self, world: World) -> None:
        self._world = world
        #: Who waits in a call to an endpoint: by VM and endpoint.
        self._callers: dict[tuple[int, int], list[Process]] = {}
        for process in world.processes:
            if process.call is not None:
                self._callers.setdefault((process.space.vmid, process.call.peer), []).append(process)

    def check(self) -> None:
        """Judge all of it.

        Raises:
            Violation: With everything that is wrong.
        """
        found = [*self._problems()]
        if found:
            raise Violation("at rest: " + "; ".join(found[:10]))

    def check_received(self) -> None:
        """Judge it after everybody has received what waited for him.

        Raises:
            Violation: Something is missing.
        """
        for call in [*self._world.notices.missing(), *self._world.delivery.missing()]:
            raise Violation(f"{call} went well, and what it sent was never received")

    def _problems(self) -> Iterator[str]:
        for space in self._world.spaces():
            yield from (f"VM {space.vmid} at node {space.vm.node}: {text}" for text in space.audit())
            yield from self._stand_ins(space)
        for process in self._world.processes:
            if process.call is not None and (why := self._unexplained(process, process.call)):
                yield f"{process.call} waits, and {why}"
        yield from (
            f"the memory of {name} was written to after its death" for name in self._world.copies.written_after_death()
        )

    # ---- who waits ----

    def _unexplained(self, process: Process, call: Call) -> str:
        """Return why it should not wait any more; "" if it may."""
        rts = process.space.words[process.rts_at]
        if not rts & CALLING or rts & RTS_ONCOPY or (rts & RTS_HELD and not self._is_held_for_good(process)):
            return f"is in state {rts:#x}"
        if call.peer == ANY:
            return self._somebody_sends(process)
        peer = self._world.living(process.space.vmid, call.peer)
        if peer is None:
            return "nobody has that endpoint any more"
        if call.op == RECEIVE:
            return ""
        if peer.node is process.node:
            return self._unexplained_here(process, call, peer, rts)
        return self._unexplained_abroad(process, call, peer, rts)

    def _is_held_for_good(self, process: Process) -> bool:
        """By a copy from elsewhere that was given up, whose requester's node could not say so."""
        space = process.space
        slot = space.word(process.slot, "holder") - 1
        owner = self._world.living(space.vmid, space.signed(slot, "endpoint"))
        return owner is not None and self._could_not_cancel(owner, space.word(slot, "remote_call"))

    def _somebody_sends(self, process: Process) -> str:
        """Somebody whose message it would take must not wait."""
        for other in self._callers.get((process.space.vmid, process.endpoint), ()):
            call = other.call
            if call is None or call.received_by:
                continue
            takes = process.call is not None and (process.call.op == RECEIVE or call.op == SENDREC)
            if call.op in (SEND, SENDREC) and takes:
                return f"so does {call}"
        return ""

    def _unexplained_here(self, process: Process, call: Call, peer: Process, rts: int) -> str:
        if rts & RTS_SENDING:
            return "" if call.received_by is None else "it was received"
        return "" if call.received_by is peer else f"{peer.name} has not received it"

    def _unexplained_abroad(self, process: Process, call: Call, peer: Process, rts: int) -> str:
        if rts & RTS_SENDING and call.op == SENDREC:
            return "the proxies have not taken it"
        there, slot = peer.space, process.slot
        if there.signed(slot, "endpoint") != process.endpoint or there.word(slot, "rts") & RTS_FREE:
            return f"node {peer.node.number} does not know the caller"
        state = there.word(slot, "rts")
        if not state & CALLING:
            return f"node {peer.node.number} knows of no call ({state:#x})"
        if there.word(slot, "remote_call") != process.space.word(process.slot, "out_call"):
            return f"node {peer.node.number} has another call of it"
        waits_for = there.signed(slot, "sendto" if state & RTS_SENDING else "getfrom")
        if waits_for != peer.endpoint:
            return f"waits for {waits_for} at node {peer.node.number}"
        received = call.received_by is not None
        return "" if received != bool(state & RTS_SENDING) else f"is in state {state:#x} at node {peer.node.number}"

    # ---- what is left ----

    def _stand_ins(self, space: Space) -> Iterator[str]:
        """A stand-in that waits must do so for somebody who does."""
        for slot in range(space.region.members):
            rts = space.word(slot, "rts")
            if not rts & RTS_REMOTE or not rts & ~RTS_REMOTE or _has_passed_on(space, slot):
                continue
            endpoint = space.signed(slot, "endpoint")
            owner = self._world.living(space.vmid, endpoint)
            if owner is not None and self._could_not_cancel(owner, space.word(slot, "remote_call")):
                continue
            where = f"VM {space.vmid} at node {space.vm.node}: the stand-in of {endpoint}"
            if owner is None or owner.call is None:
                yield f"{where} is in state {rts:#x}, and its owner {'waits for nothing' if owner else 'is dead'}"
            elif space.word(slot, "remote_call") != owner.space.word(owner.slot, "out_call"):
                yield f"{where} is in state {rts:#x}, for a call that is over"

    def _could_not_cancel(self, owner: Process, number: int) -> bool:
        """Its call ended, and its node could not say so: a process has one command out at most, and the next call was
        that.

        Nor does it where the call ended because the peer's node had forgotten what it was told (its proxies were
        restarted).
        """
        calls = [
            call
            for call in owner.calls
            if call.blocked and (call.abroad or call.op == VCOPY)  # of which a party may be
        ]
        given_up = next((call for call in calls if call.core_number == number and call.code), None)
        return given_up is not None and (not given_up.given_up or calls[-1] is not given_up)


def _has_passed_on(space: Space, slot: int) -> bool:
    """A stand-in whose copy went to a third node: it is not told of the end, and holds nobody."""
    held = space.word(slot, "copy_src") | space.word(slot, "copy_dst") | space.word(slot, "px")
    copying = space.word(slot, "rts") == RTS_REMOTE | RTS_RMTOPER
    return copying and not held and space.word(slot, "out_cmd") == CMD_COPYIN_RQST
