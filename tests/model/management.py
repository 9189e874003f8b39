"""The rest of the reference model: what is done to processes from outside, and the copies they make."""

from __future__ import annotations

from model.kernel import Kernel, Refused
from model.numbers import ANY, NONE, SELF, Code, Op, VmState
from model.state import Copy, Outcome, Priv, Result, Slot


class Model(Kernel):
    """The whole VM."""

    # ---- waits cut short ------------------------------------------------------------------------------------------

    def cancel(self, me: int, verdict: Code) -> Outcome:
        """Give up a blocked call (timeout, signal, interrupt)."""
        self._wakes = []
        slot = self.slots[me]
        if not slot.alive or not slot.blocked:
            return Outcome(Code.BLOCKED if slot.alive and slot.copying else Code.AGAIN)
        self._end_wait(slot, Result(verdict))
        return Outcome(Code.BLOCKED if slot.copying else Code.OK, self._wakes)

    def wakeup(self, endpoint: int) -> Outcome:
        """Abort a receive, or remember it for the next one."""
        self._wakes = []
        try:
            self.check_vm()
            slot = self.destination(None, endpoint)
        except Refused as refused:
            return Outcome(refused.code)
        if slot.receives and slot.call == 0:
            self._end_wait(slot, Result(Code.WOKENUP))
        else:
            slot.woken = True
        return Outcome(Code.OK, self._wakes)

    # ---- copies ---------------------------------------------------------------------------------------------------

    def copy_begin(self, me: int, src: int, dst: int, nbytes: int) -> Outcome:
        """Hold the parties of a copy still; the caller as a party needs no holding."""
        caller = self.slots[me]
        try:
            self.check_caller(caller, Op.VCOPY)
            if nbytes > self.limits.copy_len_max:
                raise Refused(Code.RANGE)
            parties = self._party(caller, src, Code.SRCDIED), self._party(caller, dst, Code.DSTDIED)
            if parties[0] is parties[1]:
                raise Refused(Code.ENDPOINT)
            for party in parties:
                self._check_party(caller, party)
        except Refused as refused:
            return Outcome(refused.code)
        caller.copy = Copy(parties[0].index, parties[1].index, parties[0].incarnation, parties[1].incarnation)
        for party in parties:
            party.copying = party is not caller
        return Outcome(Code.OK)

    def _party(self, caller: Slot, endpoint: int, died: Code) -> Slot:
        if endpoint in (SELF, caller.endpoint):
            return caller
        return self.destination(caller, endpoint, died)

    def _check_party(self, caller: Slot, party: Slot) -> None:
        if party is caller:
            return
        if party.copying:
            raise Refused(Code.BUSY)
        if not party.receives:
            raise Refused(Code.PROCSTS)

    def copy_end(self, me: int) -> Outcome:
        """Let both parties go."""
        self._wakes = []
        copy = self.slots[me].copy
        if copy is None:
            return Outcome(Code.BADVMID)
        code = Code.OK
        for index, incarnation, died in (
            (copy.dst, copy.dst_incarnation, Code.DSTDIED),
            (copy.src, copy.src_incarnation, Code.SRCDIED),
        ):
            if not self.slots[index].alive or self.slots[index].incarnation != incarnation:
                code = died
        self._release_parties(self.slots[me])
        return Outcome(code, self._wakes)

    def _release_parties(self, owner: Slot) -> None:
        copy, owner.copy = owner.copy, None
        if copy is None:
            return
        for index, incarnation in (copy.src, copy.src_incarnation), (copy.dst, copy.dst_incarnation):
            party = self.slots[index]
            if party is not owner and party.copying and party.incarnation == incarnation:
                party.copying = False
                if not party.blocked:
                    self._wakes.append(index)

    # ---- bind and unbind ------------------------------------------------------------------------------------------

    def bind(self, index: int, *, remote: bool = False, backup: bool = False, want: int = 0) -> tuple[Code, int, int]:
        """A process takes a slot: (code, endpoint, incarnation)."""
        try:
            self.check_vm()
        except Refused as refused:
            return refused.code, 0, 0
        old = self.slots[index]
        if old.bound:
            return Code.BUSY, 0, 0
        if want and self.decode(want) != index:
            return Code.ENDPOINT, 0, 0
        slot = Slot(
            index, bound=True, remote=remote or backup, backup=backup, incarnation=old.incarnation + 1, calls=old.calls
        )
        slot.generation = (want + self.limits.nr_tasks) // self.limits.gen_size if want else self._next_generation(old)
        slot.endpoint = self.encode(index, slot.generation)
        slot.priv = self.default_priv(index)
        self.slots[index] = slot
        return Code.OK, slot.endpoint, slot.incarnation

    def _next_generation(self, old: Slot) -> int:
        highest = (2**31 - 1) // self.limits.gen_size - 1
        if self.is_system(old.index):
            return 0
        return 1 if old.generation >= highest else old.generation + 1

    def unbind_step(self, index: int, verdict: Code, *, force: bool) -> Outcome:
        """One step of an unbind: MORE until it is OK."""
        self._wakes = []
        slot = self.slots[index]
        if not slot.bound:
            return Outcome(Code.NOTBIND)
        if not slot.closing:
            return self._start_closing(slot, verdict, force)
        if self._release_one_peer(slot) or self._drop_one_incoming(slot) or self._drop_one_outgoing(slot):
            return Outcome(Code.MORE, self._wakes)
        self._warn(slot)
        self.slots[index] = Slot(
            index, generation=slot.generation, incarnation=slot.incarnation, calls=slot.calls, result=slot.result
        )
        return Outcome(Code.OK, self._wakes)

    def _start_closing(self, slot: Slot, verdict: Code, force: bool) -> Outcome:
        if not force and (slot.copying or slot.copy is not None):
            return Outcome(Code.ONCOPY)
        interrupted = slot.blocked or slot.copying
        self._release_parties(slot)
        slot.copying = False
        if interrupted:
            self._end_wait(slot, Result(verdict))
        slot.closing = True
        return Outcome(Code.MORE, self._wakes)

    def _release_one_peer(self, slot: Slot) -> bool:
        """Plain senders first, then requests, oldest first; then those who wait to hear from it, newest first."""
        queued = sorted(slot.queue, key=lambda index: self.slots[index].call != 0)
        if queued:
            self._end_wait(self.slots[queued[0]], Result(Code.DSTDIED))
            return True
        waiting = [peer for peer in self.slots if peer.alive and peer.receives and peer.receiving == slot.endpoint]
        if waiting:
            self._end_wait(max(waiting, key=lambda peer: peer.waits_since), Result(Code.SRCDIED))
        return bool(waiting)

    def _drop_one_incoming(self, slot: Slot) -> bool:
        if slot.bits:
            slot.bits.remove(min(slot.bits))
            return True
        if slot.records:
            self._forget(slot, slot.records[0])
            return True
        return False

    def _drop_one_outgoing(self, slot: Slot) -> bool:
        for peer in self.slots:
            if slot.index in peer.bits:
                peer.bits.remove(slot.index)
                return True
        sent = [
            (record.index, peer)
            for peer in self.slots
            for record in peer.records
            if record.src == slot.index and not record.posthumous
        ]
        for index, peer in sorted(sent, key=lambda pair: pair[0])[:1]:
            self._forget(peer, next(record for record in peer.records if record.index == index))
            return True
        return False

    def _warn(self, slot: Slot) -> None:
        """Tell the process that asked for it; without room for the record it is not told."""
        index = slot.priv.warn + self.limits.nr_tasks
        if slot.priv.warn == NONE or not 0 <= index < self.limits.members or index == slot.index:
            return
        told = self.slots[index]
        if not told.alive or told.remote:
            return
        if self._will_take_notification(told, slot.endpoint):
            self._end_wait(told, self._notification(slot.index, slot.endpoint, 0))
            return
        try:
            self._remember(told, slot.index, slot.endpoint, 0, posthumous=True)
        except Refused:
            pass

    # ---- privileges, the end --------------------------------------------------------------------------------------

    def set_priv(self, index: int, priv: Priv) -> Code:
        """Replace privileges."""
        if not self.slots[index].alive:
            return Code.NOTBIND
        self.slots[index].priv = priv
        return Code.OK

    def end(self, state: VmState) -> None:
        """The VM is over."""
        self.state = state

    # ---- what shows -----------------------------------------------------------------------------------------------

    def visible(self, index: int) -> dict[str, int]:
        """What a snapshot of the slot must show."""
        slot = self.slots[index]
        shown = {"rts": int(slot.rts), "incarnation": slot.incarnation, "generation": slot.generation}
        if slot.bound:
            shown["endpoint"] = slot.endpoint
        if slot.receiving is not None:
            shown |= {"getfrom": slot.receiving, "call": slot.call}
        if slot.sending is not None:
            shown["sendto"] = self.slots[slot.sending].endpoint
        return shown

    def endpoints_of(self, index: int) -> tuple[int, ...]:
        """Endpoints worth trying on a slot: its present one, and one that it has had or could have."""
        slot = self.slots[index]
        other = ANY if self.is_system(index) else self.encode(index, max(1, slot.generation - 1))
        return (slot.endpoint if slot.bound else self.encode(index, slot.generation), other)
