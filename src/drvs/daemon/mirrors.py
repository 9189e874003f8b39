"""Mirrors: processes of other nodes as a VM's region here knows them.

A mirror is bound by `rmtbind`, or by the core itself when the first message of such a process arrives; the core unbinds
it when its node says that it is gone. So the region knows which there are, and no record of noded's does. Names are
remembered here, and believed only if the region agrees.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from drvs.base.ids import NO_PID
from drvs.core._core import BIND_REMOTE, RTS_CLOSING, RTS_REMOTE
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node


class Mirror(NamedTuple):
    """A process of another node."""

    slot: int
    incarnation: int
    endpoint: int
    node: int
    name: str
    origin: int = 0
    """Its incarnation on its node; 0: it has not called yet."""


def bind(vm: Vm, slot: int, endpoint: int, node: int, name: str) -> Mirror:
    """Bind one that has been judged. One who had the slot before and whose unbinding is under way is unbound first.

    Raises:
        Refused: by the region's code.
    """
    if vm.is_free(slot) and (seen := vm.snapshot(slot))["rts_all"] & RTS_CLOSING:
        vm.region.unbind(slot, seen["incarnation"], force=True, lock_ms=vm.lock_ms)
    code, endpoint, incarnation = vm.region.bind(
        slot, NO_PID, NO_PID, node, BIND_REMOTE, endpoint, name, lock_ms=vm.lock_ms
    )
    vm.check(code)
    if name:
        vm.mirror_names[name] = endpoint
    return Mirror(slot, incarnation, endpoint, node, name)


def unbind(node: "Node", vm: Vm, mirror: Mirror) -> None:
    """Forget one, here only: those who wait on it go on.

    Raises:
        Refused: by the region's code.
    """
    vm.check(vm.region.unbind(mirror.slot, mirror.incarnation, force=True, lock_ms=vm.lock_ms))
    node.waits.unmirrored(vm.serial, mirror)


def at(vm: Vm, slot: int) -> Mirror | None:
    """Return the mirror in a slot.

    Raises:
        Refused: TIMEDOUT, the VM's lock does not come.
    """
    if not vm.is_free(slot):
        return None
    seen = vm.snapshot(slot)
    if seen["rts_all"] & (RTS_REMOTE | RTS_CLOSING) != RTS_REMOTE:  # closing: known to have died, not free yet
        return None
    return Mirror(
        slot, seen["incarnation"], seen["endpoint"], seen["node"], seen["name"], seen["remote_incarnation"]
    )  # fmt: skip


def find(vm: Vm, endpoint: int) -> Mirror | None:
    """Return the mirror that has an endpoint.

    Raises:
        Refused: TIMEDOUT, the VM's lock does not come.
    """
    slot = vm.region.decode(endpoint) if -(1 << 31) <= endpoint < 1 << 31 else None
    mirror = None if slot is None else at(vm, slot)
    return mirror if mirror is not None and mirror.endpoint == endpoint else None


def named(vm: Vm, name: str) -> Mirror | None:
    """Return the mirror that has a name, and forget the name if its owner has gone.

    Raises:
        Refused: TIMEDOUT, the VM's lock does not come.
    """
    endpoint = vm.mirror_names.get(name)
    mirror = None if endpoint is None else find(vm, endpoint)
    if mirror is not None and mirror.name == name:
        return mirror
    vm.mirror_names.pop(name, None)
    return None


def every(vm: Vm) -> Iterator[Mirror]:
    """Iterate over the mirrors of a VM, by slot; costs nothing where there are none.

    Raises:
        Refused: TIMEDOUT, the VM's lock does not come.
    """
    left = vm.region.bound - len(vm.bound) - len(vm.closing)
    for slot in range(vm.members):
        if left <= 0:
            return
        mirror = at(vm, slot)
        if mirror is not None:
            left -= 1
            yield mirror


def learn_names(vm: Vm) -> None:
    """Learn the names anew: noded was restarted."""
    for mirror in every(vm):
        if mirror.name:
            vm.mirror_names.setdefault(mirror.name, mirror.endpoint)
