"""Commands from the VMs to the links, and back.

No waiting and no batching timer: what waits is drained in one go, so commands that wait together leave together. A
node whose link has too much under way is skipped: its commands stay in the core's queue, where each sender has one at
most.
"""

from typing import Protocol

from drvs import core
from drvs.base import limits
from drvs.base.codes import Code
from drvs.cluster.proxies.answers import refusal

Buffer = bytes | memoryview


class Carrier(Protocol):
    """What carries records to other nodes."""

    def send_records(self, node: int, blob: Buffer, count: int) -> None:
        """Send whole records; the session keeps them until they are acknowledged."""

    def backlog(self, node: int) -> int:
        """Bytes that wait for that node's acknowledgement."""


class Pump:
    """The two roles of the standard proxies."""

    def __init__(self, proxy: core.Proxy, carrier: Carrier) -> None:
        self.proxy = proxy
        self.carrier = carrier
        self.sent: dict[int, int] = {}
        self.received: dict[int, int] = {}
        self._full: frozenset[int] = frozenset()

    def send(self) -> bool:
        """Take what waits, and send it. True: there was something."""
        taken = self.proxy.take(limits.TAKE_COMMANDS, self._full)
        if not taken:
            return False
        if len(taken) == 1:
            node, record = taken[0]
            self._send_to(node, record, 1)
        else:
            self._send_sorted(taken)
        return True

    def _send_sorted(self, taken: list[tuple[int, bytes]]) -> None:
        by_node: dict[int, list[bytes]] = {}
        for node, record in taken:
            by_node.setdefault(node, []).append(record)
        for node, records in by_node.items():
            self._send_to(node, b"".join(records), len(records))

    def _send_to(self, node: int, blob: bytes, count: int) -> None:
        self.carrier.send_records(node, blob, count)
        self.sent[node] = self.sent.get(node, 0) + count
        if len(blob) > limits.SMALL_RECORDS and self.carrier.backlog(node) > limits.LINK_BACKLOG:
            self._full |= {node}

    def receive(self, node: int, blob: Buffer, count: int) -> None:
        """Put what came from a node; answer for what could not be put.

        Raises:
            ValueError: the peer sent something that is no record: its session should end.
        """
        self.received[node] = self.received.get(node, 0) + count
        failed = self.proxy.put(blob, node)
        for offset, code in failed:
            self._answer(memoryview(blob)[offset:], code)

    def _answer(self, record: memoryview, code: int) -> None:
        length = int.from_bytes(record[:4], "little")
        for _ in range(limits.PUT_TRIES if code == Code.TIMEDOUT else 0):
            again = self.proxy.put(record[:length])
            if not again:
                return
            code = again[0][1]
        answer = refusal(record[:length], code, self.proxy.node)
        if answer is not None:
            self.carrier.send_records(*answer, 1)

    def drained(self) -> bool:
        """Look whether links that were full have room again. True: some have."""
        if not self._full:
            return False
        still = frozenset(node for node in self._full if self.carrier.backlog(node) > limits.LINK_BACKLOG // 2)
        changed = still != self._full
        self._full = still
        return changed
