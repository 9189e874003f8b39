"""The model's random steps, made by real processes that sleep in real futexes (see tests/model for the steps)."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from model.harness import LIMITS
from model.machine import Machine, actors
from model.numbers import Code, Op, VmState
from model.state import Outcome, Result
from model.test_stateful import COMMON
from model.test_walk import LENGTH, first_seed
from model.walk import walk_for

from multiproc.live import Live, is_request

QUICK = settings(max_examples=25, stateful_step_count=40, **COMMON)


class LiveMachine(Machine):
    """The same rules, with a process in every slot.

    A handle fills in which request its owner answers, so the model is told the same number: that of the last request
    which the process has accepted from there and not yet answered.
    """

    real: Live

    def __init__(self) -> None:
        super().__init__()
        self.accepted: dict[tuple[int, int], int] = {}
        self.answering: dict[int, int] = {}  # slot whose call, when it has gone well, was an answer to this one

    def make_real(self) -> Live:
        """Processes."""
        return Live(LIMITS)

    def settle(self, expected: Outcome, got: Outcome) -> Outcome:
        """See who really woke."""
        return Outcome(got.code, self.real.settle(expected.wakes), got.result)

    # ---- which request is answered --------------------------------------------------------------------------------

    def call(self, me: int, op: Op, peer: int, **options: int | bool) -> None:
        """As the handle does it."""
        self.read_end(me)
        client = self.model.decode(int(options["source"]) if op is Op.RELAY else peer)
        if op in (Op.SEND, Op.SENDREC, Op.REPLY, Op.RELAY):
            options["answers"] = self.accepted.get((me, client), 0) if client is not None else 0
        awaited = client is not None and self.model.slots[client].in_reply_half
        super().call(me, op, peer, **options)
        outcome = self.last
        answered = awaited and outcome.code in (Code.OK, Code.BLOCKED) and not self.still_awaits(client, me, op)
        if answered and client is not None:
            self.answering[me] = client
        if outcome.result is not None:
            self.note_end(me, outcome.result)

    def still_awaits(self, client: int | None, me: int, op: Op) -> bool:
        """The client waits for this slot as before: what was sent has queued, and answered nothing."""
        return client is not None and op is not Op.RELAY and self.model.slots[client].in_reply_half

    def read_end(self, me: int) -> None:
        """As ever, and keep which request was accepted."""
        result = self.model.slots[me].result
        super().read_end(me)
        if result is not None and self.model.slots[me].result is None:
            self.note_end(me, result)

    def note_end(self, me: int, result: Result) -> None:
        """A call of this slot is over."""
        client = self.answering.pop(me, None)
        if result.code != Code.OK:
            return
        if is_request(result) and result.source is not None:
            self.accepted[me, self.model.decode(result.source) or 0] = result.call
        if client is not None:
            self.accepted.pop((me, client), None)

    # ---- rules that are different ---------------------------------------------------------------------------------

    @rule(index=st.integers(0, LIMITS.members - 1), remote=st.booleans(), backup=st.booleans())
    def bind(self, index: int, remote: bool, backup: bool) -> None:
        """Mostly processes."""
        before = self.model.slots[index].incarnation
        super().bind(index, remote and backup, backup and remote)
        if self.model.slots[index].incarnation != before:
            self.accepted = {pair: call for pair, call in self.accepted.items() if pair[0] != index}
            self.answering.pop(index, None)

    @rule(actor=actors, verdict=st.none())
    def cancel(self, actor: int, verdict: Code | None) -> None:
        """A signal comes, whatever was meant."""
        super().cancel(actor, Code.RESTARTSYS)

    @rule(now=st.none(), state=st.none())
    def end(self, now: bool | None, state: VmState | None) -> None:
        """VMs end in other tests."""

    def teardown(self) -> None:
        """Everything is taken down, and the processes with it."""
        try:
            super().teardown()
        finally:
            self.real.close()


def test_real_processes_do_what_the_model_says() -> None:
    run_state_machine_as_test(LiveMachine, settings=QUICK)


def test_random_walks_of_real_processes() -> None:
    first = first_seed()
    walk_for(range(first, first + 25), LENGTH, LiveMachine)


@pytest.mark.slow
def test_many_random_walks_of_real_processes() -> None:
    first = first_seed()
    walk_for(range(first, first + 1500), LENGTH, LiveMachine)
