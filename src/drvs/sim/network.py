"""The virtual network: for each direction between two nodes, how long things take on it and whether they get through.

Streams and datagrams (`streams`, `datagrams`) are made of what it offers; a `Host` is one node's connection to it, for
as long as that node, or its proxies, live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drvs.sim.dice import between, dice

if TYPE_CHECKING:
    from collections.abc import Callable

    from drvs.sim.agenda import Agenda, Deed
    from drvs.sim.options import Options
    from drvs.sim.streams import StreamCarrier

IN, OUT = 1, 4

STRAGGLERS = 10


class Way:
    """One direction between two nodes."""

    def __init__(self, options: Options, agenda: Agenda, seed: int, here: int, there: int) -> None:
        self.dice = dice(seed, "way", here, there)
        self.here, self.there = here, there
        #: Nothing gets through.
        self.cut = False
        #: How much longer than usual everything takes.
        self.slowness = 1.0
        self._options, self._agenda = options, agenda
        low, high = sorted(between(self.dice, options.delay_s) for _ in range(2))
        self._delay = low, low + (high - low) / 3
        self._stalled: list[tuple[Deed, tuple[object, ...]]] = []

    def delay(self) -> float:
        """Return how long the next thing takes."""
        seconds = between(self.dice, self._delay) * self.slowness
        return seconds * STRAGGLERS if self.dice.random() < self._options.straggle else seconds

    def carry(self, do: Deed, *args: object) -> None:
        """Do something at the other end, if it gets through now."""
        if not self.cut:
            self._agenda.after(self.delay(), do, *args)

    def insist(self, do: Deed, *args: object) -> None:
        """Do it as soon as it gets through."""
        if self.cut:
            self._stalled.append((do, args))
        else:
            self._agenda.after(self.delay(), do, *args)

    def heal(self) -> None:
        """Let things through again; what was insisted on is on its way, in its order."""
        self.cut, self.slowness = False, 1.0
        stalled, self._stalled = self._stalled, []
        if stalled:
            self._agenda.after(self.delay(), _do_all, stalled)


def _do_all(deeds: list[tuple[Deed, tuple[object, ...]]]) -> None:
    for do, args in deeds:
        do(*args)


class Host:
    """One node on the network. It is the poller of the node's links: descriptors are numbers that it makes up."""

    def __init__(self, network: Network, number: int, wake: Deed) -> None:
        self.network, self.number = network, number
        #: The process that uses it lives.
        self.up = True
        #: It does not, but its machine does, and says so to those who ask.
        self.answers = False
        #: Takes datagrams.
        self.port: Callable[[bytes, int], None] | None = None
        #: Takes those who dial.
        self.listener: Callable[[StreamCarrier], None] | None = None
        #: Its ends of streams, oldest first.
        self.streams: dict[StreamCarrier, None] = {}
        #: Descriptors that are ready, and for what.
        self.ready: dict[int, int] = {}
        self._wake = wake
        self._last = 2
        self._watched: dict[int, int] = {}

    def descriptor(self) -> int:
        """Return a new one."""
        self._last += 1
        return self._last

    def tell(self, fd: int, mask: int) -> None:
        """A descriptor is ready: its owner is to look, if he waits for that."""
        if self.up and self._watched.get(fd, 0) & mask:
            self.ready[fd] = self.ready.get(fd, 0) | mask
            self._wake()

    def die(self, *, answers: bool) -> None:
        """Its process is no more; `answers`: its machine is there, and closes what the process had open."""
        streams, self.streams = self.streams, {}
        if answers:
            for stream in streams:
                stream.close()
        self.up, self.answers = False, answers
        self.port = self.listener = None
        self.ready.clear()

    # ---- what links need of a poller ----

    def register(self, fd: int, eventmask: int) -> None:
        """Watch a descriptor."""
        self._watched[fd] = eventmask

    def modify(self, fd: int, eventmask: int) -> None:
        """Watch it for something else."""
        self._watched[fd] = eventmask

    def unregister(self, fd: int) -> None:
        """Watch it no longer."""
        self._watched.pop(fd, None)
        self.ready.pop(fd, None)


class Network:
    """All ways, and who is on the network."""

    def __init__(self, options: Options, agenda: Agenda, seed: int) -> None:
        self.options, self.agenda, self.seed = options, agenda, seed
        self.hosts: dict[int, Host] = {}
        self._ways: dict[tuple[int, int], Way] = {}

    def way(self, here: int, there: int) -> Way:
        """Return the direction from one node to another."""
        found = self._ways.get((here, there))
        if found is None:
            found = self._ways[here, there] = Way(self.options, self.agenda, self.seed, here, there)
        return found

    def join(self, number: int, wake: Deed) -> Host:
        """Put a node on the network."""
        host = self.hosts[number] = Host(self, number, wake)
        return host

    def deliver(self, data: bytes, source: int, number: int) -> None:
        """A datagram arrives."""
        host = self.hosts[number]
        if host.port is not None:
            host.port(data, source)

    def heal(self) -> None:
        """Let everything through everywhere."""
        for way in list(self._ways.values()):
            way.heal()

    @property
    def broken_ways(self) -> list[Way]:
        """Those on which nothing gets through, or slowly."""
        return [way for way in self._ways.values() if way.cut or way.slowness > 1]
