"""Where a node is reached, as cluster files say it.

tcp://alpha:7411         tcp://[fd00::2]:7411
udp://10.0.0.2:7411
tipc://7411:2            service type and instance
nats://                  by its number, through the NATS servers of the cluster
"""

from __future__ import annotations

import re
from typing import NamedTuple

SCHEMES = ("tcp", "udp", "tipc", "nats")

_EXAMPLES = {"tcp": "tcp://alpha:7411", "udp": "udp://alpha:7411", "tipc": "tipc://7411:2", "nats": "nats:// alone"}
_PLACE = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,10})", re.ASCII)


class Address(NamedTuple):
    """One way to reach a node.

    Attributes:
        scheme: one of SCHEMES.
        host: host name or IP address; the service type of tipc; empty for nats.
        port: the port; the instance of tipc; 0 for nats.
    """

    scheme: str
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.scheme == "nats":
            return "nats://"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse(text: str) -> Address:
    """Read an address.

    Raises:
        ValueError: it is none; the text says what one looks like.
    """
    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES or "://" not in text:
        raise ValueError(f"{text!r} is no address: write one like {', '.join(_EXAMPLES.values())}")
    if scheme == "nats" and not rest:
        return Address("nats")
    found = _PLACE.fullmatch(rest)
    if scheme == "nats" or found is None or not _possible(scheme, found):
        raise ValueError(f"{text!r} is no address: write one like {_EXAMPLES[scheme]}")
    return Address(scheme, found["v6"] or found["host"], int(found["port"]))


def _possible(scheme: str, found: re.Match[str]) -> bool:
    """Whether the numbers are in their ranges."""
    host, port = found["host"] or "", int(found["port"])
    if scheme == "tipc":
        return host.isdigit() and 64 <= int(host) < 1 << 32 and port < 1 << 32
    return 0 < port < 1 << 16
