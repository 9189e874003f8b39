"""Carrier: what one half of a proxy pair works with: the VMs of its node, and what they have for other nodes.

noded hands out every VM's region and doorbell to a registered proxy, and counts up an eventfd when there is another.
That and all doorbells are in one epoll, edge-triggered and never read, for others look at them too: a ring is an edge,
and the core rings only when it was asked to (`arm`), so that nothing is missed between the last look and the sleep.
"""

from __future__ import annotations

import mmap
import os
import select
import threading
from typing import TYPE_CHECKING

from drvs.api import ptracer
from drvs.api.binding import map_region
from drvs.base.codes import Code
from drvs.base.errors import DrvsError
from drvs.base.flags import VmState
from drvs.core import Proxy, Region
from drvs.daemon.ledger import BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from drvs.daemon.client import Client, Reply

_UNKNOWN_VM = frozenset({Code.BADVMID, Code.VMNOTRUN})


class Carrier:
    """A sender's or a receiver's hands, used from one thread at a time.

    Args:
        client: the node's.
        px: the pair; None: the one that the calling thread, or else its process, is registered for.
        role: "sender" or "receiver".

    Attributes:
        client: the node's.
        core: takes and puts; see `drvs.core.Proxy`.
        px: the number of the pair.
        node: the number of the node.
        changed_fd: readable when VMs have come or gone: `refresh`. `fileno` and `wait` look at it, too.
    """

    LONGEST_SLEEP = 1.0
    """No sleep is longer, whatever the doorbells say: seconds."""

    def __init__(self, client: Client, px: int | None, role: str) -> None:
        self._pid = os.getpid()
        self.client = client
        self._role = role
        self._epoll = select.epoll()
        self._vms: dict[int, tuple[Region, int]] = {}  # by vmid: its memory, its doorbell
        self._last = 0  # the serial of the VM that came last
        with client.call("proxy_attach", px=px, role=role, tid=threading.get_native_id(), begin=True) as reply:
            self.px, self.node, self._pair = int(reply["px"]), int(reply["node"]), int(reply["pair"])
            self.core = Proxy(self.px, self.node, role == "sender", role == "receiver")
            ptracer.allow(reply["noded"])
            self.changed_fd = reply.take_fd()
            self._epoll.register(self.changed_fd, select.EPOLLIN | select.EPOLLET)
            with open(reply.take_fd(), "r+b", buffering=0) as ledger:
                self.core.ledger = mmap.mmap(ledger.fileno(), BYTES)
            more = self._attach(reply)
        while more:
            more = self._ask()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything. A second time does nothing."""
        if self._epoll.closed:
            return
        for vmid in list(self._vms):
            self._leave(vmid)
        self._epoll.close()
        if hasattr(self, "changed_fd"):
            os.close(self.changed_fd)

    def registered(self) -> bool:
        """Tell whether this process still is what it was registered as; its VMs are looked after, too."""
        try:
            self.wait(0)
        except DrvsError:
            return False
        return not self._epoll.closed

    # ---- the VMs of the node

    def refresh(self) -> None:
        """Serve the VMs that have come, and those that have gone no longer.

        Raises:
            Unreachable: the pair is not registered any more.
        """
        for vmid in [vmid for vmid, (region, _) in self._vms.items() if region.state != VmState.RUNNING]:
            self._leave(vmid)
        while self._ask():
            pass

    def _ask(self) -> bool:
        with self.client.call(
            "proxy_attach", px=self.px, role=self._role, pair=self._pair, after=self._last
        ) as reply:  # fmt: skip
            return self._attach(reply)

    def _attach(self, reply: Reply) -> bool:
        """Serve the VM that an answer brings; whether there is more."""
        vm = reply["vm"]
        if vm is not None:
            self._leave(vm["vmid"])
            region, bell = map_region(*reply.fds[:2]), os.dup(reply.fds[1])
            self.core.add(region)
            self._epoll.register(bell, select.EPOLLIN | select.EPOLLET)
            self._vms[vm["vmid"]], self._last = (region, bell), vm["serial"]
        return bool(reply["more"])

    def _leave(self, vmid: int) -> None:
        """Serve a VM no longer, if it is served."""
        if vmid in self._vms:
            _, bell = self._vms.pop(vmid)
            self.core.remove(vmid)
            if self._pid == os.getpid():  # a forked child shares its parent's epoll
                self._epoll.unregister(bell)  # closing it would not: others have it open, too
            os.close(bell)

    # ---- sending

    def take(self, limit: int = 64, skip: frozenset[int] | None = None) -> list[tuple[int, bytes]]:
        """Return up to `limit` commands that wait: (node it goes to, record). Never waits.

        Args:
            limit: how many.
            skip: nodes to leave alone.
        """
        return self.core.take(limit, skip)

    def take_runs(
        self, limit: int, nbytes: int, skip: frozenset[int] | None = None
    ) -> list[tuple[int, bytes | bytearray, int]]:
        """Return commands that wait as buffers that can be sent as they are: (node, records, how many). Never waits.

        Args:
            limit: how many.
            nbytes: how many bytes: what comes after them waits for the next call.
            skip: nodes to leave alone.
        """
        return self.core.take_runs(limit, nbytes, skip)

    def wait(self, timeout: float) -> bool:
        """Sleep until there may be something to take, at most `timeout` seconds; `core.arm` must have said True.

        Returns whether anything happened; VMs that have come or gone are attached or let go of.

        Raises:
            Unreachable: the pair is not registered any more.
        """
        self.core.rest()
        events = self._epoll.poll(min(timeout, self.LONGEST_SLEEP))
        if any(fd == self.changed_fd for fd, _ in events):
            self.refresh()
        return bool(events)

    def fileno(self) -> int:
        """Return a descriptor that is readable when `wait` would not sleep."""
        return self._epoll.fileno()

    # ---- receiving

    def put(self, records: Buffer, snode: int = -1) -> list[tuple[int, int]]:
        """Deliver records: (offset, code) of those that came to nothing, of which the other side must be told.

        Args:
            records: whole records of the wire.
            snode: the node that they come from; -1: whatever they say.

        Raises:
            ValueError: a record is malformed; those before it were delivered.
        """
        view = memoryview(records).cast("B")
        failed = self.core.put(view, snode)
        if failed and any(code in _UNKNOWN_VM for _, code in failed):
            failed = self._put_again(view, snode, failed)
        return failed

    def _put_again(self, view: memoryview, snode: int, failed: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """A VM that has come since, or was created anew, may be why: look, and try those once more."""
        self.refresh()
        still = []
        for offset, code in failed:
            if code in _UNKNOWN_VM:
                again = self.core.put(view[offset : offset + _length(view, offset)], snode)
                still += [(offset, again[0][1])] if again else []
            else:
                still.append((offset, code))
        return still


def _length(view: memoryview, offset: int) -> int:
    return int.from_bytes(view[offset : offset + 4], "little")
