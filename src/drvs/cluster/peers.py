"""The peers that a node wants to be connected to: where they are, when to dial them, and what became of it."""

import random
import time
from collections import deque

import msgspec

from drvs.base import limits
from drvs.cluster.session import Exchange
from drvs.cluster.transports.address import Address
from drvs.cluster.transports.carrier import Carrier

NEVER = float("inf")

#: How long the node with the higher number leaves dialling to the other one, each time that they are not connected.
PATIENCE_S = 1.0
#: How long a connection must have worked for its end not to count as a failure to connect.
STEADY_S = 1.0


class Reason(msgspec.Struct, frozen=True):
    """Why a connection ended."""

    #: Seconds since 1970.
    at: float
    address: str
    text: str


def reasons() -> deque[Reason]:
    """Return an empty list that keeps the last few."""
    return deque(maxlen=limits.LINK_REASONS)


class Peer:
    """One peer and its next dial.

    The node with the lower number dials at once. The other one waits a second before it does, for it may be the only
    one that can.
    """

    def __init__(self, exchange: Exchange, node: int, addresses: list[Address], rng: random.Random, now: float) -> None:
        self.node = node
        self.addresses = addresses
        self.carrier: Carrier | None = None
        self.reasons = reasons()
        self.dials = 0
        self._exchange, self._rng = exchange, rng
        self._patience = 0.0 if exchange.local.node < node else PATIENCE_S
        self._failures = 0
        self._since = now
        self._next = 0
        self._dial_at = now + self._patience if addresses else NEVER

    def __repr__(self) -> str:
        return f"<Peer {self.node} at {', '.join(map(str, self.addresses)) or 'no address'}>"

    @property
    def connected(self) -> bool:
        """Whether records can flow."""
        session = self._exchange.sessions.get(self.node)
        return session is not None and session.open

    @property
    def deadline(self) -> float:
        """When to dial."""
        return self._dial_at if self.carrier is None and not self.connected else NEVER

    def next_address(self) -> Address:
        """Return the address whose turn it is."""
        self.dials += 1
        self._next += 1
        return self.addresses[(self._next - 1) % len(self.addresses)]

    def established(self, now: float) -> None:
        """Note that a connection works."""
        self._since = now

    def ended(self, address: str, text: str, now: float, *, worked: bool) -> None:
        """Note that a connection ended. If it had worked for a while, dial again at once; if not, later each time."""
        self.reasons.append(Reason(time.time(), address, text))
        if not self.addresses:
            return
        first, most = limits.LINK_DIAL_MS / 1000, limits.LINK_DIAL_MAX_MS / 1000
        if worked and now - self._since >= STEADY_S:
            self._failures, wait = 0, 0.0
        else:
            doublings = min(self._failures, 2 if worked else 16)
            wait = min(first * 2.0**doublings, most)
            self._failures += 1
        self._dial_at = now + self._patience + wait * self._rng.uniform(0.5, 1.0)

    def move(self, addresses: list[Address], now: float) -> None:
        """Use other addresses from now on."""
        if addresses != self.addresses:
            self.addresses, self._next, self._failures = addresses, 0, 0
            self._dial_at = now + self._patience if addresses else NEVER
