"""udp: sealed datagrams. For paths on which streams recover slowly, and the plain case of all datagram transports."""

import socket
from typing import Any

from drvs.base import limits
from drvs.cluster.transports.address import Address, socket_address
from drvs.cluster.transports.carrier import Carrier, Hub, Transport
from drvs.cluster.transports.datagrams import IN, Port

#: Asked of the system for what has arrived; it gives what it allows (net.core.rmem_max).
RECEIVE_BYTES = 4 << 20


class UdpPort(Port):
    """A socket."""

    def __init__(self, hub: Hub, sock: socket.socket, datagram_bytes: int) -> None:
        super().__init__(hub, datagram_bytes)
        self._socket = sock
        self._most = datagram_bytes + 1
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        hub.watch(sock.fileno(), self, IN)

    def send(self, data: bytes, where: Any) -> bool:
        """Send a datagram, if there is room."""
        try:
            self._socket.sendto(data, where)
        except BlockingIOError:
            return False
        return True

    def take(self) -> tuple[bytes, Any] | None:
        """Return a datagram that has arrived."""
        try:
            return self._socket.recvfrom(self._most)
        except BlockingIOError:
            return None

    def name(self, where: Any) -> str:
        """Return an address for people."""
        return str(Address("udp", str(where[0]), int(where[1])))

    def _watch(self, mask: int) -> None:
        self._hub.watch(self._socket.fileno(), self, mask)

    def close(self) -> None:
        """Close the socket."""
        self._hub.unwatch(self._socket.fileno())
        self._socket.close()


class Udp(Transport):
    """The transport. `datagram_bytes` must fit the path; the smaller of both ends' counts."""

    scheme = "udp"

    def __init__(self, datagram_bytes: int = limits.DATAGRAM_BYTES) -> None:
        self._bytes = datagram_bytes
        self._ports: dict[int, UdpPort] = {}

    def listen(self, hub: Hub, address: Address) -> Address:
        """Bind a socket; it also dials. Port 0 takes a free one."""
        family, where = socket_address(address, socket.SOCK_DGRAM)
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.bind(where)
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from None
        port = sock.getsockname()[1]
        if family in self._ports:
            self._ports[-port] = UdpPort(hub, sock, self._bytes)  # a further one only listens
        else:
            self._ports[family] = UdpPort(hub, sock, self._bytes)
        return Address("udp", address.host, port)

    def dial(self, hub: Hub, address: Address, node: int, now: float) -> Carrier:
        """Say HELLO to the address."""
        family, where = socket_address(address, socket.SOCK_DGRAM)
        if family not in self._ports:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            self._ports[family] = UdpPort(hub, sock, self._bytes)
        return self._ports[family].dial(where, node, now)

    def close(self, hub: Hub) -> None:
        """Close the sockets."""
        while self._ports:
            self._ports.popitem()[1].close()
