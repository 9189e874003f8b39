"""Addresses of nodes, as they are written in cluster files:

tcp://10.0.0.2:7411      tcp://[fd00::2]:7411
udp://10.0.0.2:7411
tipc://7411:2            service type and instance
nats://                  by the node's number, through the one NATS connection that each node has
"""

import re
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


_EXAMPLES = {"tcp": "tcp://alpha:7411", "udp": "udp://alpha:7411", "tipc": "tipc://7411:2", "nats": "nats:// alone"}
_PLACE = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,10})", re.ASCII)


def parse(text: str) -> Address:
    """Take an address apart. Port 0 is one to listen on: the system chooses.

    Raises:
        ValueError: It is none; the text says what one looks like.
    """
    scheme, found, rest = text.partition("://")
    if not found or scheme not in SCHEMES:
        raise ValueError(f"{text!r} is no address: write one like {', '.join(_EXAMPLES.values())}")
    if scheme == "nats" and not rest:
        return Address("nats")
    place = _PLACE.fullmatch(rest)
    if scheme == "nats" or place is None or not _possible(scheme, place):
        raise ValueError(f"{text!r} is no address: write one like {_EXAMPLES[scheme]}")
    return Address(scheme, place["v6"] or place["host"], int(place["port"]))


def _possible(scheme: str, place: re.Match[str]) -> bool:
    """Whether the numbers are in their ranges."""
    host, port = place["host"] or "", int(place["port"])
    if scheme == "tipc":
        return host.isdigit() and 64 <= int(host) < 1 << 32 and port < 1 << 32
    return port < 1 << 16


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
