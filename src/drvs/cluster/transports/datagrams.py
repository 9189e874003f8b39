"""What the transports of datagrams have in common: one port for all peers, and a carrier for each connection through
it.

A `Port` is a source: it takes what has arrived, asks the postbox whose it is, and lets each connection that got
something answer once. What the system does not take at once stays with its carrier until the port can send again; what
it loses, the connections send again.
"""

import select
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any

from drvs.cluster.session import DatagramConnection, Event
from drvs.cluster.session.postbox import Postbox
from drvs.cluster.transports.carrier import Carrier, Hub

IN, OUT = select.EPOLLIN, select.EPOLLOUT

#: Datagrams taken at one time, and bytes asked of a session at one time.
TAKE = 64
CHUNK_BYTES = 1 << 18


class DatagramCarrier(Carrier):
    """One connection through a port."""

    def __init__(self, port: "Port", connection: DatagramConnection, where: Any) -> None:
        self.connection: DatagramConnection = connection
        self.where = where
        self.address = port.name(where)
        self._port = port
        self._unsent: list[bytes] = []
        connection.carrier = self

    def flush(self, now: float) -> list[Event]:
        """Send what is there to be sent."""
        try:
            self._send_all(now)
        except OSError as error:
            self._unsent = []
            return self.connection.broken(error.strerror or str(error), now)
        return []

    def _send_all(self, now: float) -> None:
        datagrams, most = self._unsent, 0
        while True:
            for index, datagram in enumerate(datagrams):
                if not self._port.send(datagram, self.where):
                    self._unsent = datagrams[index:]
                    self._port.wait_for_room(self)
                    return
            self._unsent = []
            if sum(map(len, datagrams)) < most:  # the connection had no more, or may send no more now
                return
            datagrams, most = self.connection.output(CHUNK_BYTES, now), CHUNK_BYTES

    @property
    def wants_flush(self) -> bool:
        """Whether `flush` might have something to send."""
        return bool(self._unsent) or self.connection.wants_output

    def close(self) -> None:
        """Forget the connection; the port stays."""
        self._unsent = []
        self._port.forget(self)


class Port(ABC):
    """Where datagrams come in and go out."""

    def __init__(self, hub: Hub, datagram_bytes: int) -> None:
        self._hub = hub
        self._postbox = Postbox(hub.exchange, datagram_bytes, self._accepted)
        self._waiting: dict[DatagramCarrier, None] = {}

    @abstractmethod
    def send(self, data: bytes, where: Any) -> bool:
        """Send a datagram; False if there is no room now.

        Raises:
            OSError: It cannot be sent there at all.
        """

    @abstractmethod
    def take(self) -> tuple[bytes, Hashable] | None:
        """Return a datagram that has arrived and where it came from, or None.

        Raises:
            OSError: Something else has arrived: an error that belongs to no connection.
        """

    @abstractmethod
    def name(self, where: Any) -> str:
        """Return an address for people."""

    @abstractmethod
    def _watch(self, mask: int) -> None:
        """Watch the port's descriptor for this."""

    def dial(self, where: Any, node: int, now: float) -> DatagramCarrier:
        """Begin a connection."""
        return DatagramCarrier(self, self._postbox.dial(node, now), where)

    def _accepted(self, connection: DatagramConnection, where: Hashable) -> None:
        self._hub.accepted(DatagramCarrier(self, connection, where))

    def ready(self, mask: int, now: float) -> list[Event]:
        """Take what has arrived; send what had no room."""
        events: list[Event] = []
        touched: dict[DatagramCarrier, None] = {}
        if mask & OUT:
            touched, self._waiting = self._waiting, touched
            self._watch(IN)
        for _ in range(TAKE):
            try:
                found = self.take()
            except OSError:
                continue
            if found is None:
                break
            connection, happened = self._postbox.receive(found[0], found[1], now)
            events += happened
            if connection is not None and connection.carrier is not None:
                touched[connection.carrier] = None
        for carrier in touched:
            events += self._hub.settle(carrier, now)
        return events

    def wait_for_room(self, carrier: DatagramCarrier) -> None:
        """Let a carrier send when there is room again."""
        self._waiting[carrier] = None
        self._watch(IN | OUT)

    def forget(self, carrier: DatagramCarrier) -> None:
        """Drop a connection that is over."""
        self._waiting.pop(carrier, None)
        self._postbox.forget(carrier.connection)
