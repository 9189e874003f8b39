"""Names of other nodes: who has which there, as their nodes told; `lookup` finds them as if they were here.

A process of another node is bound here when somebody first looks it up. It is unbound here when its node says that it
has gone: those who wait on it go on. Often the core knows before, from a call that came back: then its name is nobody's
until its node says who has it. The core binds and unbinds such processes without a word to noded, also ones that nobody
has looked up; what it knows is read from the slot, by comparing who had it last with who had it when the name was told.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from drvs.base import limits
from drvs.base.codes import Code
from drvs.core import is_earlier
from drvs.daemon import mirrors
from drvs.daemon.mirrors import Mirror
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node


class Entry(NamedTuple):
    """A name of another node."""

    node: int
    vmid: int
    name: str
    endpoint: int


class Directory:
    """All of them, by VM and name, and by VM and endpoint."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._by_name: dict[tuple[int, str], list[Entry]] = {}
        self._by_endpoint: dict[tuple[int, int, int], Entry] = {}  # by node, VM, endpoint
        self._met: set[Entry] = set()  # those that have been bound here
        self._before: dict[Entry, tuple[int, int]] = {}  # VM (serial) and incarnation of its slot when it was told

    def __len__(self) -> int:
        return len(self._by_endpoint)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._by_endpoint.values())

    # ---- what nodes tell -------------------------------------------------------------------------------------------

    def set(self, entry: Entry) -> None:
        """A node says who has a name there; who waits for the name is told.

        Raises:
            Refused: NOMEM, there are too many names.
        """
        self._forget(entry.node, entry.vmid, entry.endpoint)
        if len(self) >= limits.DIRECTORY:
            raise Refused(Code.NOMEM, f"the directory has {limits.DIRECTORY} names (limit `directory`)")
        self._by_endpoint[entry.node, entry.vmid, entry.endpoint] = entry
        self._by_name.setdefault((entry.vmid, entry.name), []).append(entry)
        vm = self._node.vms.get(entry.vmid)
        if vm is None or not vm.running:
            return
        self._look_at_slot(vm, entry)
        if self._node.waits.awaits_name(vm.serial, entry.name):
            self.find(vm, entry.name)

    def _look_at_slot(self, vm: Vm, entry: Entry) -> None:
        """Remember who has the slot, or had it last; without the VM's lock, only lookups tell who was met."""
        slot = vm.region.decode(entry.endpoint)
        if slot is None:
            return
        with contextlib.suppress(Refused):
            self._before[entry] = vm.serial, vm.snapshot(slot)["incarnation"]  # first: one who comes now counts as met
            if (mirror := mirrors.find(vm, entry.endpoint)) is not None and mirror.node == entry.node:
                self._met.add(entry)

    def drop(self, node: int, vmid: int, endpoint: int, incarnation: int = 0) -> None:
        """A node says that an endpoint of its is nobody's: it is unbound here.

        A system process has its endpoint for ever. One that was bound anew may have called before this is heard of its
        last life (`incarnation`), and stays.
        """
        self._forget(node, vmid, endpoint)
        vm = self._node.vms.get(vmid)
        mirror = None if vm is None or not vm.running else mirrors.find(vm, endpoint)
        if vm is None or mirror is None or mirror.node != node:
            return
        if not incarnation or mirror.origin in (0, incarnation):
            mirrors.unbind(self._node, vm, mirror)

    def clear(self, node: int) -> None:
        """A node has nothing any more: its names are forgotten, and all its processes are unbound here."""
        for _, vmid, endpoint in [key for key in self._by_endpoint if key[0] == node]:
            self._forget(node, vmid, endpoint)
        for vm in self._node.vms.values():
            if vm.running:
                for mirror in [mirror for mirror in mirrors.every(vm) if mirror.node == node]:
                    mirrors.unbind(self._node, vm, mirror)

    def _forget(self, node: int, vmid: int, endpoint: int) -> None:
        entry = self._by_endpoint.pop((node, vmid, endpoint), None)
        if entry is None:
            return
        self._met.discard(entry)
        self._before.pop(entry, None)
        same = self._by_name[vmid, entry.name]
        same.remove(entry)
        if not same:
            del self._by_name[vmid, entry.name]

    # ---- looking up --------------------------------------------------------------------------------------------------

    def knows(self, vm: Vm, name: str) -> Entry | None:
        """Return the entry of a name; the lowest node's, where two have it."""
        return min(self._by_name.get((vm.vmid, name), ()), default=None)

    def find(self, vm: Vm, name: str) -> Mirror | None:
        """Return who has a name on another node, bound here by now; None if nobody does, or its node is not reached.

        Raises:
            Refused: TIMEDOUT, the VM's lock does not come.
        """
        entry = self.knows(vm, name)
        if entry is None or entry.node not in self._node.peers.known or not vm.nodes >> entry.node & 1:
            return None
        slot = vm.region.decode(entry.endpoint)
        if slot is None or slot in vm.bound:
            self._node.log.note(f"{name!r} of node {entry.node} in {vm.text()}: its slot is taken here")
            return None
        present = mirrors.at(vm, slot)
        if present is not None and (present.node, present.endpoint) == (entry.node, entry.endpoint):
            self._met.add(entry)
            vm.mirror_names[name] = entry.endpoint
            return present
        if entry in self._met or self._is_over(vm, entry, slot):  # and the core has unbound it
            return None
        if present is not None:  # somebody who had the slot before, and is gone
            mirrors.unbind(self._node, vm, present)
        mirror = mirrors.bind(vm, slot, entry.endpoint, entry.node, name)
        self._met.add(entry)
        self._node.waits.mirrored(vm.serial, mirror)
        return mirror

    def _is_over(self, vm: Vm, entry: Entry, slot: int) -> bool:
        """Say whether its owner was bound here since it was told, and is not now, or the slot is a later process's.

        Raises:
            Refused: TIMEDOUT, the VM's lock does not come.
        """
        serial, incarnation = self._before.get(entry, (None, 0))
        last = vm.snapshot(slot)
        if serial != vm.serial or last["incarnation"] == incarnation:
            return False
        return bool(last["node"] == entry.node and not is_earlier(last["endpoint"], entry.endpoint))
