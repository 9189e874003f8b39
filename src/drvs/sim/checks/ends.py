"""Ends of calls: every code has a cause that the history knows of."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from drvs.base.codes import Code
from drvs.core._core import ANY, NOTIFY, RCVRQST, RECEIVE, REPLY, SEND, SENDREC, VCOPY
from drvs.sim.history import SENDS, Call, Judge, code_name
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from drvs.sim.world import World

#: The codes that each operation may end with here.
LINKS = frozenset({Code.NOTCONN, Code.NOPROXY, Code.NOVMNODE})
GIVEN_UP = frozenset({Code.TIMEDOUT, Code.INTR})
COMMON = LINKS | GIVEN_UP | {Code.OK, Code.AGAIN}
POSSIBLE = {
    SEND: COMMON | {Code.DSTDIED, Code.LOCKED, Code.PROCSTS},  # PROCSTS: it was the answer to a call that had ended
    SENDREC: COMMON | {Code.DSTDIED, Code.SRCDIED, Code.LOCKED},
    RECEIVE: COMMON | {Code.SRCDIED},
    RCVRQST: COMMON,
    REPLY: COMMON | {Code.DSTDIED, Code.PROCSTS},
    NOTIFY: COMMON | {Code.DSTDIED, Code.OVERRUN},
    VCOPY: COMMON | {Code.DSTDIED, Code.SRCDIED, Code.PROCSTS, Code.BUSY},
}


class Ends(Judge):
    """Judges codes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._causes: dict[int, Callable[[Call], bool]] = {
            Code.AGAIN: lambda call: call.nowait,
            Code.TIMEDOUT: lambda call: call.given_up,
            Code.INTR: lambda call: call.given_up,
            Code.DSTDIED: self._has_died,
            Code.SRCDIED: self._has_died,
            Code.PROCSTS: self._does_not_wait,
            **dict.fromkeys(LINKS, self._link_was_lost),
        }

    def ended(self, call: Call) -> None:
        """A call has ended."""
        if not call.code:
            return
        if call.code not in POSSIBLE[call.op]:
            raise Violation(f"{call} ended with {code_name(call.code)}, which it never should")
        cause = self._causes.get(call.code)
        if cause is not None and not cause(call):
            raise Violation(f"{call} ended with {code_name(call.code)}, for which there was no cause")

    def _nodes(self, call: Call) -> list[int]:
        """The nodes that have a part in a call."""
        if call.op != VCOPY:
            return [call.process.node.number, call.node]
        parties = self._world.copies.parties(call)
        return [call.process.node.number, *(party.node.number for party in parties)]

    def _link_was_lost(self, call: Call) -> bool:
        nodes = sorted(set(self._nodes(call)) - {-1})
        return any(self._world.is_disturbed(a, b, call.began) for a in nodes for b in nodes if a < b)

    def _has_died(self, call: Call) -> bool:
        """Whom the call was to has died, or its node has lost what it knew; or so has the caller's."""
        if call.peer == ANY:
            return False
        world, nodes = self._world, set(self._nodes(call)) - {-1}
        if any(world.nodes[number].proxies_lives > 1 for number in nodes):
            return True
        parties = world.copies.parties(call) if call.op == VCOPY else ()
        endpoints = [party.endpoint for party in parties] if parties else [call.peer]
        return any(world.living(call.process.space.vmid, endpoint) is None for endpoint in endpoints)

    def _does_not_wait(self, call: Call) -> bool:
        """The client of an answer has been answered, has given up, has died, or cannot be reached."""
        if not call.answers:
            return True
        request = self._world.history.calls[call.answers - 1]
        if request.code is not None or request.answered or not request.process.alive:
            return True
        if self._another_message_is_under_way(request, call):
            return True
        return self._world.history.disturbed(request.process.node.number, call.process.node.number, request.began)

    def _another_message_is_under_way(self, request: Call, call: Call) -> bool:
        """The process has sent its client another message since: a sendrec takes any from whom it called.

        One that it gave up may have left before.
        """
        since = itertools.takewhile(lambda other: other.number > request.number, reversed(call.process.calls))
        return any(
            other is not call
            and other.peer == call.peer
            and other.op in SENDS
            and (other.code == Code.OK or (other.abroad and other.given_up))
            for other in since
        )
