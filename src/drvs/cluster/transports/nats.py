"""nats: sealed datagrams in messages. One connection per node reaches all others, over whatever servers lie between.

A node listens on the subject drvs.CLUSTER.node.NUMBER and names it as the one to answer to. The servers see who talks
to whom and how much, and nothing else: what they carry is sealed, they may lose it, and they cannot make it up.
"""

import re
from typing import Any

from drvs.base import limits
from drvs.cluster.session import Event
from drvs.cluster.transports.address import Address
from drvs.cluster.transports.carrier import Carrier, Hub, Transport
from drvs.cluster.transports.datagrams import IN, TAKE, Port
from drvs.cluster.transports.nats_connection import Inbox, NatsConnection


def node_subject(cluster: str, node: int) -> str:
    """Return the subject that a node listens on."""
    return f"drvs.{re.sub('[^A-Za-z0-9_-]', '_', cluster)}.node.{node}"


class NatsPort(Port):
    """The subject of this node."""

    def __init__(self, hub: Hub, connection: NatsConnection, subject: str) -> None:
        super().__init__(hub, limits.NATS_DATAGRAM_BYTES)
        self._connection, self._subject = connection, subject
        self._inbox = Inbox()
        connection.subscribe(subject, self._inbox)
        hub.watch(self._inbox.fd, self, IN)

    def ready(self, mask: int, now: float) -> list[Event]:
        """Take what has arrived."""
        self._inbox.quiet()
        events = super().ready(IN, now)
        if len(self._inbox):
            self._inbox.rouse()
        return events

    def send(self, data: bytes, where: Any) -> bool:
        """Publish a message. If too many wait, it is as good as lost on the way."""
        self._connection.publish(where, data, self._subject)
        return True

    def take(self) -> tuple[bytes, str] | None:
        """Return a message that has arrived; those that name nobody to answer to are none of ours."""
        for _ in range(TAKE):
            found = self._inbox.take()
            if found is None or found[1].startswith("drvs."):
                return found
        return None

    def name(self, where: Any) -> str:
        """Return an address for people."""
        return f"nats://{where}"

    def _watch(self, mask: int) -> None:
        """There is always room."""

    def close(self) -> None:
        """Listen no more; the subscription ends with the connection."""
        self._hub.unwatch(self._inbox.fd)
        self._inbox.close()


class Nats(Transport):
    """The transport. The connection is its owner's: the registry uses it too, and it is closed after the links."""

    scheme = "nats"

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection
        self._port: NatsPort | None = None

    def listen(self, hub: Hub, address: Address) -> Address:
        """Subscribe to the node's subject."""
        self._open(hub)
        return address

    def _open(self, hub: Hub) -> NatsPort:
        if self._port is None:
            local = hub.exchange.local
            self._port = NatsPort(hub, self._connection, node_subject(local.cluster, local.node))
        return self._port

    def dial(self, hub: Hub, address: Address, node: int, now: float) -> Carrier:
        """Say HELLO on the peer's subject."""
        return self._open(hub).dial(node_subject(hub.exchange.local.cluster, node), node, now)

    def close(self, hub: Hub) -> None:
        """Unsubscribe."""
        if self._port is not None:
            self._port.close()
            self._port = None
