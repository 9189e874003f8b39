"""Callers that noded holds until something happens: wait4bind, wait4bindep, wait4unbind, lookup, getvminfo.

Each waits for one key. Whoever binds or unbinds, or creates a VM, fires the keys that it makes true.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from drvs.base import clock, limits
from drvs.base.codes import Code
from drvs.daemon.bindings import Binding, Kind
from drvs.daemon.loop import Timer
from drvs.daemon.mirrors import Mirror
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection

Key = tuple[str, int, int | str]
Answer = Callable[[Any], None]


def process_key(pid: int) -> Key:
    """Somebody binds this host process."""
    return "process", -1, pid


def endpoint_key(serial: int, endpoint: int) -> Key:
    """This endpoint of the VM with that serial is bound."""
    return "endpoint", serial, endpoint


def name_key(serial: int, name: str) -> Key:
    """Somebody takes this name in that VM."""
    return "name", serial, name


def vm_key(name: str) -> Key:
    """A VM with this name runs."""
    return "vm", -1, name


def gone_key(serial: int, endpoint: int) -> Key:
    """This endpoint of that VM is not bound any more."""
    return "gone", serial, endpoint


class Pending(Protocol):
    """What a connection waits for."""

    def cancel(self) -> None:
        """The connection is closed: nobody waits any more."""


class Wait:
    """One caller and its key. `answer` is called with the binding or VM that fired it."""

    __slots__ = ("_timer", "_waits", "answer", "conn", "key")

    def __init__(self, waits: "Waits", conn: "Connection", key: Key, answer: Answer, timer: Timer | None) -> None:
        self._waits = waits
        self._timer = timer
        self.conn = conn
        self.key = key
        self.answer = answer

    def cancel(self) -> None:
        """Take it out: it was answered, or nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._waits.remove(self)

    def refuse(self, code: int, detail: str) -> None:
        """Answer with an error."""
        self.cancel()
        self.conn.refuse(code, detail)


class Waits:
    """All of them, by key."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._by_key: dict[Key, list[Wait]] = {}
        self._per_uid: dict[int, int] = {}
        self.count = 0

    def add(self, conn: "Connection", key: Key, timeout_ms: int, answer: Answer, what: str) -> None:
        """Hold a caller until its key fires or its time is over.

        Raises:
            Refused: AGAIN for a timeout of 0, NOMEM if its user has too many callers waiting.
        """
        if timeout_ms == 0:
            raise Refused(Code.AGAIN, f"{what}: not yet")
        if self._per_uid.get(conn.peer.uid, 0) >= limits.WAITS_PER_UID:
            raise Refused(Code.NOMEM, f"user {conn.peer.uid} has {limits.WAITS_PER_UID} calls waiting in noded")
        wait = Wait(self, conn, key, answer, None)
        if timeout_ms > 0:
            late = f"{what}: not within {timeout_ms} ms"
            deadline = clock.now_ns() + timeout_ms * clock.NS_PER_MS
            wait._timer = self._node.loop.at(deadline, lambda: wait.refuse(Code.TIMEDOUT, late))
        self._by_key.setdefault(key, []).append(wait)
        self._per_uid[conn.peer.uid] = self._per_uid.get(conn.peer.uid, 0) + 1
        self.count += 1
        conn.hold(wait)

    def remove(self, wait: Wait) -> None:
        """Forget one; harmless if it is not there."""
        queue = self._by_key.get(wait.key, [])
        if wait not in queue:
            return
        queue.remove(wait)
        if not queue:
            del self._by_key[wait.key]
        uid = wait.conn.peer.uid
        self._per_uid[uid] -= 1
        if not self._per_uid[uid]:
            del self._per_uid[uid]
        self.count -= 1

    # ---- what fires ------------------------------------------------------------------------------------------------

    def bound(self, binding: Binding) -> None:
        """A binding has come about."""
        serial = binding.vm.serial
        if binding.kind is not Kind.THREAD:
            self._fire(process_key(binding.process.pid), binding)
        self._fire(endpoint_key(serial, binding.endpoint), binding)
        if binding.name:
            self._fire(name_key(serial, binding.name), binding)

    def unbound(self, binding: Binding) -> None:
        """A binding has ended."""
        self._fire(gone_key(binding.vm.serial, binding.endpoint), binding)

    def mirrored(self, serial: int, mirror: Mirror) -> None:
        """A process of another node can be addressed here."""
        self._fire(endpoint_key(serial, mirror.endpoint), mirror)
        if mirror.name:
            self._fire(name_key(serial, mirror.name), mirror)

    def awaits_name(self, serial: int, name: str) -> bool:
        """Say whether somebody waits for this name."""
        return name_key(serial, name) in self._by_key

    def unmirrored(self, serial: int, mirror: Mirror) -> None:
        """It was unbound here."""
        self._fire(gone_key(serial, mirror.endpoint), mirror)

    def vm_started(self, vm: Vm) -> None:
        """A VM runs."""
        self._fire(vm_key(vm.name), vm)

    def vm_ended(self, serial: int) -> None:
        """Nothing happens in that VM any more."""
        for wait in [w for key, queue in self._by_key.items() if key[1] == serial for w in queue]:
            wait.refuse(Code.VMNOTRUN, "the VM ended")

    def node_ended(self) -> None:
        """Nothing happens at all any more."""
        for wait in [w for queue in self._by_key.values() for w in queue]:
            wait.refuse(Code.DRVSINIT, "the node ended")

    def _fire(self, key: Key, what: Binding | Mirror | Vm) -> None:
        for wait in self._by_key.get(key, [])[:]:
            wait.cancel()
            try:
                wait.answer(what)
            except Refused as error:
                wait.conn.refuse(error.code, error.detail)
