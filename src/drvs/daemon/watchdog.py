"""The watchdog over locks: who holds a VM's lock, and must it be taken away?

A lock is held for tens of nanoseconds. Seen twice in the same acquisition, its holder is

    gone                         the word is garbage, or damaged: break the lock
    a stopped or frozen member   report it, and leave it alone: it goes on later, in the middle of its change
    not a member of this VM      the word was written by a vandal: break the lock, audit, end the VM if it is damaged
    a member that sleeps, or burns cpu with it   it cannot be in a transition: the same
    a member that waits for a cpu or for memory  let it be

A holder that dies needs none of this: Linux marks the word, and the next one to come recovers.
"""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from drvs.base import clock, limits
from drvs.base.codes import Code
from drvs.base.flags import DebugMask
from drvs.daemon import credentials
from drvs.daemon.credentials import HostProcess
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node

_TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")


class Sighting(NamedTuple):
    """A lock seen held: by whom, in which acquisition, since when, and what cpu time its holder had then."""

    tid: int
    epoch: int
    since_ns: int
    cpu_ticks: int


class Holder(NamedTuple):
    """A stopped process that holds a VM's lock, for `drvs status`."""

    vmid: int
    vm_name: str
    pid: int
    tid: int
    name: str
    state: str
    since_ns: int

    def describe(self) -> dict[str, Any]:
        """Return it as an answer's fields."""
        seconds = round((clock.now_ns() - self.since_ns) / clock.NS_PER_S, 1)
        return {**self._asdict(), "since_ns": None, "seconds": seconds}


class Watchdog:
    """Looks at every lock once a second, and soon again where one was found stuck."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._seen: dict[int, Sighting] = {}  # by VM serial
        self._hurried: set[int] = set()
        self.stopped: dict[int, Holder] = {}  # by VM serial

    def tick(self) -> None:
        """Look at every VM."""
        for vm in list(self._node.vms.values()):
            if vm.running:
                self._look(vm)
            if vm.running and vm.damaged and not vm.suspect:
                vm.damaged = False
                self.audit(vm)

    def suspect(self, vm: Vm) -> None:
        """Look at this VM soon: its lock did not come in time."""
        if vm.serial not in self._hurried:
            self._hurried.add(vm.serial)
            self._node.loop.after_ms(limits.LOOK_AGAIN_MS, lambda: self._hurry(vm))

    def forget(self, vm: Vm) -> None:
        """The VM is over."""
        self._seen.pop(vm.serial, None)
        self.stopped.pop(vm.serial, None)

    def _hurry(self, vm: Vm) -> None:
        self._hurried.discard(vm.serial)
        if vm.running:
            self._look(vm)
            if vm.suspect and vm.serial not in self.stopped:
                self.suspect(vm)

    def _look(self, vm: Vm) -> None:
        tid, epoch, died = vm.region.holder()
        if tid == 0 or died:
            self.forget(vm)
            vm.suspect = False
            self._catch_up(vm)
            return
        before = self._seen.get(vm.serial)
        if before is None or (before.tid, before.epoch) != (tid, epoch):
            self.forget(vm)
            self._node.log.debug(DebugMask.VMLOCK, f"{vm.text()}: thread {tid} holds the lock (acquisition {epoch})")
            found = credentials.look_at(tid)
            self._seen[vm.serial] = Sighting(tid, epoch, clock.now_ns(), found.cpu_ticks if found else 0)
            self.suspect(vm)
            return
        self._judge(vm, before)

    def _judge(self, vm: Vm, sighting: Sighting) -> None:
        holder = credentials.look_at(sighting.tid)
        if holder is None or not holder.alive:
            self._break(vm, sighting, f"names thread {sighting.tid}, which does not exist")
        elif not self._is_member(vm, holder.pid):
            self._break(vm, sighting, f"names process {holder.pid}, which is not bound there")
        elif holder.state in "Tt" or credentials.is_frozen(sighting.tid):
            self._report(vm, sighting, holder)
        elif holder.state == "S":
            self._break(vm, sighting, f"names process {holder.pid}, which sleeps")
        elif (holder.cpu_ticks - sighting.cpu_ticks) * _TICK_MS > limits.LOCK_CPU_MS:
            self._break(vm, sighting, f"names process {holder.pid}, which computes")

    def _is_member(self, vm: Vm, pid: int) -> bool:
        process = self._node.book.processes.get(pid)
        if pid == os.getpid() or self._node.pairs.has_process(pid):
            return True
        if process is None:
            return False
        return any(binding.vm is vm for binding in process.bindings.values())

    def _report(self, vm: Vm, sighting: Sighting, holder: HostProcess) -> None:
        if vm.serial in self.stopped:
            return
        name = credentials.name_of(holder.pid)
        self.stopped[vm.serial] = Holder(
            vm.vmid, vm.name, holder.pid, sighting.tid, name, holder.state, sighting.since_ns
        )
        self._node.log.note(f"{vm.text()}: process {holder.pid} ({name}) was stopped while it held the lock")

    def _break(self, vm: Vm, sighting: Sighting, why: str) -> None:
        self.forget(vm)
        code = vm.region.lock_break(sighting.tid)
        self._node.log.note(f"{vm.text()}: its lock {why}: broken ({Code.of(code).canonical})")
        self.audit(vm)
        self._catch_up(vm)

    def audit(self, vm: Vm) -> list[str]:
        """Check a VM, and end it if it is damaged. Returns what was found."""
        findings = vm.region.audit(lock_ms=limits.NODED_LOCK_MS)
        if findings:
            self._node.declare_corrupt(vm, "; ".join(findings[:3]))
        return findings

    def _catch_up(self, vm: Vm) -> None:
        """Do the burials that waited for the lock."""
        while vm.running and vm.burials:
            burial = vm.burials[0]
            if not self._node.book.finish_burial(vm, burial):
                self.suspect(vm)
                return
            vm.burials.popleft()
            vm.closing.discard(burial.slot)
            vm.give_back_slot(burial.slot)
        if vm.running:
            waiting, vm.when_free = vm.when_free, []
            for task in waiting:
                task()
