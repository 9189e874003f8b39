"""Addresses of nodes, as they are written in cluster files:

tcp://10.0.0.2:7411      tcp://[fd00::2]:7411
udp://10.0.0.2:7411
tipc://7411:2            service type and instance
nats://                  by the node's number, through the one NATS connection that each node has
"""

import socket
from typing import Any

import msgspec

SCHEMES = ("tcp", "udp", "tipc", "nats")


class Address(msgspec.Struct, frozen=True):
    """A parsed address. `host` is numeric, or a name to be resolved (`resolve`)."""

    scheme: str
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.scheme == "nats":
            return "nats://"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse(text: str) -> Address:
    """Take an address apart.

    Raises:
        ValueError: It is none; the text says what is wrong with it.
    """
    scheme, found, rest = text.partition("://")
    if not found or scheme not in SCHEMES:
        raise ValueError(f"{text!r} is no address: write one like tcp://10.0.0.2:7411 ({', '.join(SCHEMES)})")
    if scheme == "nats":
        if rest:
            raise ValueError(f"{text!r}: a node's NATS address is nats:// alone; the servers are named elsewhere")
        return Address("nats")
    host, found, port = rest.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    most = 65535 if scheme != "tipc" else 0xFFFFFFFF
    if not found or not host or not port.isascii() or not port.isdigit() or int(port) > most:
        example = "tipc://7411:2" if scheme == "tipc" else f"{scheme}://10.0.0.2:7411"
        raise ValueError(f"{text!r} is no address: write one like {example}")
    if scheme == "tipc" and not (host.isascii() and host.isdigit() and 64 <= int(host) <= 0xFFFFFFFF):
        raise ValueError(f"{text!r}: a TIPC service type is a number from 64 on")
    return Address(scheme, host, int(port))


def resolve(address: Address) -> list[Address]:
    """Return the address with numeric hosts. Asks the resolver, and so may wait: do it before the loop runs.

    Raises:
        ValueError: The name is not known.
    """
    if address.scheme not in ("tcp", "udp"):
        return [address]
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"{address}: {error.strerror or error}") from None
    return [Address(address.scheme, host, address.port) for host in dict.fromkeys(str(info[4][0]) for info in found)]


def socket_address(address: Address, kind: int) -> tuple[int, Any]:
    """Return the family and the address as the socket module wants them.

    Raises:
        OSError: The host is not numeric; `resolve` it before.
    """
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    found = socket.getaddrinfo(address.host, address.port, type=kind, flags=flags)
    return found[0][0], found[0][4]
