"""Calls that bind."""

from typing import TYPE_CHECKING, Any

from drvs.base import limits
from drvs.base.codes import Code
from drvs.base.flags import Call
from drvs.daemon import credentials, mirrors, protocol
from drvs.daemon.bindings import Binding, Kind, Process
from drvs.daemon.calls.checks import check_name, is_endpoint
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(protocol.Bind, Rights.ROOT, call=Call.BIND)
def bind(node: "Node", conn: "Connection", request: protocol.Bind) -> Answer:
    """Bind the caller, its thread, or another process.

    Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, NAMETOOLONG, EXIST, RANGE, BUSY, BADPROC, BADPID, NOMEM.
    """
    vm = node.vm(request.vmid)
    check_name(request.name, "name", Code.INVAL)
    process, kind, tid, start = _owner(node, conn, request)
    repeated = _same_attempt(process, request.cookie)
    if repeated is not None:
        return answer_bound(node, repeated, request.region)
    _check_name_is_free(node, vm, request.name)
    if not node.book.room():
        raise Refused(Code.NOMEM, f"the node has {limits.BINDINGS} endpoints (limit `bindings`)")
    binding = Binding(vm, -1, process, kind, tid, start, request.name, request.cookie)
    _bind_slot(node, binding, request.p_nr)
    node.waits.bound(binding)
    return answer_bound(node, binding, request.region)


def _bind_slot(node: "Node", binding: Binding, p_nr: int | None) -> None:
    """Bind it to the slot that was asked for, or to the next free one; processes of other nodes may have some."""
    vm, taken = binding.vm, []
    try:
        while True:
            binding.slot = _choose_slot(vm, p_nr)
            taken.append(binding.slot)
            try:
                node.book.bind(binding)
                taken.pop()
                return
            except Refused as refused:
                if refused.code != Code.BUSY or p_nr is not None:
                    raise
    finally:
        for slot in taken:
            vm.give_back_slot(slot)


def _check_name_is_free(node: "Node", vm: Vm, name: str) -> None:
    owner = None if not name else vm.names.get(name) or mirrors.named(vm, name) or node.directory.knows(vm, name)
    if owner is not None:
        raise Refused(Code.EXIST, f"endpoint {owner.endpoint} of {vm.text()} has this name")


def _choose_slot(vm: Vm, p_nr: int | None) -> int:
    if p_nr is None:
        return vm.take_free_slot()
    slot = vm.slot_of(p_nr)
    if not vm.is_free(slot):
        raise Refused(Code.BUSY, f"process number {p_nr} of {vm.text()} is bound or being unbound")
    return slot


def _same_attempt(process: Process, cookie: int) -> Binding | None:
    """What an earlier attempt of the same call bound, whose answer noded's restart swallowed."""
    if not cookie:
        return None
    return next((b for b in process.bindings.values() if b.cookie == cookie), None)


# ---- whom -------------------------------------------------------------------------------------------------------


def _owner(node: "Node", conn: "Connection", request: protocol.Bind) -> tuple[Process, Kind, int, int]:
    """Whom to bind: its process, how, the thread's id, and the start time of what is watched."""
    if not 0 <= request.cookie < 1 << 64:
        raise Refused(Code.INVAL, "a cookie has 64 bits")
    if request.kind == "self":
        process = _caller(node, conn)
        return process, Kind.SELF, process.pid, process.start
    if request.kind == "thread":
        return _thread(_caller(node, conn), request.tid)
    if request.kind == "local":
        return _other(node, request.pid)
    raise Refused(Code.BINDTYPE, f"kind {request.kind[:20]!r} is not self, thread or local")


def _caller(node: "Node", conn: "Connection") -> Process:
    known = conn.process
    if known is not None:
        return known
    if conn.peer.pid == 0:
        raise Refused(Code.BADPID, "the caller lives in another pid namespace than noded")
    if conn.start is None:
        raise Refused(Code.BADPROC, f"process {conn.peer.pid}, which connected, has ended")
    return _process(node, conn.peer.pid, conn.start, conn.peer.uid)


def _process(node: "Node", pid: int, start: int, uid: int | None) -> Process:
    """The book's process, or a new one that will be in the book once something is bound."""
    known = node.book.processes.get(pid)
    if known is not None and known.start == start:
        return known
    seen = credentials.look_at(pid)
    if seen is None or seen.start != start:
        raise Refused(Code.BADPROC, f"process {pid} has ended")
    if seen.nested:
        raise Refused(Code.BADPID, f"process {pid} lives in another pid namespace than noded")
    if known is not None:  # its predecessor's burial is under way
        for binding in list(known.bindings.values()):
            node.book.bury(binding)
    return Process(pid, start, seen.uids[1] if uid is None else uid)


def _thread(process: Process, tid: int) -> tuple[Process, Kind, int, int]:
    start = credentials.start_of(process.pid, tid) if 0 < tid <= limits.MAX_PID else None
    if start is None:
        raise Refused(Code.BADPROC, f"process {process.pid} has no thread {tid}")
    return process, Kind.THREAD, tid, start


def _other(node: "Node", pid: int) -> tuple[Process, Kind, int, int]:
    """Another process, or a thread of one by its own id."""
    if not 0 < pid <= limits.MAX_PID:
        raise Refused(Code.BADPROC, f"{pid} is not a process id")
    seen = credentials.look_at(pid)
    if seen is None or not seen.alive:
        raise Refused(Code.BADPROC, f"process {pid} is not running")
    if seen.pid == pid:
        return _process(node, pid, seen.start, None), Kind.LOCAL, pid, seen.start
    start = credentials.start_of(seen.pid)
    if start is None:
        raise Refused(Code.BADPROC, f"process {seen.pid} is not running")
    return _process(node, seen.pid, start, None), Kind.THREAD, pid, seen.start


# ---- the answer ---------------------------------------------------------------------------------------------------


def bound_fields(node: "Node", binding: Binding) -> dict[str, Any]:
    """Return what a bound process must know to use its endpoint."""
    return {
        "endpoint": binding.endpoint, "slot": binding.slot, "p_nr": binding.p_nr, "incarnation": binding.incarnation,
        "name": binding.name, "pid": binding.process.pid, "tid": binding.tid, "kind": binding.kind.name.lower(),
        "vm": node.vm_info(binding.vm), "vmid": binding.vm.vmid, "serial": binding.vm.serial, "node": node.number,
        "noded": node.pid,
    }  # fmt: skip


def answer_bound(node: "Node", binding: Binding, region: bool) -> Answer:
    """Return the answer of bind and wait4bind: what opens the endpoint, the region's descriptor and its doorbell."""
    return bound_fields(node, binding), (binding.vm.fd, binding.vm.bell) if region else ()


# ---- other nodes --------------------------------------------------------------------------------------------------


@handles(protocol.RmtBind, Rights.ROOT, call=Call.BIND)
def rmtbind(node: "Node", _conn: "Connection", request: protocol.RmtBind) -> Answer:
    """Bind a process of another node.

    Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, NAMETOOLONG, BADPROC, RANGE, BUSY, NOVMNODE, NOPROXY, EXIST.
    """
    vm = node.vm(request.vmid)
    check_name(request.name, "name", Code.INVAL)
    slot = _check_remote(node, vm, request.endpoint, request.node)
    node.peers.get(request.node, Code.NOPROXY)
    _check_name_is_free(node, vm, request.name)
    mirror = mirrors.bind(vm, slot, request.endpoint, request.node, request.name)
    node.waits.mirrored(vm.serial, mirror)
    return done(endpoint=mirror.endpoint, slot=mirror.slot, incarnation=mirror.incarnation)


@handles(protocol.BkupBind, Rights.ROOT, call=Call.BIND)
def bkupbind(node: "Node", _conn: "Connection", request: protocol.BkupBind) -> Answer:
    """Bind a local process as a backup: judged here, carried out when there is migration.

    Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, RANGE, BUSY, NOVMNODE, NOPROXY, BADPROC, BADPID, NOSYS.
    """
    vm = node.vm(request.vmid)
    _check_remote(node, vm, request.endpoint, request.node)
    _other(node, request.pid)
    node.peers.get(request.node, Code.NOPROXY)
    raise Refused(Code.NOSYS, "backups come with migration")


def _check_remote(node: "Node", vm: Vm, endpoint: int, number: int) -> int:
    """Judge who is to be bound; returns the slot."""
    if not is_endpoint(vm, endpoint):
        raise Refused(Code.BADPROC, f"no slot of {vm.text()} can have endpoint {endpoint}")
    if not 0 <= number < node.size.nr_nodes or number == node.number:
        raise Refused(Code.RANGE, f"node {number} is not another node of 0…{node.size.nr_nodes - 1}")
    slot = vm.region.decode(endpoint)
    if slot is None or not vm.is_free(slot):
        raise Refused(Code.BUSY, f"the slot of endpoint {endpoint} in {vm.text()} is bound")
    if not vm.nodes >> number & 1:
        raise Refused(Code.NOVMNODE, f"{vm.text()} does not run on node {number}")
    return slot
