"""One VM twice, in the model and in the core: the same call made of both, and all that shows compared."""

from __future__ import annotations

from hypothesis.stateful import RuleBasedStateMachine, invariant

from model.management import Model
from model.numbers import Code, Op
from model.real import Real
from model.state import Limits, Outcome

LIMITS = Limits()
MEMBERS = LIMITS.members

NUMBERS = 100
"""Actors and peers are drawn as numbers below this, to which the state of the moment gives a meaning."""

ANYONE_FROM = 92
"""From here on a number means just any slot, so that refusals are met too; below, only a process that is there."""


class Harness(RuleBasedStateMachine):
    """What all the rules need."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(LIMITS)
        self.real = self.make_real()
        self.last = Outcome(Code.OK)
        self.op_of: dict[int, Op] = {}  # of calls that have blocked and whose end has not been read
        self.messages = 0

    def make_real(self) -> Real:
        """What the model is compared with."""
        return Real(LIMITS)

    # ---- comparing ------------------------------------------------------------------------------------------------

    def same(self, expected: Outcome, got: Outcome) -> Outcome:
        """Both did the same and woke the same."""
        got = self.settle(expected, got)
        assert got.code == expected.code, f"{got.code!r}, not {expected.code!r}"
        assert sorted(got.wakes) == sorted(expected.wakes), f"woke {got.wakes}, not {expected.wakes}"
        return got

    def settle(self, expected: Outcome, got: Outcome) -> Outcome:
        """Nothing, where a step is over when it returns."""
        return got

    @invariant()
    def slots_are_the_same(self) -> None:
        """Every slot shows what the model says."""
        for index in range(MEMBERS):
            snapshot, expected = self.real.snapshot(index), self.model.visible(index)
            shown = {key: snapshot[key] for key in expected}
            assert shown == expected, f"slot {index} shows {shown}, not {expected}"

    @invariant()
    def the_audit_passes(self) -> None:
        """No invariant of the tables is broken."""
        assert self.real.audit() == []

    # ---- what a drawn number means --------------------------------------------------------------------------------

    def slot(self, actor: int) -> int:
        """Who acts: a process that can."""
        able = [slot.index for slot in self.model.slots if slot.runnable and not slot.remote]
        return able[actor % len(able)] if able and actor < ANYONE_FROM else actor % MEMBERS

    def blocked_slot(self, actor: int) -> int:
        """Whose wait is cut short, or ended and is looked at: one that has called."""
        calling = sorted(self.op_of)
        return calling[actor % len(calling)] if calling and actor < ANYONE_FROM else actor % MEMBERS

    def endpoint(self, peer: int) -> int:
        """Who is spoken to: a process that is there, any slot by a number old or new, or what the number says."""
        if not 0 <= peer < NUMBERS:
            return peer
        there = [slot.endpoint for slot in self.model.slots if slot.alive and not slot.remote]
        if peer < ANYONE_FROM and there:
            return there[peer % len(there)]
        return self.model.endpoints_of(peer % MEMBERS)[peer // MEMBERS % 2]

    def client_of(self, me: int) -> tuple[int, int] | None:
        """Endpoint and call number of a client that waits for this slot's answer."""
        for client in self.model.slots:
            if client.in_reply_half and client.receiving == self.model.slots[me].endpoint:
                return client.endpoint, client.call
        return None

    # ---- acting in both -------------------------------------------------------------------------------------------

    def call(self, me: int, op: Op, peer: int, **options: int | bool) -> None:
        """One call of a slot; the end of the one before is read first."""
        self.read_end(me)
        self.messages += 1
        body = self.messages.to_bytes(4, "little") * 15
        expected = self.model.step(me, op, peer, body, **options)
        self.last = got = self.same(expected, self.real.step(me, op, peer, body, **options))
        if expected.code == Code.BLOCKED:
            self.op_of[me] = op
        elif expected.code == Code.OK:
            assert got.result == expected.result, f"slot {me} got {got.result}, not {expected.result}"

    def read_end(self, me: int) -> None:
        """Read how the call of a slot ended, if it has."""
        slot = self.model.slots[me]
        if me not in self.op_of or slot.result is None or slot.copying:
            return
        expected, slot.result = slot.result, None
        got = self.real.finish(me, self.op_of.pop(me))
        assert got == expected, f"slot {me} got {got}, not {expected}"

    def step_of_unbind(self, index: int, force: bool) -> Code:
        """One step of an unbind."""
        expected = self.model.unbind_step(index, Code.SHUTDOWN, force=force)
        return self.same(expected, self.real.unbind_step(index, Code.SHUTDOWN, force=force)).code

    def unbind_all_steps(self, index: int) -> None:
        """A whole unbind, by force, looked at after each step."""
        while self.step_of_unbind(index, True) == Code.MORE:
            self.slots_are_the_same()
            self.the_audit_passes()

    def teardown(self) -> None:
        """Whatever ended and was not read is right too, and everything can be taken down."""
        for index in range(MEMBERS):
            self.read_end(index)
        for index in range(MEMBERS):
            self.unbind_all_steps(index)
        self.slots_are_the_same()
        self.the_audit_passes()
