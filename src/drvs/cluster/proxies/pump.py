"""Commands from the VMs to the links, and back.

No waiting and no timer for batches: what waits is drained in one go, so commands that wait together leave together. Of
large copies a part is drained at a time, so that it is on its way while the next is read. A node whose link has too
much under way is left alone meanwhile: its commands stay in the core's queue, where each process has one at most, and
so wait where their senders do.
"""

from typing import Protocol

from drvs import core
from drvs.base import limits
from drvs.base.codes import Code

Buffer = bytes | bytearray | memoryview


class Sender(Protocol):
    """The sender's hands (`drvs.api.carrier.Carrier`)."""

    def take_runs(
        self, limit: int, nbytes: int, skip: frozenset[int] | None = None
    ) -> list[tuple[int, bytes | bytearray, int]]:
        """Return commands that wait: (node, records, how many)."""


class Receiver(Protocol):
    """The receiver's."""

    def put(self, records: Buffer, snode: int = -1) -> list[tuple[int, int]]:
        """Deliver records: (offset, code) of those that came to nothing."""


class Outlet(Protocol):
    """The links (`drvs.cluster.links.Links`)."""

    def send_records(self, node: int, blob: Buffer, count: int) -> bool:
        """Queue whole records; whether the node should be sent no more for now."""

    def full(self, node: int) -> bool:
        """Say whether a node should be sent nothing for now."""


class Pump:
    """Both roles of the standard proxies of `node`.

    Args:
        part_bytes: how much of what waits is taken at a time.
    """

    def __init__(
        self, node: int, sender: Sender, receiver: Receiver, outlet: Outlet, part_bytes: int = limits.TAKE_BYTES
    ) -> None:
        self._node = node
        self._part_bytes = part_bytes
        self._sender = sender
        self._receiver = receiver
        self._outlet = outlet
        self._full: frozenset[int] = frozenset()

    def send(self) -> bool:
        """Take what waits and queue it at the links. True: there was something."""
        if self._full:
            self._full = frozenset(node for node in self._full if self._outlet.full(node))
        runs = self._sender.take_runs(limits.TAKE_COMMANDS, self._part_bytes, self._full or None)
        for node, blob, count in runs:
            self._send(node, blob, count)
        return bool(runs)

    def _send(self, node: int, blob: bytes | bytearray, count: int) -> None:
        """Queue records; where there is no session any more they are lost, and the core ends their calls (NOTCONN)."""
        try:
            if self._outlet.send_records(node, blob, count):
                self._full |= {node}
        except ValueError:
            return

    @property
    def full(self) -> frozenset[int] | None:
        """The nodes that are left alone for now: what waits for them is no work. None: there are none."""
        return self._full or None

    def receive(self, node: int, blob: Buffer) -> None:
        """Put what came from a node; answer for what could not be put.

        Raises:
            ValueError: the peer sent something that is no record: its session should end.
        """
        for offset, code in self._receiver.put(blob, node):
            length = int.from_bytes(blob[offset : offset + 4], "little")
            self._put_again(node, bytes(blob[offset : offset + length]), code)

    def _put_again(self, node: int, record: bytes, code: int) -> None:
        """A VM whose lock did not come is given some more time; then the sender is told."""
        for _ in range(limits.PUT_TRIES):
            if code != Code.TIMEDOUT:
                break
            failed = self._receiver.put(record, node)
            if not failed:
                return
            code = failed[0][1]
        answer = core.refuse_command(record, code)
        if answer is not None:
            self._send(*answer, 1)
