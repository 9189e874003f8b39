"""Who is bound where: noded's private book, and the way in and out of it.

The order keeps a SIGKILL at any moment harmless (recovery.py has the other half):

    bind      record PENDING → region bind → record BOUND → answer
    unbind    region unbind (in steps, each whole) → record free
"""

from enum import IntEnum
from typing import TYPE_CHECKING

from drvs.base import limits
from drvs.base.codes import Code
from drvs.base.flags import DebugMask
from drvs.daemon.pairs import ring
from drvs.daemon.refusal import Refused
from drvs.daemon.table import Record, State
from drvs.daemon.vm import Burial, Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node

ALL_CALLS = (1 << 64) - 1


class Kind(IntEnum):
    """How a binding came about."""

    SELF = 0
    THREAD = 1
    LOCAL = 2


class Process:
    """A host process that has at least one endpoint."""

    __slots__ = ("bindings", "pid", "pidfd", "restricted", "start", "uid")

    def __init__(self, pid: int, start: int, uid: int) -> None:
        self.pid = pid
        self.start = start
        self.uid = uid
        self.pidfd = -1
        self.bindings: dict[int, Binding] = {}  # by record
        self.restricted = 0  # how many of its bindings have less than all calls

    @property
    def main(self) -> "Binding | None":
        """The binding that stands for the whole process: the first that is not a thread's."""
        return next((b for b in self.bindings.values() if b.kind is not Kind.THREAD), None)


class Binding:
    """One endpoint and its owner."""

    __slots__ = (
        "alarm_ns", "calls", "cookie", "endpoint", "incarnation", "kind", "name", "pidfd", "process", "record", "slot",
        "start", "tid", "vm",
    )  # fmt: skip

    def __init__(
        self, vm: Vm, slot: int, process: Process, kind: Kind, tid: int, start: int, name: str, cookie: int
    ) -> None:
        self.vm = vm
        self.slot = slot
        self.process = process
        self.kind = kind
        self.tid = tid
        self.start = start
        self.name = name
        self.cookie = cookie
        self.record = -1
        self.incarnation = 0
        self.endpoint = 0
        self.calls = ALL_CALLS
        self.alarm_ns = 0
        self.pidfd = -1

    @property
    def p_nr(self) -> int:
        """Its process number."""
        return self.slot - self.vm.limits.nr_tasks

    def text(self) -> str:
        """How noded's log names it."""
        who = f"thread {self.tid} of process" if self.kind is Kind.THREAD else "process"
        name = f" {self.name!r}" if self.name else ""
        return f"endpoint {self.endpoint}{name} of {who} {self.process.pid} in {self.vm.text()}"

    def to_record(self, state: State) -> Record:
        """Return what the table stores."""
        tid = self.tid if self.kind is Kind.THREAD else 0
        return Record(
            state, self.kind, self.process.pid, tid, self.start, self.process.uid, self.vm.serial, self.slot,
            self.incarnation, self.endpoint, self.vm.vmid, self.calls, self.alarm_ns, self.cookie, self.name.encode(),
        )  # fmt: skip


class Book:
    """All bindings of the node, by process and by slot."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.processes: dict[int, Process] = {}
        self.count = 0

    # ---- in ----------------------------------------------------------------------------------------------------

    def bind(self, binding: Binding) -> None:
        """Carry out a binding that has been judged: record, region, record, watch.

        Raises:
            Refused: by the region's code, or NOMEM; nothing is bound then.
        """
        self._allocate(binding)
        try:
            self._bind_region(binding)
            self._node.table.write(binding.record, binding.to_record(State.BOUND))
        except BaseException:
            self._node.table.release(binding.record)
            raise
        self.enter(binding)
        self._node.log.debug(DebugMask.PROC, f"bound {binding.text()}")

    def _allocate(self, binding: Binding) -> None:
        try:
            binding.record = self._node.table.allocate()
            self._node.table.write(binding.record, binding.to_record(State.PENDING))
        except OSError as error:
            raise Refused(Code.NOMEM, f"the bind table cannot grow: {error.strerror or error}") from None

    def _bind_region(self, binding: Binding) -> None:
        vm, pid = binding.vm, binding.process.pid
        code, endpoint, incarnation = vm.region.bind(
            binding.slot, pid, binding.tid, vm.node, 0, 0, binding.name, lock_ms=vm.lock_ms
        )
        vm.check(code)
        binding.endpoint, binding.incarnation = endpoint, incarnation

    def enter(self, binding: Binding) -> None:
        """Put a bound slot into the book and watch its owner."""
        process, vm = binding.process, binding.vm
        vm.bound[binding.slot] = binding
        if binding.name:
            vm.names[binding.name] = binding
        process.bindings[binding.record] = binding
        process.restricted += binding.calls != ALL_CALLS
        self.processes[process.pid] = process
        self.count += 1
        self._node.watch.add(binding)
        self._node.events.bound(binding)

    # ---- out ---------------------------------------------------------------------------------------------------

    def leave(self, binding: Binding) -> None:
        """Take it out of the book, whose region slot is free, or is a burial's business."""
        process, vm = binding.process, binding.vm
        if process.bindings.pop(binding.record, None) is None:
            return
        self.count -= 1
        vm.bound.pop(binding.slot, None)
        if vm.names.get(binding.name) is binding:
            del vm.names[binding.name]
        process.restricted -= binding.calls != ALL_CALLS
        self._node.alarms.cancel(binding)
        self._node.watch.remove(binding)
        if not process.bindings and self.processes.get(process.pid) is process:
            del self.processes[process.pid]
        self._node.table.release(binding.record)
        if vm.is_free(binding.slot):
            vm.give_back_slot(binding.slot)
        self._node.waits.unbound(binding)
        self._node.events.unbound(binding)
        self._node.log.debug(DebugMask.PROC, f"unbound {binding.text()}")

    def bury(self, binding: Binding) -> None:
        """Unbind a dead one: whatever waits on it goes on, whatever it owed is paid."""
        vm = binding.vm
        if binding.record not in binding.process.bindings:
            return
        self._node.log.debug(DebugMask.TASKLOCK, f"died: {binding.text()}")
        burial = Burial(binding.slot, binding.incarnation, binding.name)
        if vm.running and (vm.burials or not self.finish_burial(vm, burial)):
            vm.closing.add(binding.slot)
            vm.burials.append(burial)
            self._node.watchdog.suspect(vm)
        self.leave(binding)

    def finish_burial(self, vm: Vm, burial: Burial) -> bool:
        """Try it; False if the VM's lock does not come: try again later."""
        code = vm.judge(vm.region.unbind(burial.slot, burial.incarnation, force=True, lock_ms=vm.lock_ms))
        if code == Code.TIMEDOUT:
            return False
        vm.region.pay_debts(burial.slot)
        if code in (Code.BADVMID, Code.BADPROC):
            self._node.declare_corrupt(vm, f"slot {burial.slot} could not be freed")
        if self._node.pairs.in_use:
            ring(vm.bell)  # it may have died just before it rang
        return True

    def room(self) -> bool:
        """Say whether the node may have another endpoint."""
        return self.count < limits.BINDINGS
