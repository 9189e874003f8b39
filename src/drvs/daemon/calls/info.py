"""Calls that ask about processes."""

from typing import TYPE_CHECKING, Any

from drvs.base import limits
from drvs.base.codes import Code
from drvs.base.flags import Call, Rts
from drvs.base.ids import NO_PID, NO_PROXIES, NONE
from drvs.daemon import mirrors, protocol
from drvs.daemon.bindings import Binding
from drvs.daemon.calls.checks import WORD
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(protocol.GetEp, Rights.ANYONE, call=Call.GETEP)
def getep(node: "Node", conn: "Connection", request: protocol.GetEp) -> Answer:
    """The endpoint of a host process in the caller's VM.

    Codes: DRVSINIT, RANGE, NOTBIND, BADPROXY, BADVMID.
    """
    if not 0 < request.pid <= limits.MAX_PID:
        raise Refused(Code.RANGE, f"process id {request.pid} is not in 1…{limits.MAX_PID}")
    caller = conn.process
    if caller is None:
        raise Refused(Code.NOTBIND, "the caller is not bound")
    process = node.book.processes.get(request.pid)
    if process is None and node.pairs.has_process(request.pid):
        raise Refused(Code.BADPROXY, f"process {request.pid} is a proxy")
    if process is None:
        raise Refused(Code.NOTBIND, f"process {request.pid} is not bound")
    mine = {binding.vm for binding in caller.bindings.values()}
    found = [binding for binding in process.bindings.values() if binding.vm in mine]
    if not found:
        raise Refused(Code.BADVMID, f"process {request.pid} is bound in another VM than the caller")
    chosen = process.main if process.main in found else found[0]
    return done(endpoint=chosen.endpoint, vmid=chosen.vm.vmid)


@handles(protocol.GetProcInfo, Rights.MEMBER, call=Call.GETPROCINFO)
def getprocinfo(node: "Node", _conn: "Connection", request: protocol.GetProcInfo) -> Answer:
    """One slot, bound or free. Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, BADPROC."""
    vm = node.vm(request.vmid)
    try:
        slot = vm.slot_of(request.p_nr)
    except Refused as refused:
        raise Refused(Code.BADPROC, refused.detail) from None
    return describe_slot(vm, slot), ()


@handles(protocol.Procs, Rights.MEMBER, call=Call.GETPROCINFO)
def procs(node: "Node", _conn: "Connection", request: protocol.Procs) -> Answer:
    """Every bound slot. Codes: PERM, DRVSINIT, INVAL, VMNOTRUN."""
    vm = node.vm(request.vmid)
    return done(procs=[describe_slot(vm, slot) for slot in slots_in_use(vm)], vm=node.vm_info(vm))


def slots_in_use(vm: Vm) -> list[int]:
    """Return the slots that somebody has, here or on another node."""
    return sorted([*vm.bound, *(mirror.slot for mirror in mirrors.every(vm))])


def describe_slot(vm: Vm, slot: int) -> dict[str, Any]:
    """Return a slot as proc_usr has it: states from the region, identity from noded's own book."""
    seen = vm.snapshot(slot)
    binding = vm.bound.get(slot)
    fields = {name: seen[name] for name in _SHOWN if name in seen}
    fields |= {"vmid": vm.vmid, "slot": slot, "p_nr": slot - vm.limits.nr_tasks, "px": seen.get("px", NO_PROXIES)}
    if not fields["rts"] & Rts.RECEIVING:  # what is left there of an earlier call is nobody's business
        fields["getfrom"] = int(NONE)
    if not fields["rts"] & Rts.SENDING:
        fields["sendto"] = int(NONE)
    fields |= _identity(vm, binding) if binding is not None else _unowned(vm, seen)
    fields["nodes"] = 1 << max(0, fields["node"])
    return fields | {"nodes64": fields["nodes"] & WORD}


_SHOWN = (
    "endpoint", "rts", "rts_all", "misc", "getfrom", "sendto", "incarnation", "generation", "call", "seq", "waiting",
    "cpu", "last_peer", "sent_local", "sent_remote", "copied_local", "copied_remote",
)  # fmt: skip


def _identity(vm: Vm, binding: Binding) -> dict[str, Any]:
    return {
        "pid": binding.process.pid, "tid": binding.tid, "node": vm.node, "name": binding.name,
        "kind": binding.kind.name.lower(), "uid": binding.process.uid, "endpoint": binding.endpoint,
    }  # fmt: skip


def _unowned(vm: Vm, seen: dict[str, Any]) -> dict[str, Any]:
    """A slot that nobody here has: free, or a process of another node, of which only the region knows."""
    nobody: dict[str, Any] = {"pid": NO_PID, "tid": NO_PID, "node": vm.node, "name": "", "kind": None, "uid": None}
    if seen["rts_all"] & Rts.REMOTE:
        nobody |= {"node": seen["node"], "name": seen["name"], "kind": "remote"}
    return nobody
