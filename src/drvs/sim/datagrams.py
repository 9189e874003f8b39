"""Datagrams over the virtual network: each may be lost, doubled, or overtaken. The port is that of the real
transports.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

from drvs.cluster.transports.address import Address
from drvs.cluster.transports.carrier import Hub, Transport
from drvs.cluster.transports.datagrams import DatagramCarrier, Port
from drvs.sim.network import IN, OUT, Host

#: Seconds after which a port that had no room has some.
ROOM_S = 0.001


class SimPort(Port):
    """The one port of a host; addresses are the numbers of nodes."""

    def __init__(self, hub: Hub, host: Host) -> None:
        super().__init__(hub, host.network.options.datagram_bytes)
        self._host = host
        self._fd = host.descriptor()
        self._arrived: deque[tuple[bytes, int]] = deque()
        self._watch(IN)

    def send(self, data: bytes, where: Any) -> bool:
        """Put a datagram on its way."""
        network, options = self._host.network, self._host.network.options
        way = network.way(self._host.number, int(where))
        dice = way.dice
        if dice.random() < options.no_room:
            network.agenda.after(ROOM_S, self._host.tell, self._fd, OUT)
            return False
        if dice.random() >= options.loss:
            way.carry(network.deliver, data, self._host.number, int(where))
        if dice.random() < options.duplicate:
            way.carry(network.deliver, data, self._host.number, int(where))
        return True

    def arrive(self, data: bytes, source: int) -> None:
        """One has come."""
        self._arrived.append((data, source))
        self._host.tell(self._fd, IN)

    def take(self) -> tuple[bytes, Hashable] | None:
        """Return one that has come, and where from."""
        if not self._arrived:
            return None
        found = self._arrived.popleft()
        if self._arrived:
            self._host.tell(self._fd, IN)
        return found

    def name(self, where: Any) -> str:
        """Return an address for people."""
        return f"udp://{where}:1"

    def _watch(self, mask: int) -> None:
        self._hub.watch(self._fd, self, mask)


class Datagrams(Transport):
    """The transport of a node."""

    scheme = "udp"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._port: SimPort | None = None

    def listen(self, hub: Hub, address: Address) -> Address:
        """Have a port."""
        self._port = SimPort(hub, self._host)
        self._host.port = self._port.arrive
        return address

    def dial(self, hub: Hub, address: Address, node: int, now: float) -> DatagramCarrier:
        """Begin a connection."""
        assert self._port is not None
        return self._port.dial(node, node, now)

    def close(self, hub: Hub) -> None:
        """Have none."""
        self._host.port = None
