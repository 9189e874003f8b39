"""A reference model of one VM: what every transition of the core must do, said as plainly as possible.

No locks, no redo records, no links: only the rules. `Kernel.step` takes what the core's stepping face takes and gives
back an `Outcome`; `state.py` has what is remembered in between, `management.py` what is done to processes from outside.
"""

from __future__ import annotations

from model.numbers import ANY, CALLER, NONE, NOTIFY_P_NR_END, NOTIFY_TYPE, SELF, Code, In, Op, VmState
from model.state import Limits, Outcome, Priv, Record, Result, Slot

TRAPS = (Op.SEND, Op.RECEIVE, Op.NOTIFY, Op.SENDREC, Op.RCVRQST, Op.REPLY)


class Refused(Exception):
    """A check failed: nothing has changed."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


class Kernel:
    """The VM, and what its processes can do in it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.state = VmState.RUNNING
        self.slots = [Slot(index) for index in range(limits.members)]
        self.free_records = list(range(limits.notes - 1, -1, -1))  # a stack: the core's pool is one
        self.clock = 0
        self._wakes: list[int] = []

    # ---- endpoints ------------------------------------------------------------------------------------------------

    def p_nr(self, index: int) -> int:
        """Process number of a slot."""
        return index - self.limits.nr_tasks

    def is_system(self, index: int) -> bool:
        """Its endpoint is its process number, for ever."""
        return index < self.limits.nr_sysprocs

    def encode(self, index: int, generation: int) -> int:
        """The endpoint of a slot in a generation."""
        return generation * self.limits.gen_size + self.p_nr(index)

    def decode(self, endpoint: int) -> int | None:
        """The slot that can have this endpoint."""
        shifted = endpoint + self.limits.nr_tasks
        generation, index = divmod(shifted, self.limits.gen_size)
        if shifted < 0 or index >= self.limits.members or (generation == 0) != self.is_system(index):
            return None
        return index

    # ---- one IPC call ---------------------------------------------------------------------------------------------

    def step(
        self,
        me: int,
        op: Op,
        peer: int,
        body: bytes = bytes(60),
        *,
        nowait: bool = False,
        answers: int = 0,
        value: int = 0,
        as_p_nr: int = CALLER,
        source: int = NONE,
    ) -> Outcome:
        """One operation of slot `me`; `source` is the client that a relay names."""
        self._wakes = []
        caller = self.slots[me]
        try:
            self.check_caller(caller, op)
            result = self._transition(caller, op, peer, body, nowait, answers, value, as_p_nr, source)
        except Refused as refused:
            return Outcome(refused.code)
        if result is None:
            return Outcome(Code.BLOCKED, self._wakes)
        return Outcome(result.code, self._wakes, result)

    def _transition(
        self,
        caller: Slot,
        op: Op,
        peer: int,
        body: bytes,
        nowait: bool,
        answers: int,
        value: int,
        as_p_nr: int,
        source: int,
    ) -> Result | None:
        if op is Op.SEND:
            return self._send(caller, peer, body, nowait, answers)
        if op is Op.SENDREC:
            return self._sendrec(caller, peer, body, nowait, answers)
        if op is Op.REPLY:
            return self._reply(caller, peer, body, answers)
        if op is Op.RELAY:
            return self._relay(caller, peer, body, source, answers)
        if op is Op.NOTIFY:
            return self._notify(caller.index, peer, value, as_p_nr)
        return self._receive(caller, ANY if op is Op.RCVRQST else peer, nowait, requests_only=op is Op.RCVRQST)

    def check_vm(self) -> None:
        """Refuse if the VM is over."""
        if self.state is not VmState.RUNNING:
            raise Refused(Code.VMNOTRUN if self.state is VmState.ENDED else Code.BADVMID)

    def check_caller(self, caller: Slot, op: Op) -> None:
        """Refuse if this slot may not make this call now."""
        self.check_vm()
        if not caller.alive:
            raise Refused(Code.NOTBIND)
        if caller.remote or caller.backup or not caller.runnable:
            raise Refused(Code.NOTREADY)
        mask = caller.priv.traps if op in TRAPS else caller.priv.calls
        if not mask >> op & 1:
            raise Refused(Code.TRAPDENIED)

    def destination(self, caller: Slot | None, peer: int, died: Code = Code.DSTDIED) -> Slot:
        """The other slot that an endpoint names now; refuse if there is none."""
        index = self.decode(peer)
        if peer in (SELF, ANY, NONE) or index is None or (caller is not None and peer == caller.endpoint):
            raise Refused(Code.ENDPOINT)
        slot = self.slots[index]
        if not slot.alive or slot.endpoint != peer:
            raise Refused(died)
        if slot.remote:
            raise Refused(Code.NOVMNODE)  # no route leads anywhere here
        return slot

    def default_priv(self, index: int) -> Priv:
        """Of a fresh binding, and of a number that nobody is bound to."""
        everything = (1 << 64) - 1
        return Priv(min(index, self.limits.nr_sysprocs - 1), NONE, 0, 2**32 - 1, 2**64 - 1, 0, everything, everything)

    def _check_maps(self, src: Slot, dst: Slot) -> None:
        sender = src.priv or self.default_priv(src.index)
        if not sender.ipc_to >> dst.priv.id & 1 or not dst.priv.ipc_from >> sender.id & 1:
            raise Refused(Code.CALLDENIED)

    def _check_cycle(self, caller: Slot, dst: Slot) -> None:
        """Nobody may wait for somebody who waits for him."""
        at: Slot | None = dst
        for _ in self.slots:
            if at is None:
                return
            if at is caller:
                raise Refused(Code.LOCKED)
            at = self._waits_on(at)

    def _waits_on(self, slot: Slot) -> Slot | None:
        """Whom a slot needs to go on: where it queues, or who owes it an answer."""
        if slot.sending is not None:
            return self.slots[slot.sending]
        if slot.in_reply_half and slot.receiving != ANY:
            return self.slots[self.decode(slot.receiving)]
        return None

    # ---- delivery -------------------------------------------------------------------------------------------------

    def _will_receive(self, dst: Slot, source: int, answers: int, *, request: bool) -> bool:
        """A message from `source` would be taken at once."""
        if not dst.receives or not dst.waits_for(source) or (dst.requests_only and not request):
            return False
        return dst.call == 0 or answers in (0, dst.call)

    def _end_wait(self, slot: Slot, result: Result) -> None:
        """Its blocked call has ended; it runs once nobody copies from or to it."""
        if slot.sending is not None:
            self.slots[slot.sending].queue.remove(slot.index)
        slot.sending = slot.receiving = None
        slot.requests_only = False
        slot.call = 0
        slot.result = result
        if not slot.copying:
            self._wakes.append(slot.index)

    def _await(self, slot: Slot, source: int) -> None:
        """Wait to hear from there, from now on."""
        self.clock += 1
        slot.receiving, slot.waits_since = source, self.clock

    def _enqueue(self, slot: Slot, dst: Slot, body: bytes) -> None:
        slot.sending = dst.index
        slot.body = body
        dst.queue.append(slot.index)

    def _send(self, caller: Slot, peer: int, body: bytes, nowait: bool, answers: int) -> Result | None:
        dst = self.destination(caller, peer)
        self._check_maps(caller, dst)
        if self._will_receive(dst, caller.endpoint, answers, request=False):
            self._end_wait(dst, Result(Code.OK, caller.endpoint, body))
            return Result(Code.OK)
        self._check_cycle(caller, dst)
        if nowait:
            raise Refused(Code.AGAIN)
        self._enqueue(caller, dst, body)
        return None

    def _sendrec(self, caller: Slot, peer: int, body: bytes, nowait: bool, answers: int) -> Result | None:
        dst = self.destination(caller, peer)
        self._check_maps(caller, dst)
        willing = self._will_receive(dst, caller.endpoint, answers, request=True)
        if not willing:
            self._check_cycle(caller, dst)
        if nowait:
            raise Refused(Code.AGAIN)
        caller.calls += 1
        caller.call = caller.calls
        self._await(caller, peer)
        if willing:
            self._end_wait(dst, Result(Code.OK, caller.endpoint, body, In.REQUEST, caller.call))
        else:
            self._enqueue(caller, dst, body)
        return None

    def _reply(self, caller: Slot, peer: int, body: bytes, answers: int) -> Result:
        dst = self.destination(caller, peer)
        if not dst.receives or dst.receiving != caller.endpoint or (answers and dst.call != answers):
            raise Refused(Code.PROCSTS)
        self._end_wait(dst, Result(Code.OK, caller.endpoint, body))
        return Result(Code.OK)

    def _relay(self, caller: Slot, peer: int, body: bytes, source: int, answers: int) -> Result:
        client = self.destination(caller, source, Code.SRCDIED)
        dst = self.destination(caller, peer)
        if client is dst:
            raise Refused(Code.ENDPOINT)
        if not client.in_reply_half or client.receiving != caller.endpoint or (answers and answers != client.call):
            raise Refused(Code.PROCSTS)
        self._check_maps(client, dst)
        if self._will_receive(dst, client.endpoint, 0, request=True):
            self._end_wait(dst, Result(Code.OK, client.endpoint, body, In.REQUEST, client.call))
        else:
            self._check_cycle(client, dst)
            self._enqueue(client, dst, body)
        self._await(client, peer)
        return Result(Code.OK)

    # ---- receive --------------------------------------------------------------------------------------------------

    def _receive(self, caller: Slot, src: int, nowait: bool, *, requests_only: bool) -> Result | None:
        if caller.woken:
            caller.woken = False
            return Result(Code.WOKENUP)
        self._check_source(caller, src)
        result = None if requests_only else self._take_notification(caller, src)
        result = result or self._take_queued(caller, src, requests_only)
        if result is None and nowait:
            raise Refused(Code.AGAIN)
        if result is None:
            self._await(caller, src)
            caller.requests_only = requests_only
        return result

    def _check_source(self, caller: Slot, src: int) -> None:
        if src == ANY:
            return
        if src not in (SELF, NONE) and self.decode(src) is None:
            raise Refused(Code.RANGE)
        self._check_maps(self.destination(caller, src, Code.SRCDIED), caller)

    def _take_notification(self, caller: Slot, src: int) -> Result | None:
        for index in sorted(caller.bits):
            endpoint = self.encode(index, 0)
            if src in (ANY, endpoint):
                caller.bits.remove(index)
                return self._notification(index, endpoint, 0)
        for record in caller.records:
            if src in (ANY, record.src_ep):
                self._forget(caller, record)
                return self._notification(record.src, record.src_ep, record.value)
        return None

    def _take_queued(self, caller: Slot, src: int, requests_only: bool) -> Result | None:
        for index in caller.queue:
            sender = self.slots[index]
            if src in (ANY, sender.endpoint) and not (requests_only and sender.call == 0):
                return self._take_from(caller, sender)
        return None

    def _take_from(self, caller: Slot, sender: Slot) -> Result:
        if sender.call == 0:
            self._end_wait(sender, Result(Code.OK))
            return Result(Code.OK, sender.endpoint, sender.body)
        caller.queue.remove(sender.index)
        sender.sending = None
        self._await(sender, caller.endpoint)
        return Result(Code.OK, sender.endpoint, sender.body, In.REQUEST, sender.call)

    # ---- notifications --------------------------------------------------------------------------------------------

    def notify(self, as_p_nr: int, peer: int, value: int) -> Outcome:
        """Notify in the name of a process number, from outside."""
        self._wakes = []
        try:
            self.check_vm()
            result = self._notify(None, peer, value, as_p_nr)
        except Refused as refused:
            return Outcome(refused.code)
        return Outcome(result.code, self._wakes, result)

    def _notify(self, me: int | None, peer: int, value: int, as_p_nr: int) -> Result:
        src = self.slots[self._notifier(me, as_p_nr)]
        source = self.encode(src.index, 0) if self.is_system(src.index) else src.endpoint
        dst = self.destination(None if me is None else self.slots[me], peer)
        if dst is src:
            raise Refused(Code.ENDPOINT)
        self._check_maps(src, dst)
        if self._will_take_notification(dst, source):
            self._end_wait(dst, self._notification(src.index, source, value))
        elif self.is_system(src.index) and value == 0:
            dst.bits.add(src.index)
        else:
            self._remember(dst, src.index, source, value)
        return Result(Code.OK)

    def _notifier(self, me: int | None, as_p_nr: int) -> int:
        if as_p_nr == CALLER and me is not None:
            return me
        index = as_p_nr + self.limits.nr_tasks
        if not 0 <= index < self.limits.members:
            raise Refused(Code.RANGE)
        if not self.is_system(index) and not self.slots[index].alive:
            raise Refused(Code.SRCDIED)
        return index

    def _will_take_notification(self, dst: Slot, source: int) -> bool:
        return dst.receives and dst.waits_for(source) and not dst.requests_only and dst.call == 0

    def _remember(self, dst: Slot, src: int, source: int, value: int, *, posthumous: bool = False) -> None:
        for record in dst.records:
            if record.src == src:
                record.value |= value
                record.src_ep = source
                return
        if not self.free_records:
            raise Refused(Code.OVERRUN)
        dst.records.append(Record(self.free_records.pop(), src, source, value, posthumous))

    def _forget(self, dst: Slot, record: Record) -> None:
        dst.records.remove(record)
        self.free_records.append(record.index)

    def _notification(self, index: int, source: int, value: int) -> Result:
        """The message made of a notification; its timestamp is left at zero."""
        p_nr = self.p_nr(index)
        kind = NOTIFY_TYPE | p_nr if 0 <= p_nr < NOTIFY_P_NR_END else NOTIFY_TYPE
        body = kind.to_bytes(4, "little") + bytes(4) + value.to_bytes(4, "little")
        return Result(Code.OK, source, body.ljust(60, b"\0"), In.NOTIFY)
