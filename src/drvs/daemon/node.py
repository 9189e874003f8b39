"""The node: its parameters, its VMs, and everything that looks after them."""

import os
import signal
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from drvs.base import clock, limits
from drvs.base.codes import Code
from drvs.base.flags import VmState
from drvs.daemon import ledger, procfiles
from drvs.daemon.alarms import Alarms
from drvs.daemon.bindings import Book, Process
from drvs.daemon.directory import Directory
from drvs.daemon.events import Events
from drvs.daemon.ledger import Ledger
from drvs.daemon.links import LinksProcess
from drvs.daemon.log import LogFile
from drvs.daemon.loop import Loop
from drvs.daemon.pairs import Pairs
from drvs.daemon.peers import Peers
from drvs.daemon.refusal import Refused
from drvs.daemon.routes import Routes
from drvs.daemon.store import Store, doorbell_name, region_name
from drvs.daemon.table import BindTable
from drvs.daemon.vm import Vm, VmLimits, make_bell, make_region
from drvs.daemon.waits import Waits
from drvs.daemon.watch import Watch
from drvs.daemon.watchdog import Watchdog


class NodeLimits(NamedTuple):
    """What drvs_init sets: the most that any VM of this node may have."""

    nr_vms: int = limits.NR_VMS
    nr_nodes: int = limits.NR_NODES
    nr_procs: int = limits.NR_PROCS
    nr_tasks: int = limits.NR_TASKS
    nr_sysprocs: int = limits.NR_SYSPROCS
    copy_buf: int = limits.COPY_BUF
    copy_len_max: int = limits.COPY_LEN_MAX
    notes: int = limits.NOTES
    stripe: int = 0
    stripes: int = 1

    @property
    def nr_pairs(self) -> int:
        """How many proxy pairs there may be."""
        return min(self.nr_nodes, limits.MAX_PAIRS)

    def check(self) -> None:
        """Refuse limits that cannot be met.

        Raises:
            Refused: RANGE, naming the limit.
        """
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise Refused(Code.RANGE, f"{name} is {value}, it must be {low} to {high}")
        if not 0 <= self.stripe < self.stripes:
            raise Refused(Code.RANGE, f"stripe is {self.stripe}, it must be 0 to {self.stripes - 1}")
        if not self.nr_tasks <= self.nr_sysprocs <= self.nr_tasks + self.nr_procs:
            raise Refused(Code.RANGE, f"nr_sysprocs is {self.nr_sysprocs}: tasks count, all slots are the most")


_RANGES = (
    ("nr_vms", 1, limits.MAX_VMS),
    ("nr_nodes", 1, limits.MAX_NODES),
    ("nr_procs", 1, limits.MAX_PROCS),
    ("nr_tasks", limits.MIN_TASKS, limits.MAX_TASKS),
    ("nr_sysprocs", 1, limits.MAX_SYSPROCS),
    ("copy_buf", 1, limits.MAX_COPY_LEN),
    ("copy_len_max", 1, limits.MAX_COPY_LEN),
    ("notes", 0, limits.MAX_NOTES),
    ("stripes", 1, limits.MAX_NODES),
)


class Node:
    """What noded is responsible for. The calls are in `calls/`; what they change is changed here."""

    def __init__(
        self, runtime_dir: str, loop: Loop, log: LogFile, store: Store, table: BindTable, fd_limit: int
    ) -> None:
        self.runtime_dir = runtime_dir
        self.loop = loop
        self.log = log
        self.store = store
        self.table = table
        self.owner = os.geteuid()
        self.pid = os.getpid()
        self.started_ns = clock.wall_ns()
        self.number = -1
        self.limits: NodeLimits | None = None  # None: not initialised
        self.serial = 0
        self.vms: dict[int, Vm] = {}
        self.names: dict[str, Vm] = {}
        self.book = Book(self)
        self.fd_limit = fd_limit
        self.watch = Watch(self, fd_limit)
        self.waits = Waits(self)
        self.watchdog = Watchdog(self)
        self.alarms = Alarms(self)
        self.pairs = Pairs(self)
        self.peers = Peers(self)
        self.routes = Routes(self)
        self.links = LinksProcess(self)
        self._generation = 0
        self.ledger = Ledger()
        self.directory = Directory(self)
        self.events = Events(self)
        self.keeps = False  # end without ending the VMs

    # ---- drvs_init, drvs_end -------------------------------------------------------------------------------------

    def init(self, number: int, size: NodeLimits, debug: int) -> None:
        """Initialise the node.

        Raises:
            Refused: DRVSBUSY, RANGE, NOTDIR or BADF; nothing has changed then.
        """
        if self.limits is not None:
            raise Refused(Code.DRVSBUSY, f"node {self.number} is initialised already")
        size.check()
        if not 0 <= number < size.nr_nodes:
            raise Refused(Code.RANGE, f"node id {number} is not in 0…{size.nr_nodes - 1}")
        procfiles.create_node(self.runtime_dir)
        self.number, self.limits, self.log.mask = number, size, debug
        self.save()
        self.log.note(f"node {number} is initialised")

    def end(self, spare: int = 0) -> None:
        """End all VMs and proxies, and forget the parameters; process `spare` is not signalled."""
        for vm in list(self.vms.values()):
            self.end_vm(vm, spare)
        self.links.end()
        self.pairs.end(spare)
        self.peers.forget_all()
        self.ledger.close()
        self.store.drop(ledger.NAME)
        self.waits.node_ended()
        self.events.node_ended()
        self.directory = Directory(self)
        self.limits, number, self.number = None, self.number, -1
        self.save()
        procfiles.remove_node(self.runtime_dir)
        self.log.note(f"node {number} has ended")

    def save(self) -> None:
        """Store the node's parameters for the next noded."""
        known: dict[str, Any] = {"serial": self.serial}
        if self.limits is not None:
            known |= {"number": self.number, "limits": self.limits._asdict(), "debug": self.log.mask}
            known |= {"name": self.peers.own_name, "links": self.links.options}
        self.table.write_node(known)

    def next_serial(self) -> int:
        """Return a number that no VM and no proxy pair had before."""
        self.serial += 1
        self.save()
        return self.serial

    @property
    def size(self) -> NodeLimits:
        """The node's limits.

        Raises:
            Refused: DRVSINIT, it is not initialised.
        """
        if self.limits is None:
            raise Refused(Code.DRVSINIT, f"the node in {self.runtime_dir} is not initialised")
        return self.limits

    # ---- VMs -----------------------------------------------------------------------------------------------------

    def vm(self, vmid: int, out_of_range: Code = Code.INVAL) -> Vm:
        """Return a running VM.

        Raises:
            Refused: INVAL (or `out_of_range`) for an id that none can have, VMNOTRUN if it does not run.
        """
        if not 0 <= vmid < self.size.nr_vms:
            raise Refused(out_of_range, f"VM id {vmid} is not in 0…{self.size.nr_vms - 1}")
        vm = self.vms.get(vmid)
        if vm is None:
            raise Refused(Code.VMNOTRUN, f"VM {vmid} is not running")
        if not vm.running:
            raise Refused(Code.VMNOTRUN, f"{vm.text()} was ended because its memory was damaged: end it for good")
        return vm

    def _next_generation(self) -> int:
        """Return what the generations of a new VM's endpoints begin above.

        Other nodes may know endpoints of an earlier VM with this number, from before this node was restarted, say: they
        are to be nobody's. So in a cluster it is the time in seconds, or one more than the last.
        """
        if self.links.options is None:
            return 0
        self._generation = max(int(time.time()), self._generation + 1)
        return self._generation

    def create_vm(self, vmid: int, name: str, size: VmLimits, nodes: int, span: Sequence[int] = ()) -> Vm:
        """Create a VM that has been judged.

        Raises:
            Refused: RANGE, NOMEM, NOTDIR or BADF; nothing has changed then.
        """
        self.next_serial()
        bell = make_bell()
        fd, region = make_region(vmid, self.number, name, self.owner, size, bell, self._next_generation())
        vm = Vm(vmid, self.serial, name, self.number, nodes, size, region, fd, bell)
        vm.span = sorted(span)
        try:
            self.store.put(region_name(vmid, vm.serial), fd)
            self.store.put(doorbell_name(vmid, vm.serial), bell)
            procfiles.create_folder(self.runtime_dir, vm.name, f"{vm.name}/info")
        except BaseException as error:
            self._let_go(vm)
            vm.close()
            if isinstance(error, OSError):
                raise Refused(Code.NOMEM, f"the region cannot be kept: {error}") from None
            raise
        self.add_vm(vm)
        self.save_vm(vm)
        self.routes.write_all(vm)
        self.pairs.ring_all()
        self.events.vm("vm_started", vm)
        self.waits.vm_started(vm)
        self.log.note(f"{vm.text()} is running")
        return vm

    def add_vm(self, vm: Vm) -> None:
        """Enter a VM into the tables."""
        vm.use_stripe(self.size.stripe, self.size.stripes)
        self.vms[vm.vmid] = vm
        self.names[vm.name] = vm

    def save_vm(self, vm: Vm) -> None:
        """Store a VM's parameters for the next noded."""
        fields = {
            "serial": vm.serial,
            "name": vm.name,
            "nodes": vm.nodes,
            "span": vm.span,
            "state": int(vm.state),
            **vm.limits._asdict(),
        }
        self.table.write_vm(vm.vmid, fields)

    def end_vm(self, vm: Vm, spare: int = 0) -> None:
        """End a VM: everyone wakes with VMNOTRUN and gets SIGPIPE, but process `spare`, who asked for it."""
        if vm.running:
            vm.end(VmState.FREE)
            self.save_vm(vm)  # a successor goes on from here
        self._dismiss(vm, spare)
        self.waits.vm_ended(vm.serial)
        self.watchdog.forget(vm)
        procfiles.remove_folder(self.runtime_dir, vm.name)
        self.vms.pop(vm.vmid, None)
        self.names.pop(vm.name, None)
        self._let_go(vm)
        self.table.write_vm(vm.vmid, {})
        vm.close()
        self.pairs.ring_all()
        self.events.vm("vm_ended", vm)
        self.log.note(f"{vm.text()} has ended")

    def _let_go(self, vm: Vm) -> None:
        self.store.drop(region_name(vm.vmid, vm.serial))
        self.store.drop(doorbell_name(vm.vmid, vm.serial))

    def declare_corrupt(self, vm: Vm, why: str) -> None:
        """A member damaged the region: nobody can use it any more. It stays listed until it is ended."""
        if not vm.running:
            return
        vm.end(VmState.CORRUPT)
        self.save_vm(vm)
        self.log.note(f"{vm.text()} is damaged and was stopped: {why}")
        self.waits.vm_ended(vm.serial)
        for binding in list(vm.bound.values()):
            self.alarms.cancel(binding)

    def _dismiss(self, vm: Vm, spare: int) -> None:
        told: set[int] = set()
        for binding in list(vm.bound.values()):
            process = binding.process
            if process.pid != spare and process.pid not in told:
                told.add(process.pid)
                self.signal(process, signal.SIGPIPE)
            self.book.leave(binding)

    def vm_info(self, vm: Vm) -> dict[str, Any]:
        """Return what getvminfo answers."""
        return {
            "vmid": vm.vmid, "flags": int(vm.state), "name": vm.name, "serial": vm.serial, "node": vm.node,
            "span": vm.span, "nodes": vm.nodes, "nodes64": vm.nodes & (1 << 64) - 1, "bound": len(vm.bound),
            "suspect": vm.suspect,
            **vm.limits._asdict(),
        }  # fmt: skip

    # ---- acting on processes -------------------------------------------------------------------------------------

    def signal(self, process: Process, number: signal.Signals) -> None:
        """Send a signal to the very process that was bound, never to one that got its pid later."""
        try:
            if process.pidfd >= 0:
                signal.pidfd_send_signal(process.pidfd, number)
            elif self.watch.is_same(process):
                os.kill(process.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            self.log.note(f"process {process.pid} may not be signalled: it changed its user")

    def notify(self, vm: Vm, as_p_nr: int, dst: int, value: int) -> None:
        """Send a notification without being bound.

        Raises:
            Refused: by the region's code.
        """
        vm.check(vm.region.notify(as_p_nr, dst, value, lock_ms=vm.lock_ms))
