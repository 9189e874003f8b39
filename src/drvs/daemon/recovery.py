"""Taking over from a noded that was killed.

Its bind table and the regions come out of the store. What it was in the middle of is finished or undone:

    a VM being ended                      ended
    a PENDING binding                     undone: its answer never went out
    a BOUND one whose owner lives         watched again
    a BOUND one whose owner died          buried
    a slot that no record claims          freed (an unbinding that was under way)
"""

import os
from typing import TYPE_CHECKING, Any

from drvs.base import limits
from drvs.base.flags import VmState
from drvs.core._core import RTS_CLOSING, RTS_FREE, RTS_REMOTE, Region
from drvs.daemon import credentials, ledger, mirrors
from drvs.daemon.bindings import Binding, Kind, Process
from drvs.daemon.node import NodeLimits
from drvs.daemon.pairs import bell_name, ring
from drvs.daemon.refusal import Refused
from drvs.daemon.store import doorbell_name, region_name
from drvs.daemon.table import Record, State
from drvs.daemon.vm import Vm, VmLimits, make_bell, stop_unreadable

if TYPE_CHECKING:
    from drvs.daemon.node import Node


def adopt(node: "Node", held: dict[str, int]) -> int:
    """Restore everything. `held`: the descriptors from the store but the table's. Returns how many endpoints live."""
    _restore_node(node, node.table.read_node())
    for vmid in range(limits.MAX_VMS):
        fields = node.table.read_vm(vmid)
        if fields:
            serial = fields["serial"]
            fd, bell = held.pop(region_name(vmid, serial), None), held.pop(doorbell_name(vmid, serial), None)
            _restore_vm(node, vmid, fields, fd, bell)
    _restore_links(node, held)
    for name, fd in held.items():  # of a VM whose creation or end was interrupted, or whose table is lost
        if name.startswith("vm-"):
            stop_unreadable(fd)
        node.store.drop(name)
        os.close(fd)
    starts: dict[int, int | None] = {}
    for number, record in node.table.scan():
        if record.pid not in starts:  # once: it takes a millisecond where there are ten thousand threads
            starts[record.pid] = credentials.start_of(record.pid)
        _restore_binding(node, number, record, starts[record.pid])
    for vm in list(node.vms.values()):
        _free_orphans(node, vm)
        if vm.running and not vm.suspect:
            mirrors.learn_names(vm)
        if vm.state is VmState.FREE:
            node.end_vm(vm)
    if node.limits is None and not node.vms:
        return 0
    node.log.note(f"took over {len(node.vms)} VMs with {node.book.count} endpoints")
    return node.book.count


def _restore_node(node: "Node", known: dict[str, Any]) -> None:
    node.serial = known.get("serial", 0)
    if "limits" in known:
        node.number, node.log.mask = known["number"], known["debug"]
        node.limits = NodeLimits(**known["limits"])
        node.peers.own_name = known.get("name", "")
        node.links.options = known.get("links")


def _restore_links(node: "Node", held: dict[str, int]) -> None:
    """The other nodes, then the pairs that lead there: one that has died since takes its nodes along."""
    if node.limits is None:
        return
    if ledger.NAME in held:
        node.ledger.adopt(held.pop(ledger.NAME))
        node.store.put(ledger.NAME, node.ledger.fd)
    for number, known in node.table.read_peers().items():
        node.peers.adopt(number, known)
    pairs = node.table.read_pairs()
    for px, pair in pairs.items():
        node.pairs.adopt(px, pair, held.pop(bell_name(px), None))
    for peer in [peer for peer in node.peers.known.values() if peer.px not in pairs]:
        node.peers.down(peer)
    for vm in node.vms.values():
        node.routes.write_all(vm)
        ring(vm.bell)


# ---- VMs ---------------------------------------------------------------------------------------------------------


def _restore_vm(node: "Node", vmid: int, fields: dict[str, Any], fd: int | None, bell: int | None) -> None:
    size = VmLimits(**{name: fields[name] for name in VmLimits._fields})
    bell = make_bell() if bell is None else bell
    region = None if fd is None else _attach(node, vmid, fd, size, bell)
    if region is None or fd is None:
        node.table.write_vm(vmid, {})
        for name, kept in ((region_name(vmid, fields["serial"]), fd), (doorbell_name(vmid, fields["serial"]), bell)):
            if kept is not None:
                node.store.drop(name)
                os.close(kept)
        return
    vm = Vm(vmid, fields["serial"], fields["name"], node.number, fields["nodes"], size, region, fd, bell)
    vm.span = fields.get("span", [])
    vm.state = VmState(fields["state"])
    node.store.put(region_name(vmid, vm.serial), fd)
    node.store.put(doorbell_name(vmid, vm.serial), bell)
    node.add_vm(vm)
    if vm.running:
        region.pay_debts()  # what the dead noded owed through its own slot


def _attach(node: "Node", vmid: int, fd: int, size: VmLimits, bell: int) -> Region | None:
    """The region, if it still is what noded's own record says it is."""
    try:
        region = Region(fd, doorbell=bell)
    except (ValueError, OSError) as error:
        node.log.note(f"VM {vmid} is lost: {error}")
        stop_unreadable(fd)
        return None
    if region.vmid != vmid or any(getattr(region, name) != value for name, value in size._asdict().items()):
        node.log.note(f"VM {vmid} is lost: its header contradicts noded's own record")
        stop_unreadable(fd)
        return None
    return region


def _free_orphans(node: "Node", vm: Vm) -> None:
    """Free the slots that are bound in the region and in no record; later, if the VM's lock is held."""
    if not vm.running:
        return
    if vm.suspect:
        vm.when_free.append(lambda: _free_orphans(node, vm))
        node.watchdog.suspect(vm)
        return
    if vm.region.bound == len(vm.bound) + len(vm.closing):
        return
    for slot in range(vm.members):
        if slot in vm.bound or slot in vm.closing:
            continue
        seen = _look(vm, slot)
        if seen is None:
            _free_orphans(node, vm)
            return
        if not seen["rts_all"] & (RTS_FREE | RTS_REMOTE):  # nobody's here, or of another node: no record claims those
            vm.region.unbind(slot, seen["incarnation"], force=True, lock_ms=vm.lock_ms)
            vm.region.pay_debts(slot)


def _look(vm: Vm, slot: int) -> dict[str, Any] | None:
    """A slot's snapshot, None if the lock does not come."""
    try:
        return vm.snapshot(slot)
    except Refused:
        return None


# ---- bindings ----------------------------------------------------------------------------------------------------


def _restore_binding(node: "Node", number: int, record: Record, start: int | None) -> None:
    vm = node.vms.get(record.vmid)
    if vm is None or vm.serial != record.vm_serial or record.slot >= vm.members:
        node.table.release(number)
        return
    seen = _look(vm, record.slot) if vm.running and not vm.suspect else None
    if record.state == State.PENDING or (seen is not None and not _still_bound(seen, record)):
        node.table.release(number)  # its slot is an orphan, if it is bound at all
        return
    process = _owner(node, record, start)
    binding = _rebuild(vm, process or Process(record.pid, record.start, record.uid), number, record)
    if process is None:
        process = binding.process
        process.bindings[number] = binding
        vm.bound[record.slot] = binding
        node.book.count += 1
        node.book.bury(binding)
        return
    node.book.enter(binding)
    node.alarms.set(binding)


def _still_bound(seen: dict[str, Any], record: Record) -> bool:
    return (
        not seen["rts_all"] & (RTS_FREE | RTS_CLOSING)
        and seen["incarnation"] == record.incarnation
        and seen["endpoint"] == record.endpoint
    )


def _owner(node: "Node", record: Record, start: int | None) -> Process | None:
    """The process of a record if it, or the thread that was bound, still lives; `start` is what has its pid now."""
    if record.kind == Kind.THREAD:
        alive = credentials.start_of(record.pid, record.tid) == record.start
    else:
        alive = start == record.start
    if not alive or start is None:
        return None
    known = node.book.processes.get(record.pid)
    return known if known is not None and known.start == start else Process(record.pid, start, record.uid)


def _rebuild(vm: Vm, process: Process, number: int, record: Record) -> Binding:
    kind = Kind(record.kind)
    tid = record.tid if kind is Kind.THREAD else record.pid
    name = record.name.rstrip(b"\0").decode(errors="replace")
    binding = Binding(vm, record.slot, process, kind, tid, record.start, name, record.cookie)
    binding.record, binding.incarnation, binding.endpoint = number, record.incarnation, record.endpoint
    binding.calls, binding.alarm_ns = record.calls, record.alarm_ns
    return binding
