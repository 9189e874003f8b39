"""What has happened, as facts that checkers judge: calls and how they ended, messages and who received them.

Every call has a number, and what it sends carries that number. So a call that sends *is* its message here. The history
knows nothing of the core: processes tell what they did and what they got.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from drvs.base.codes import Code
from drvs.core._core import NOTIFY, RCVRQST, RECEIVE, RELAY, REPLY, SEND, SENDREC, VCOPY

if TYPE_CHECKING:
    from drvs.core import Message
    from drvs.sim.process import Process

NAMES = {
    SEND: "send", SENDREC: "sendrec", RECEIVE: "receive", RCVRQST: "receive_request", REPLY: "reply", NOTIFY: "notify",
    RELAY: "relay", VCOPY: "copy",
}  # fmt: skip
SENDS = frozenset({SEND, SENDREC, REPLY})
RECEIVES = frozenset({RECEIVE, RCVRQST, SENDREC})


class Call:
    """One call, and the message that it sends if it sends one."""

    __slots__ = (
        "answered", "answers", "began", "blocked", "code", "core_number", "ended", "given_up",
        "node", "nowait", "number", "op", "peer", "process",
        "received_by", "value",
    )  # fmt: skip

    def __init__(self, number: int, process: Process, op: int, peer: int, node: int, began: float) -> None:
        self.number, self.process, self.op, self.peer, self.began = number, process, op, peer, began
        #: The node of `peer`, as the caller knows it; -1: of nobody in particular.
        self.node = node
        #: The request that it answers; 0: none.
        self.answers = 0
        #: A notification's argument.
        self.value = 0
        self.nowait = False
        #: It waits, or has waited.
        self.blocked = False
        #: The number that the core gave it, if it goes to another node.
        self.core_number = 0
        #: The caller has given it up.
        self.given_up = False
        self.code: int | None = None
        self.ended = 0.0
        #: Who received the message; None: nobody yet.
        self.received_by: Process | None = None
        #: The message that came back as the answer.
        self.answered = 0

    @property
    def abroad(self) -> bool:
        """Whether it goes to another node."""
        return self.node not in (-1, self.process.node.number)

    def __str__(self) -> str:
        how = "" if self.code is None else f" ({code_name(self.code)})"
        return f"{NAMES[self.op]} #{self.number} of {self.process.name} to {self.peer} on node {self.node}{how}"


def code_name(code: int) -> str:
    """Return how people call a code."""
    return Code(code).name if code in Code._value2member_map_ else str(code)


class Checker(Protocol):
    """Judges what it is told of; raises a Violation."""

    def began(self, call: Call) -> None:
        """A call is about to be made."""

    def ended(self, call: Call) -> None:
        """A call has ended; its code is known."""

    def received(self, process: Process, message: Message, own: Call) -> None:
        """A message was received, by the call `own`."""

    def over(self, process: Process) -> None:
        """A process has died."""


class Judge:
    """A checker that has nothing to say; others say some of it."""

    def began(self, call: Call) -> None:
        """A call is about to be made."""

    def ended(self, call: Call) -> None:
        """A call has ended; its code is known."""

    def received(self, process: Process, message: Message, own: Call) -> None:
        """A message was received, by the call `own`."""

    def over(self, process: Process) -> None:
        """A process has died."""


class History:
    """All calls, and when links were lost."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._checkers: list[Checker] = []
        self._began: list[Callable[[Call], None]] = []
        self._ended: list[Callable[[Call], None]] = []
        self._received: list[Callable[[Process, Message, Call], None]] = []
        #: Messages received so far.
        self.received_messages = 0
        #: When a node last learned something about the way to another one that matters to calls.
        self._changed: dict[tuple[int, int], float] = {}
        self.now: Callable[[], float] = float

    def judge_by(self, checkers: list[Checker]) -> None:
        """Tell these what happens from now on: each what it has something to say about."""
        self._checkers = checkers
        self._began = [one.began for one in checkers if type(one).began is not Judge.began]
        self._ended = [one.ended for one in checkers if type(one).ended is not Judge.ended]
        self._received = [one.received for one in checkers if type(one).received is not Judge.received]

    def begin(self, process: Process, op: int, peer: int, node: int) -> Call:
        """Return a new call, which is not made yet."""
        call = Call(len(self.calls) + 1, process, op, peer, node, self.now())
        self.calls.append(call)
        process.calls.append(call)
        return call

    def made(self, call: Call) -> None:
        """All there is to know of a call is known, and it is about to be made."""
        for tell in self._began:
            tell(call)

    def end(self, call: Call, code: int) -> None:
        """A call has ended."""
        call.code, call.ended = code, self.now()
        for tell in self._ended:
            tell(call)

    def receive(self, process: Process, message: Message, own: Call) -> None:
        """A message was received."""
        self.received_messages += 1
        for tell in self._received:
            tell(process, message, own)

    def over(self, process: Process) -> None:
        """A process has died."""
        for checker in self._checkers:
            checker.over(process)

    # ---- links ----

    def link_changed(self, here: int, there: int) -> None:
        """A node has learned something about the way to another one."""
        self._changed[here, there] = self.now()

    def session_ended(self, here: int, there: int) -> None:
        """So has one whose session has ended."""
        self._changed[here, there] = self.now()

    def disturbed(self, a: int, b: int, since: float) -> bool:
        """Say whether the link between two nodes has changed since, as either of them sees it."""
        return self._changed.get((a, b), -1.0) >= since or self._changed.get((b, a), -1.0) >= since
