"""Where a node is reached: `tcp://HOST:PORT`, `udp://HOST:PORT`, `tipc://TYPE:INSTANCE`, `nats://HOST:PORT`.

An IPv6 address stands in brackets, as in `tcp://[::1]:7400`. A TIPC service address is two numbers, decimal or 0x….
"""

from __future__ import annotations

import re
from typing import NamedTuple

TRANSPORTS = ("tcp", "udp", "tipc", "nats")

_SHAPE = re.compile(r"(?P<scheme>[a-z]+)://(?P<rest>.+)")
_HOST_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,5})")
_SERVICE = re.compile(r"(0x[0-9a-fA-F]{1,8}|\d{1,10}):(0x[0-9a-fA-F]{1,8}|\d{1,10})")


class Address(NamedTuple):
    """One way to reach a node.

    Attributes:
        transport: one of TRANSPORTS.
        host: host name or IP address; for tipc the service type in decimal.
        port: the port, or the instance of a TIPC service.
    """

    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"


def parse(text: str) -> Address:
    """Read an address.

    Raises:
        ValueError: it is none; the text says what one looks like.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None or shape["scheme"] not in TRANSPORTS:
        known = ", ".join(f"{name}://" for name in TRANSPORTS)
        raise ValueError(f"{text!r} is no address: it begins with one of {known}")
    if shape["scheme"] == "tipc":
        return _service(shape["rest"])
    found = _HOST_PORT.fullmatch(shape["rest"])
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ValueError(f"{text!r} is no address: write {shape['scheme']}://HOST:PORT, the port from 1 to 65535")
    return Address(shape["scheme"], found["v6"] or found["host"], int(found["port"]))


def _service(rest: str) -> Address:
    found = _SERVICE.fullmatch(rest)
    kind, instance = (int(word, 0) for word in found.groups()) if found else (0, 0)
    if not 64 <= kind < 1 << 32 or instance >= 1 << 32:
        raise ValueError(f"'tipc://{rest}' is no address: write tipc://TYPE:INSTANCE, the type from 64 to 4294967295")
    return Address("tipc", str(kind), instance)
