"""Calls about VMs."""

from typing import TYPE_CHECKING

from drvs.base import limits
from drvs.base.codes import Code
from drvs.base.flags import Call, VmState
from drvs.daemon import protocol
from drvs.daemon.calls.checks import check_name, check_timeout, check_vm_name
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import VmLimits
from drvs.daemon.waits import vm_key

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(protocol.VmInit, Rights.ROOT, call=Call.VMINIT)
def vm_init(node: "Node", _conn: "Connection", request: protocol.VmInit) -> Answer:
    """Create a VM. Codes: PERM, DRVSINIT, RANGE, NAMETOOLONG, EXIST, VMRUN, NOMEM, NOTDIR, BADF."""
    vmid = _free_id(node) if request.vmid is None else request.vmid
    if not 0 <= vmid < node.size.nr_vms:
        raise Refused(Code.RANGE, f"VM id {vmid} is not in 0…{node.size.nr_vms - 1}")
    size = _limits(node, request)
    nodes, span = _nodes(node, request.nodes), _span(node, request.span)
    check_vm_name(request.name, node)
    if vmid in node.vms:
        raise Refused(Code.VMRUN, f"{node.vms[vmid].text()} runs already")
    if request.name in node.names:
        raise Refused(Code.EXIST, f"{node.names[request.name].text()} has this name")
    return node.vm_info(node.create_vm(vmid, request.name, size, nodes, span)), ()


def _free_id(node: "Node") -> int:
    for vmid in range(node.size.nr_vms):
        if vmid not in node.vms:
            return vmid
    raise Refused(Code.BUSY, f"all {node.size.nr_vms} VMs of the node are in use")


def _limits(node: "Node", request: protocol.VmInit) -> VmLimits:
    """The VM's size: what was asked for, at most the node's own, and the node's own where nothing was."""
    most = node.size
    chosen = {}
    for name, low in (("nr_procs", 1), ("nr_tasks", limits.MIN_TASKS), ("nr_sysprocs", 1)):
        asked = getattr(request, name)
        chosen[name] = getattr(most, name) if asked is None else asked
        if not low <= chosen[name] <= getattr(most, name):
            raise Refused(Code.RANGE, f"{name} is {chosen[name]}, this node allows {low} to {getattr(most, name)}")
    slots = chosen["nr_procs"] + chosen["nr_tasks"]
    if request.nr_sysprocs is None:
        chosen["nr_sysprocs"] = max(min(chosen["nr_sysprocs"], slots), chosen["nr_tasks"])
    if not chosen["nr_tasks"] <= chosen["nr_sysprocs"] <= slots:
        raise Refused(Code.RANGE, f"nr_sysprocs is {chosen['nr_sysprocs']}, it must be nr_tasks to {slots}, all slots")
    notes = request.notes if request.notes is not None else most.notes or max(limits.MIN_NOTES, slots)
    if not 1 <= notes <= limits.MAX_NOTES:
        raise Refused(Code.RANGE, f"notes is {notes}, it must be 1 to {limits.MAX_NOTES}")
    return VmLimits(
        **chosen, notes=notes, copy_len_max=most.copy_len_max, copy_buf=most.copy_buf, nr_nodes=most.nr_nodes,
        nr_proxies=most.nr_pairs,
    )  # fmt: skip


def _nodes(node: "Node", asked: int) -> int:
    if not 0 <= asked < 1 << node.size.nr_nodes:
        raise Refused(Code.RANGE, f"the map of nodes {asked:#x} has bits above node {node.size.nr_nodes - 1}")
    return asked | 1 << node.number


def _span(node: "Node", asked: tuple[int, ...]) -> list[int]:
    for number in asked:
        node.peers.check_number(number)
    return sorted({*asked, node.number}) if asked else []


@handles(protocol.VmEnd, Rights.ROOT, call=Call.VMEND)
def vm_end(node: "Node", conn: "Connection", request: protocol.VmEnd) -> Answer:
    """End a VM. Everyone in it gets SIGPIPE, but the caller. Codes: PERM, DRVSINIT, VMNOTRUN."""
    vm = node.vms.get(request.vmid)
    if vm is None:
        raise Refused(Code.VMNOTRUN, f"VM {request.vmid} is not running")
    node.end_vm(vm, spare=conn.peer.pid)
    return done()


@handles(protocol.GetVmInfo, Rights.MEMBER, call=Call.GETVMINFO)
def getvminfo(node: "Node", conn: "Connection", request: protocol.GetVmInfo) -> Answer | None:
    """A VM's parameters by id or name; flags FREE if no VM has that id.

    Codes: PERM, DRVSINIT, INVAL, NAMETOOLONG, VMNOTRUN (by name, timeout 0), TIMEDOUT.
    """
    if request.name is not None:
        return _named(node, conn, request.name, request.timeout_ms)
    if request.vmid is None or not 0 <= request.vmid < node.size.nr_vms:
        raise Refused(Code.INVAL, f"VM id {request.vmid} is not in 0…{node.size.nr_vms - 1}")
    if request.vmid in node.vms:
        return node.vm_info(node.vms[request.vmid]), ()
    return done(
        vmid=request.vmid, flags=int(VmState.FREE), name="", nodes=0, nodes64=0, serial=0, node=node.number, bound=0,
        suspect=False, nr_procs=0, nr_tasks=0, nr_sysprocs=0, notes=0, copy_len_max=0, copy_buf=0,
        nr_nodes=node.size.nr_nodes, nr_proxies=node.size.nr_pairs,
    )  # fmt: skip


def _named(node: "Node", conn: "Connection", name: str, timeout_ms: int) -> Answer | None:
    check_timeout(timeout_ms)
    vm = node.names.get(name)
    if vm is not None:
        return node.vm_info(vm), ()
    what = f"no VM has the name {name[:40]!r}"
    if timeout_ms == 0:
        raise Refused(Code.VMNOTRUN, what)
    check_name(name, "name", Code.INVAL)
    node.waits.add(conn, vm_key(name), timeout_ms, lambda vm: conn.answer(node.vm_info(vm)), what)
    return None


@handles(protocol.VmList, Rights.ANYONE)
def vm_list(node: "Node", _conn: "Connection", _request: protocol.VmList) -> Answer:
    """All VMs."""
    return done(vms=[node.vm_info(vm) for _, vm in sorted(node.vms.items())])


@handles(protocol.Audit, Rights.ROOT)
def audit(node: "Node", _conn: "Connection", request: protocol.Audit) -> Answer:
    """Every invariant of a VM's region that does not hold. A damaged VM is named, not ended."""
    vm = node.vm(request.vmid)
    return done(findings=vm.region.audit(lock_ms=vm.lock_ms))
