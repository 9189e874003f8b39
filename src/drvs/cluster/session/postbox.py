"""Where datagrams arrive: finds the connection that each one belongs to, and begins those that peers dial.

Strangers, whose connections have not proved anything yet, are bounded in number: a flood of HELLOs ends the oldest of
them and nothing else.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from drvs.base import limits
from drvs.cluster.session.datagram import OPEN, DatagramConnection
from drvs.cluster.session.events import Event
from drvs.cluster.session.exchange import Exchange
from drvs.cluster.wire.datagrams import decode_header


class Postbox:
    """All datagram connections of one socket. `Address` is whatever the transport calls a peer's."""

    def __init__(
        self,
        exchange: Exchange,
        datagram_bytes: int,
        accepted: Callable[[DatagramConnection, Hashable], None],
        strangers: int = limits.LINK_STRANGERS,
    ) -> None:
        self._exchange = exchange
        self._datagram_bytes = datagram_bytes
        self._accepted = accepted
        self._most = strangers
        self._connections: dict[int, DatagramConnection] = {}
        self._strangers: OrderedDict[tuple[Hashable, int], DatagramConnection] = OrderedDict()
        #: Datagrams that belonged to nothing.
        self.stray = 0

    def dial(self, expect: int | None, now: float) -> DatagramConnection:
        """Begin a connection; the transport sends its `output` to the peer's address."""
        connection = DatagramConnection(
            self._exchange, now, dialled=True, datagram_bytes=self._datagram_bytes, expect=expect
        )
        self._connections[connection.number] = connection
        return connection

    def receive(self, data: bytes, address: Hashable, now: float) -> tuple[DatagramConnection | None, list[Event]]:
        """Take a datagram; return whose it was, and what it led to."""
        found = decode_header(data)
        if found is None:
            self.stray += 1
            return None, []
        kind, to, number = found[:3]
        connection = self._connections.get(to)
        if connection is None and kind == OPEN and to == 0 and number:
            connection = self._stranger(address, number, now)
        if connection is None:
            self.stray += 1
            return None, []
        events = connection.take(found, data, now)
        if self._strangers and connection.peer is not None and not connection.dialled:
            self._strangers.pop((address, connection.peer_number), None)
        return connection, events

    def _stranger(self, address: Hashable, number: int, now: float) -> DatagramConnection:
        """Return the connection that this peer began with this number: it may have said HELLO before."""
        key = (address, number)
        if known := self._strangers.get(key):
            return known
        if len(self._strangers) >= self._most:
            _, oldest = self._strangers.popitem(last=False)
            oldest.broken("too many strangers", now)
            self._connections.pop(oldest.number, None)
            self._exchange.finished.append(oldest)
        connection = DatagramConnection(self._exchange, now, dialled=False, datagram_bytes=self._datagram_bytes)
        self._connections[connection.number] = self._strangers[key] = connection
        self._accepted(connection, address)
        return connection

    def forget(self, connection: DatagramConnection) -> None:
        """Drop a connection that is over."""
        self._connections.pop(connection.number, None)
        for key in [key for key, other in self._strangers.items() if other is connection]:
            del self._strangers[key]
