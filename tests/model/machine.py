"""The rules: everything that processes do and suffer, as steps that Hypothesis puts in any order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from model.harness import ANYONE_FROM, LIMITS, MEMBERS, NUMBERS, Harness
from model.numbers import ANY, CALLER, NONE, SELF, Code, Op, VmState

slots = st.integers(0, MEMBERS - 1)
actors = st.integers(0, NUMBERS - 1)
living = st.integers(0, ANYONE_FROM - 1)
strangers = st.sampled_from([SELF, ANY, NONE, -4, 12345, 2**31 - 1, -(2**31)])
peers = st.one_of(living, living, living, living, living, actors, strangers)
sources = st.one_of(st.just(ANY), st.just(ANY), peers)
rarely = st.sampled_from([False] * 9 + [True])
one_in_twenty = st.sampled_from([False] * 19 + [True])
values = st.sampled_from([0, 0, 1, 2, 2**31])
verdicts = st.sampled_from([Code.TIMEDOUT, Code.RESTARTSYS, Code.INTR])
numbers_answered = st.sampled_from([0, 0, 0, 0, 1, 2])
sizes = st.sampled_from([0, 1, 100, 4096, 4097, 2**40])
maps = st.sampled_from([2**64 - 1, 2**64 - 1, 0, 0b10101010, 0b01010101])
trap_masks = st.sampled_from([2**32 - 1, 2**32 - 1, 1 << Op.SEND, ~(1 << Op.SEND) & 2**32 - 1])
p_nrs = st.integers(-LIMITS.nr_tasks - 1, LIMITS.nr_procs)


class Machine(Harness):
    """One VM, twice."""

    # ---- processes ------------------------------------------------------------------------------------------------

    @initialize(bound=st.sets(slots, min_size=5))
    def start(self, bound: set[int]) -> None:
        """Tests begin with some processes."""
        for index in sorted(bound):
            self.bind(index, False, False)

    @rule(index=slots, remote=rarely, backup=rarely)
    def bind(self, index: int, remote: bool, backup: bool) -> None:
        """A process takes a slot, or the slot stands for one elsewhere."""
        want = self.model.encode(index, 0 if self.model.is_system(index) else 3) if remote or backup else 0
        expected = self.model.bind(index, remote=remote, backup=backup, want=want)
        assert self.real.bind(index, remote=remote, backup=backup, want=want) == expected
        if expected[0] == Code.OK:
            self.op_of.pop(index, None)

    @rule(index=slots, force=st.booleans(), another=rarely)
    def unbind_step(self, index: int, force: bool, another: bool) -> None:
        """One step, so that others act between it and the next; sometimes the first of another unbind."""
        closing = [slot.index for slot in self.model.slots if slot.closing]
        if another or closing:
            self.step_of_unbind(index if another else closing[0], force)

    @rule(index=slots, dies=rarely)
    def die(self, index: int, dies: bool) -> None:
        """A process is gone, and buried."""
        if dies:
            self.unbind_all_steps(index)

    @rule(now=one_in_twenty, state=st.sampled_from([VmState.ENDED, VmState.CORRUPT]))
    def end(self, now: bool, state: VmState) -> None:
        """Now and then the VM is over."""
        if now:
            self.model.end(state)
            self.real.end(state)

    # ---- calls ----------------------------------------------------------------------------------------------------

    @rule(actor=actors, peer=peers, nowait=rarely, answers=numbers_answered)
    def send(self, actor: int, peer: int, nowait: bool, answers: int) -> None:
        """Send."""
        self.call(self.slot(actor), Op.SEND, self.endpoint(peer), nowait=nowait, answers=answers)

    @rule(actor=actors, peer=peers, nowait=rarely, answers=numbers_answered)
    def sendrec(self, actor: int, peer: int, nowait: bool, answers: int) -> None:
        """Call."""
        self.call(self.slot(actor), Op.SENDREC, self.endpoint(peer), nowait=nowait, answers=answers)

    @rule(actor=actors, source=sources, nowait=rarely)
    def receive(self, actor: int, source: int, nowait: bool) -> None:
        """Receive from one or from anyone."""
        self.call(self.slot(actor), Op.RECEIVE, self.endpoint(source), nowait=nowait)

    @rule(actor=actors, nowait=rarely)
    def rcvrqst(self, actor: int, nowait: bool) -> None:
        """Receive a request."""
        self.call(self.slot(actor), Op.RCVRQST, ANY, nowait=nowait)

    @rule(actor=actors, peer=peers, answers=numbers_answered)
    def reply(self, actor: int, peer: int, answers: int) -> None:
        """Answer somebody who may not have asked."""
        self.call(self.slot(actor), Op.REPLY, self.endpoint(peer), answers=answers)

    @rule(actor=living, op=st.sampled_from([Op.REPLY, Op.REPLY, Op.SEND]), late=rarely)
    def answer(self, actor: int, op: Op, late: bool) -> None:
        """What a server does; `late`, with the number of another call."""
        me = self.slot(actor)
        client = self.client_of(me)
        if client is not None:
            self.call(me, op, client[0], answers=client[1] + late)

    @rule(actor=actors, source=peers, peer=peers)
    def relay(self, actor: int, source: int, peer: int) -> None:
        """Pass on what nobody may have asked."""
        self.call(self.slot(actor), Op.RELAY, self.endpoint(peer), source=self.endpoint(source))

    @rule(actor=living, peer=living, answers=numbers_answered)
    def pass_on(self, actor: int, peer: int, answers: int) -> None:
        """Pass on a request that was accepted."""
        me = self.slot(actor)
        client = self.client_of(me)
        if client is not None:
            self.call(me, Op.RELAY, self.endpoint(peer), source=client[0], answers=answers)

    @rule(actor=actors, peer=peers, value=values)
    def notify(self, actor: int, peer: int, value: int) -> None:
        """Notify."""
        self.call(self.slot(actor), Op.NOTIFY, self.endpoint(peer), value=value, as_p_nr=CALLER)

    @rule(p_nr=p_nrs, peer=peers, value=values)
    def notify_from_outside(self, p_nr: int, peer: int, value: int) -> None:
        """As noded does for HARDWARE and others that are not bound.

        Not while that number's owner is being unbound: whether it is still dropped with what he sent is left open.
        """
        endpoint = self.endpoint(peer)
        if any(slot.closing and self.model.p_nr(slot.index) == p_nr for slot in self.model.slots):
            return
        self.same(self.model.notify(p_nr, endpoint, value), self.real.notify(p_nr, endpoint, value))

    # ---- waits that end -------------------------------------------------------------------------------------------

    @rule(actor=actors)
    def look(self, actor: int) -> None:
        """Read how a call ended."""
        self.read_end(self.blocked_slot(actor))

    @rule(actor=actors, verdict=verdicts)
    def cancel(self, actor: int, verdict: Code) -> None:
        """Its time is over, or a signal came."""
        me = self.blocked_slot(actor)
        self.same(self.model.cancel(me, verdict), self.real.cancel(me, verdict))

    @rule(peer=peers, really=rarely)
    def wakeup(self, peer: int, really: bool) -> None:
        """A third party ends a receive, or the next one."""
        if really:
            endpoint = self.endpoint(peer)
            self.same(self.model.wakeup(endpoint), self.real.wakeup(endpoint))

    # ---- copies ---------------------------------------------------------------------------------------------------

    @rule(actor=actors, src=peers, dst=peers, nbytes=sizes)
    def copy_begin(self, actor: int, src: int, dst: int, nbytes: int) -> None:
        """A copy between any two."""
        me = self.slot(actor)
        if self.model.slots[me].copy is None:
            call = me, self.endpoint(src), self.endpoint(dst), nbytes
            self.same(self.model.copy_begin(*call), self.real.copy_begin(*call))

    @rule(actor=living, pick=living, to_itself=st.booleans())
    def copy_of_waiting(self, actor: int, pick: int, to_itself: bool) -> None:
        """The usual copies: from or to one that receives, or between two of them."""
        receiving = [slot.endpoint for slot in self.model.slots if slot.receives]
        if receiving:
            src = receiving[pick % len(receiving)]
            dst = SELF if to_itself or len(receiving) == 1 else receiving[(pick + 1) % len(receiving)]
            self.copy_begin_from(self.slot(actor), src, dst)

    def copy_begin_from(self, me: int, src: int, dst: int) -> None:
        """Begin a copy of that slot's."""
        if self.model.slots[me].copy is None:
            self.same(self.model.copy_begin(me, src, dst, 100), self.real.copy_begin(me, src, dst, 100))

    @rule(actor=living)
    def copy_end(self, actor: int) -> None:
        """The bytes have been moved."""
        copying = [slot.index for slot in self.model.slots if slot.copy is not None]
        if copying:
            me = copying[actor % len(copying)]
            self.same(self.model.copy_end(me), self.real.copy_end(me))

    # ---- privileges -----------------------------------------------------------------------------------------------

    @rule(
        index=slots,
        identity=st.integers(0, LIMITS.nr_sysprocs - 1),
        warn=st.just(NONE) | p_nrs,
        traps=trap_masks,
        calls=maps,
        ipc_from=maps,
        ipc_to=maps,
        really=rarely,
    )
    def set_priv(
        self, index: int, identity: int, warn: int, traps: int, calls: int, ipc_from: int, ipc_to: int, really: bool
    ) -> None:
        """Privileges that allow less; mostly all of them, but with another number or a process to warn."""
        priv = replace(self.model.default_priv(index), id=identity, warn=warn)
        if really:
            priv = replace(priv, traps=traps, calls=calls, ipc_from=ipc_from, ipc_to=ipc_to)
        code = self.model.set_priv(index, priv)
        assert self.real.set_priv(index, priv) == code
        if code == Code.OK:
            assert self.real.priv(index) == priv
