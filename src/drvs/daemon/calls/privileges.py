"""Privileges of an endpoint."""

from typing import TYPE_CHECKING, Any

from drvs.base.codes import Code
from drvs.base.flags import Call, DebugMask, Level
from drvs.base.ids import NONE
from drvs.daemon import protocol
from drvs.daemon.bindings import ALL_CALLS, Binding
from drvs.daemon.calls.checks import bound_endpoint
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.protocol import MAP_DIGITS
from drvs.daemon.refusal import Refused
from drvs.daemon.table import State
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection

_FIELDS = ("id", "warn", "level", "traps", "calls", "alarm_ns", "ipc_from", "ipc_to")


@handles(protocol.GetPriv, Rights.ROOT, call=Call.GETPRIV)
def getpriv(node: "Node", _conn: "Connection", request: protocol.GetPriv) -> Answer:
    """An endpoint's privileges. Codes: PERM, DRVSINIT, VMNOTRUN, BADPROC, DSTDIED."""
    vm = node.vm(request.vmid, out_of_range=Code.VMNOTRUN)
    binding = bound_endpoint(vm, request.endpoint, Code.BADPROC, Code.DSTDIED)
    return done(**_describe(_read(binding)))


@handles(protocol.SetPriv, Rights.ROOT, call=Call.SETPRIV)
def setpriv(node: "Node", _conn: "Connection", request: protocol.SetPriv) -> Answer:
    """Set them. Codes: PERM, DRVSINIT, VMNOTRUN, BADPROC, RANGE."""
    vm = node.vm(request.vmid, out_of_range=Code.VMNOTRUN)
    binding = bound_endpoint(vm, request.endpoint, Code.BADPROC, Code.BADPROC)
    wanted = _merge(vm, _read(binding), request)
    values = tuple(wanted[name] for name in _FIELDS)
    vm.check(vm.region.setpriv(binding.slot, binding.incarnation, values, lock_ms=vm.lock_ms))
    _remember(node, binding, wanted["calls"], wanted["alarm_ns"])
    node.log.debug(DebugMask.PRIV, f"privileges of {binding.text()}: {wanted}")
    return done()


def _read(binding: Binding) -> dict[str, Any]:
    """The region's record; what noded enforces itself comes from its own book."""
    vm = binding.vm
    found = vm.region.getpriv(binding.slot, lock_ms=vm.lock_ms)
    if isinstance(found, int):
        vm.check(found)
        raise Refused(Code.BADVMID)
    vm.suspect = False
    return dict(zip(_FIELDS, found, strict=True)) | {"calls": binding.calls, "alarm_ns": binding.alarm_ns}


def _remember(node: "Node", binding: Binding, calls: int, alarm_ns: int) -> None:
    binding.process.restricted += (calls != ALL_CALLS) - (binding.calls != ALL_CALLS)
    binding.calls, binding.alarm_ns = calls, alarm_ns
    node.table.write(binding.record, binding.to_record(State.BOUND))
    node.alarms.set(binding)


def _describe(privileges: dict[str, Any]) -> dict[str, Any]:
    return privileges | {"ipc_from": f"{privileges['ipc_from']:#x}", "ipc_to": f"{privileges['ipc_to']:#x}"}


# ---- arguments ----------------------------------------------------------------------------------------------------


def _merge(vm: Vm, present: dict[str, Any], request: protocol.SetPriv) -> dict[str, Any]:
    """What is given, checked, over what is there."""
    wanted = dict(present)
    for name in ("id", "warn", "level", "traps", "calls", "alarm_ns"):
        value = getattr(request, name)
        if value is not None:
            low, high = _range(vm, name)
            _check(name, value, low, high, value == NONE and name == "warn")
            wanted[name] = value
    for name in ("ipc_from", "ipc_to"):
        text = getattr(request, name)
        if text is not None:
            wanted[name] = _map(vm, name, text)
    return wanted


def _range(vm: Vm, name: str) -> tuple[int, int]:
    return {
        "id": (0, vm.limits.nr_sysprocs - 1),
        "warn": (-vm.limits.nr_tasks, vm.limits.nr_procs - 1),
        "level": (int(Level.USER), int(Level.PROXY)),
        "traps": (0, (1 << 32) - 1),
        "calls": (0, ALL_CALLS),
        "alarm_ns": (0, (1 << 63) - 1),
    }[name]


def _check(name: str, value: int, low: int, high: int, exempt: bool) -> None:
    if not exempt and not low <= value <= high:
        raise Refused(Code.RANGE, f"{name} is {value}, it must be {low} to {high}")


def _map(vm: Vm, name: str, text: str) -> int:
    """Bits beyond the VM's system slots mean nobody and are dropped: all ones may be written as any number of them."""
    try:
        value = int(text, 16) if len(text) <= 2 * MAP_DIGITS else -1
    except ValueError:
        value = -1
    if value < 0:
        raise Refused(Code.RANGE, f"{name} is not a hexadecimal map: {text[:40]!r}")
    return value & (1 << vm.region.map_words * 64) - 1
