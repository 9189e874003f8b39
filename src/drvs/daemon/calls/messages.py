"""Calls that act on endpoints from outside: notify for others, wake up, copy for others."""

from typing import TYPE_CHECKING

from drvs.base import yama
from drvs.base.codes import Code
from drvs.base.flags import Call, DebugMask
from drvs.core._core import copy_bytes
from drvs.daemon import credentials, protocol
from drvs.daemon.bindings import Binding, Process
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection

_WORD = 1 << 64


@handles(protocol.Notify, Rights.ROOT, call=Call.NOTIFY)
def notify(node: "Node", _conn: "Connection", request: protocol.Notify) -> Answer:
    """Notify on behalf of a process number.

    Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, RANGE, SRCDIED, DSTDIED, ENDPOINT, CALLDENIED, OVERRUN.
    """
    vm = node.vm(request.vmid)
    vm.slot_of(request.as_p_nr)
    _check_endpoint(request.dst)
    if not 0 <= request.value < 1 << 32:
        raise Refused(Code.RANGE, f"the value {request.value} does not fit into 32 bits")
    node.notify(vm, request.as_p_nr, request.dst, request.value)
    return done()


@handles(protocol.Wakeup, Rights.MEMBER)
def wakeup(node: "Node", conn: "Connection", request: protocol.Wakeup) -> Answer:
    """End a receive with WOKENUP, or the next one; members of the VM may, and root.

    Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, ENDPOINT, DSTDIED.
    """
    vm = node.vm(request.vmid)
    if not conn.is_root:
        _member(conn, vm)
    _check_endpoint(request.endpoint)
    vm.check(vm.region.wakeup(request.endpoint, lock_ms=vm.lock_ms))
    return done()


def _check_endpoint(endpoint: int) -> None:
    if not -(1 << 31) <= endpoint < 1 << 31:
        raise Refused(Code.ENDPOINT, f"{endpoint} is not an endpoint")


def _member(conn: "Connection", vm: Vm) -> Process:
    process = conn.process
    if process is None or not any(binding.vm is vm for binding in process.bindings.values()):
        raise Refused(Code.PERM, f"process {conn.peer.pid} is not bound in {vm.text()}")
    return process


# ---- copy --------------------------------------------------------------------------------------------------------


@handles(protocol.Copy, Rights.MEMBER, call=Call.VCOPY)
def copy(node: "Node", conn: "Connection", request: protocol.Copy) -> Answer:
    """Copy between two processes that Linux keeps from each other, or from the caller.

    Both must run as the caller's user, unless the caller is root or owns the node. Who they are stands in noded's
    book alone. Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, RANGE, SRCDIED, DSTDIED, FAULT.
    """
    vm = node.vm(request.vmid)
    if not conn.is_root:
        _member(conn, vm)
    _check_block(vm, request)
    source = _party(node, vm, request.src_slot, Code.SRCDIED)
    destination = _party(node, vm, request.dst_slot, Code.DSTDIED)
    if not conn.is_root:
        _check_user(conn.peer.uid, source)
        _check_user(conn.peer.uid, destination)
    code = copy_bytes(
        source.process.pid, request.src_address, destination.process.pid, request.dst_address,
        request.bytes, vm.limits.copy_buf,
    )  # fmt: skip
    node.log.debug(DebugMask.VCOPY, f"{request} for process {conn.peer.pid}: {Code.of(code).canonical}")
    if code == Code.PERM:
        raise Refused(Code.PERM, _why_not(node.pid))
    if code < 0:
        raise Refused(code)
    return done()


def _check_block(vm: Vm, request: protocol.Copy) -> None:
    if not 0 <= request.bytes <= vm.limits.copy_len_max:
        raise Refused(Code.RANGE, f"{request.bytes} bytes are not 0 to {vm.limits.copy_len_max}, the VM's limit")
    for address in (request.src_address, request.dst_address):
        if not 0 <= address <= _WORD - 1 - request.bytes:
            raise Refused(Code.FAULT, f"address {address:#x} with {request.bytes} bytes is outside any address space")


def _party(node: "Node", vm: Vm, slot: int, dead: Code) -> Binding:
    binding = vm.bound.get(slot)
    if binding is None or not node.watch.is_same(binding.process):
        raise Refused(dead)
    return binding


def _check_user(uid: int, party: Binding) -> None:
    """Judged by what the process is now: it may have become another user since it was bound."""
    seen = credentials.look_at(party.process.pid)
    if seen is None or set(seen.uids) != {uid}:
        raise Refused(Code.PERM, f"endpoint {party.endpoint} does not run as user {uid}, who asked for the copy")


def _why_not(pid: int) -> str:
    return (
        f"Linux does not let noded (process {pid}) copy between them either: kernel.yama.ptrace_scope is "
        f"{yama.scope()}, and both processes must be dumpable"
    )
