"""Where descriptors live on while noded is dead: in the keeper, or with systemd.

Names: `table` is the bind table, `vm-N-S` the region of VM N with serial S (a serial is never used twice), `bell-N-S`
its doorbell, `pair-X` what wakes proxy pair X, `ledger` what the proxies have carried.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Protocol

from drvs.base import features, limits, paths
from drvs.daemon import keeper, notify

TABLE = "table"


def region_name(vmid: int, serial: int) -> str:
    """Return the name under which a VM's region is kept."""
    return f"vm-{vmid}-{serial}"


def doorbell_name(vmid: int, serial: int) -> str:
    """Return the name under which a VM's doorbell is kept."""
    return f"bell-{vmid}-{serial}"


class Store(Protocol):
    """A place that holds descriptors."""

    kind: str

    def load(self) -> dict[str, int]:
        """Return what a predecessor of this noded left: descriptors that are the caller's."""

    def put(self, name: str, fd: int) -> None:
        """Hold a descriptor from now on. Raises OSError if it cannot be held."""

    def drop(self, name: str) -> None:
        """Let it go."""

    def quit(self) -> None:
        """Let everything go and end."""


class KeeperStore:
    """The keeper process. It is started again, and given everything again, when it is found dead."""

    kind = "keeper"

    def __init__(self, runtime_dir: str, note: Callable[[str], None]) -> None:
        self._runtime_dir = runtime_dir
        self._note = note
        self._held: dict[str, int] = {}
        self._sock: socket.socket | None = None
        self._restarts = 0

    def load(self) -> dict[str, int]:
        """Return what the keeper holds; starts one if there is none."""
        self._sock = connect(self._runtime_dir)
        if self._sock is None:
            keeper.start(self._runtime_dir)
            self._sock = connect(self._runtime_dir)
            return {}
        return listing(self._sock)

    def fileno(self) -> int:
        """The connection: readable when the keeper is gone."""
        return -1 if self._sock is None else self._sock.fileno()

    def put(self, name: str, fd: int) -> None:
        """Give the keeper a descriptor."""
        self._held[name] = fd
        if not self._ask(f"put {name}", fd):
            self.revive()

    def drop(self, name: str) -> None:
        """Let the keeper close it."""
        self._held.pop(name, None)
        if not self._ask(f"drop {name}"):
            self.revive()

    def quit(self) -> None:
        """End the keeper."""
        self._held = {}
        self._ask("quit")

    def revive(self) -> None:
        """Start another keeper and give it everything.

        Raises:
            OSError: it died too often, or cannot be started.
        """
        self._restarts += 1
        if self._restarts > limits.KEEPER_RESTARTS:
            raise OSError("the keeper dies again and again: noded goes on without one")
        self._note("the keeper died: starting another one")
        if self._sock is not None:
            self._sock.close()
        keeper.start(self._runtime_dir)
        self._sock = connect(self._runtime_dir)
        for name, fd in self._held.items():
            self._ask(f"put {name}", fd)

    def _ask(self, text: str, fd: int | None = None) -> bool:
        if self._sock is None:
            return False
        try:
            keeper.send_fd(self._sock, text, fd)
            return self._sock.recv(keeper.PACKET) == b"ok"
        except OSError:
            return False


class SystemdStore:
    """systemd's descriptor store (FileDescriptorStoreMax of the unit)."""

    kind = "systemd"

    def load(self) -> dict[str, int]:
        """Return what systemd passed on."""
        return notify.received_fds()

    def put(self, name: str, fd: int) -> None:
        """Let systemd hold a descriptor."""
        notify.tell(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", (fd,))

    def drop(self, name: str) -> None:
        """Let systemd close it."""
        notify.tell(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def quit(self) -> None:
        """Nothing to do: what was held is dropped one by one, and systemd drops the rest with the unit."""


AnyStore = KeeperStore | SystemdStore


def open_store(runtime_dir: str, note: Callable[[str], None]) -> AnyStore:
    """Return the store of this node: systemd's where the unit asks for it, the keeper elsewhere."""
    return SystemdStore() if features.has("fdstore") else KeeperStore(runtime_dir, note)


# ---- the keeper, from outside ------------------------------------------------------------------------------------


def connect(runtime_dir: str) -> socket.socket | None:
    """Connect to the keeper of a runtime directory; None if none lives."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    sock.settimeout(limits.KEEPER_MS / 1000)
    try:
        sock.connect(os.path.join(runtime_dir, paths.KEEPER_SOCKET))
    except OSError:
        sock.close()
        return None
    return sock


def listing(sock: socket.socket) -> dict[str, int]:
    """Return the keeper's descriptors by name.

    Raises:
        OSError: the keeper does not answer.
    """
    held: dict[str, int] = {}
    keeper.send_fd(sock, "list")
    while True:
        name, fd = keeper.receive_fd(sock)
        if fd is None:
            break
        held[name] = fd
    return held


def dismiss(sock: socket.socket) -> None:
    """End the keeper."""
    with contextlib.suppress(OSError):
        keeper.send_fd(sock, "quit")
        sock.recv(keeper.PACKET)
