"""tipc: sealed datagrams in the cluster protocol of Linux, which finds nodes by a service type and an instance.

The kernel has to know it (module tipc) and a bearer has to be up, as root: `tipc bearer enable media eth device eth0`.
Address tipc://TYPE:INSTANCE; a node listens on its instance, and messages that cannot be delivered are dropped.
"""

import errno
import socket
from typing import Any

from drvs.cluster.transports.address import Address
from drvs.cluster.transports.carrier import Carrier, Hub, Transport
from drvs.cluster.transports.datagrams import IN, Port

#: A quarter of what a TIPC message may have: so that several are under way in the window.
DATAGRAM_BYTES = 16384

MISSING = "this kernel has no TIPC: load its module (modprobe tipc), or use another transport"


def open_socket() -> socket.socket:
    """Return a socket for messages.

    Raises:
        OSError: This kernel, or this Python, has no TIPC; says what to do.
    """
    if not hasattr(socket, "AF_TIPC"):
        raise OSError(errno.EAFNOSUPPORT, "this Python was built without TIPC: use another transport")
    try:
        sock = socket.socket(socket.AF_TIPC, socket.SOCK_RDM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        text = MISSING if error.errno == errno.EAFNOSUPPORT else f"TIPC: {error.strerror}"
        raise OSError(error.errno, text) from None
    sock.setsockopt(socket.SOL_TIPC, socket.TIPC_DEST_DROPPABLE, 1)
    return sock


class TipcPort(Port):
    """A socket."""

    def __init__(self, hub: Hub, sock: socket.socket) -> None:
        super().__init__(hub, DATAGRAM_BYTES)
        self._socket = sock
        hub.watch(sock.fileno(), self, IN)

    def send(self, data: bytes, where: Any) -> bool:
        """Send a message; where nobody listens it is lost, as it would be a moment later."""
        try:
            self._socket.sendto(data, where)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ENETUNREACH):
                raise
        return True

    def take(self) -> tuple[bytes, Any] | None:
        """Return a message that has arrived."""
        try:
            return self._socket.recvfrom(DATAGRAM_BYTES + 1)
        except BlockingIOError:
            return None

    def name(self, where: Any) -> str:
        """Return an address for people: a service, or the socket that wrote."""
        kind, first, second, *_ = where
        if kind == socket.TIPC_ADDR_NAME:
            return str(Address("tipc", str(first), int(second)))
        return f"tipc socket {first:x}:{second}"

    def _watch(self, mask: int) -> None:
        self._hub.watch(self._socket.fileno(), self, mask)

    def close(self) -> None:
        """Close the socket."""
        self._hub.unwatch(self._socket.fileno())
        self._socket.close()


class Tipc(Transport):
    """The transport."""

    scheme = "tipc"

    def __init__(self) -> None:
        self._port: TipcPort | None = None

    def listen(self, hub: Hub, address: Address) -> Address:
        """Bind the instance; the same socket dials."""
        sock = open_socket()
        service, instance = int(address.host), address.port
        try:
            sock.bind((socket.TIPC_ADDR_NAMESEQ, service, instance, instance, socket.TIPC_CLUSTER_SCOPE))
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from None
        if self._port is not None:
            self._port.close()
        self._port = TipcPort(hub, sock)
        return address

    def dial(self, hub: Hub, address: Address, node: int, now: float) -> Carrier:
        """Say HELLO to the service."""
        if self._port is None:
            self._port = TipcPort(hub, open_socket())
        return self._port.dial((socket.TIPC_ADDR_NAME, int(address.host), address.port, 0), node, now)

    def close(self, hub: Hub) -> None:
        """Close the socket."""
        if self._port is not None:
            self._port.close()
            self._port = None
