"""The interface of all transports. `Links` drives it, and so does a simulation with transports of its own.

A `Transport` listens and dials; each connection is a `Carrier`, which moves bytes between a sans-I/O connection and
the world. Whatever has a descriptor is a `Source`, and is told when that is ready. Nothing blocks, and nothing has a
thread of its own unless it says so. The `Hub` is what they find above them.
"""

from abc import ABC, abstractmethod
from typing import Protocol

from drvs.cluster.session import Connection, Event, Exchange
from drvs.cluster.transports.address import Address


class Source(Protocol):
    """Something with a descriptor."""

    def ready(self, mask: int, now: float) -> list[Event]:
        """Do what can be done without waiting; `mask` is epoll's."""
        ...


class Poller(Protocol):
    """What is needed of `select.epoll`."""

    def register(self, fd: int, eventmask: int) -> None:
        """Watch a descriptor."""
        ...

    def modify(self, fd: int, eventmask: int) -> None:
        """Watch it for something else."""
        ...

    def unregister(self, fd: int) -> None:
        """Watch it no longer."""
        ...


class Carrier(ABC):
    """One connection of a transport."""

    connection: Connection
    #: The other end's address, for people.
    address: str
    #: What begins now is not due before that many seconds have passed.
    soonest_s = 0.0

    @abstractmethod
    def flush(self, now: float) -> list[Event]:
        """Send what the connection has to say, as far as that goes without waiting."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the transport; what is not sent yet is lost."""

    @property
    def wants_flush(self) -> bool:
        """Whether `flush` might have something to send."""
        return self.connection.wants_output

    @property
    def deadline(self) -> float:
        """When `Links` should call the connection's `tick`."""
        return self.connection.deadline


class Hub(Protocol):
    """What a transport needs of the loop that drives it."""

    exchange: Exchange

    @property
    def buffer(self) -> memoryview:
        """Scratch for what is read; good until the next `ready` of any source."""
        ...

    def watch(self, fd: int, source: Source, mask: int) -> None:
        """Call `source.ready` when `fd` is ready for `mask`; again for another mask."""
        ...

    def unwatch(self, fd: int) -> None:
        """No longer."""
        ...

    def accepted(self, carrier: Carrier) -> None:
        """Take in a connection that a peer began."""
        ...

    def settle(self, carrier: Carrier, now: float) -> list[Event]:
        """Send what is to be sent, close what is over, set the timers: after anything has happened to a connection."""
        ...


class Transport(ABC):
    """One way for bytes to travel."""

    scheme: str

    @abstractmethod
    def listen(self, hub: Hub, address: Address) -> Address:
        """Let peers dial this node there; return the address with its port.

        Raises:
            OSError: With the reason, and what to do about it.
        """

    @abstractmethod
    def dial(self, hub: Hub, address: Address, node: int, now: float) -> Carrier:
        """Begin a connection to `node`, which should answer there.

        Raises:
            OSError: It cannot even be begun.
        """

    @abstractmethod
    def close(self, hub: Hub) -> None:
        """Stop listening and let go of everything that is not a carrier's own."""
