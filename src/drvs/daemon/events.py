"""What happens on the node, for those who tell other nodes of it: VMs that start and end, names that come and go.

A reader asks for what came after the last event that it knows, and is held until there is something. Events are kept in
a bounded ring: a reader that is too slow, or that knew another noded, is told to begin anew, and gets what there is now
as events.
"""

import os
from collections import deque
from typing import TYPE_CHECKING, Any

from drvs.base import limits
from drvs.base.codes import Code
from drvs.daemon.bindings import Binding
from drvs.daemon.loop import Timer
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


class Reader:
    """A caller that is held until there is an event."""

    def __init__(self, events: "Events", conn: "Connection", after: int, timeout_ms: int) -> None:
        self._events = events
        self._conn = conn
        self._after = after
        self._timer: Timer | None = None
        if timeout_ms > 0:
            self._timer = events.node.loop.after_ms(timeout_ms, self.answer)

    def cancel(self) -> None:
        """It is answered, or has gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._events.readers.discard(self)

    def answer(self) -> None:
        """Give it what has come; nothing, if its time is over."""
        self.cancel()
        self._conn.answer(self._events.since(self._after))

    def refuse(self, code: int, detail: str) -> None:
        """Answer with an error."""
        self.cancel()
        self._conn.refuse(code, detail)


class Events:
    """The ring, and who waits for its next entry."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.epoch = f"{os.getpid()}-{node.started_ns}"
        self.last = 0
        self.readers: set[Reader] = set()
        self._ring: deque[dict[str, Any]] = deque(maxlen=limits.EVENTS)

    # ---- reading -----------------------------------------------------------------------------------------------------

    def read(self, conn: "Connection", after: int, epoch: str, timeout_ms: int) -> dict[str, Any] | None:
        """Return what came after an event of this noded, or all there is; None: the caller is held.

        Raises:
            Refused: NOMEM, too many are held.
        """
        oldest = self._ring[0]["event"] if self._ring else self.last + 1
        if epoch != self.epoch or not oldest - 1 <= after <= self.last:
            return {"epoch": self.epoch, "last": self.last, "anew": True, "events": self._all_there_is()}
        if after < self.last or timeout_ms == 0:
            return self.since(after)
        if len(self.readers) >= limits.EVENT_READERS:
            raise Refused(Code.NOMEM, f"{limits.EVENT_READERS} callers wait for events")
        reader = Reader(self, conn, after, timeout_ms)
        self.readers.add(reader)
        conn.hold(reader)
        return None

    def since(self, after: int) -> dict[str, Any]:
        """Return the events after one of this noded's."""
        found = [event for event in self._ring if event["event"] > after]
        return {"epoch": self.epoch, "last": self.last, "anew": False, "events": found}

    def _all_there_is(self) -> list[dict[str, Any]]:
        found = []
        for vm in self.node.vms.values():
            if vm.running:
                found.append({"event": self.last, **_of_vm("vm_started", vm)})
                found += [{"event": self.last, **_of_name("bound", binding)} for binding in vm.names.values()]
        return found

    # ---- what happens ------------------------------------------------------------------------------------------------

    def vm(self, kind: str, vm: Vm) -> None:
        """A VM has started, has ended, or runs on other nodes than before."""
        self._add(_of_vm(kind, vm))

    def bound(self, binding: Binding) -> None:
        """Somebody has a name."""
        if binding.name:
            self._add(_of_name("bound", binding))

    def unbound(self, binding: Binding) -> None:
        """An endpoint is nobody's; only in VMs that have other nodes, which may know of it."""
        if binding.name or binding.vm.nodes != 1 << binding.vm.node:
            self._add(_of_name("unbound", binding))

    def _add(self, event: dict[str, Any]) -> None:
        self.last += 1
        self._ring.append({"event": self.last, **event})
        if self.readers:
            self.node.loop.after_ms(0, self._answer_all)

    def _answer_all(self) -> None:
        """After all that happened at once: one answer has it all."""
        for reader in list(self.readers):
            reader.answer()

    def node_ended(self) -> None:
        """Nothing happens any more."""
        for reader in list(self.readers):
            reader.refuse(Code.DRVSINIT, "the node ended")


def _of_vm(kind: str, vm: Vm) -> dict[str, Any]:
    nodes = [number for number in range(vm.nodes.bit_length()) if vm.nodes >> number & 1]
    return {"kind": kind, "vmid": vm.vmid, "serial": vm.serial, "name": vm.name, "nodes": nodes}


def _of_name(kind: str, binding: Binding) -> dict[str, Any]:
    vm = binding.vm
    return {
        "kind": kind,
        "vmid": vm.vmid,
        "serial": vm.serial,
        "endpoint": binding.endpoint,
        "incarnation": binding.incarnation,
        "name": binding.name,
    }
