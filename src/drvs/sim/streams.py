"""Streams over the virtual network: bytes arrive in order, in pieces, or the stream breaks and some never do."""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING

from drvs.cluster.session import Event, StreamConnection
from drvs.cluster.transports.address import Address
from drvs.cluster.transports.carrier import Carrier, Hub, Transport
from drvs.sim.network import IN, OUT, Host

if TYPE_CHECKING:
    from drvs.sim.network import Way

CHUNK_BYTES = 1 << 16
CLOSED = "the other end closed the connection"
RESET = os.strerror(errno.ECONNRESET)
REFUSED = os.strerror(errno.ECONNREFUSED)


class Pipe:
    """One direction of a stream: what was put in first arrives first."""

    def __init__(self, way: Way, sender: StreamCarrier, receiver: StreamCarrier) -> None:
        self.bytes = 0
        self._way, self._sender, self._receiver = way, sender, receiver
        self._under_way: deque[bytes | None] = deque()  # None: the end

    def push(self, data: bytes | None) -> None:
        """Put something in."""
        self._under_way.append(data)
        self.bytes += len(data or b"")
        self._way.insist(self._arrive)

    def push_in_parts(self, data: bytes, probability: float) -> None:
        """Put something in that may arrive in two parts."""
        dice = self._way.dice
        middle = dice.randrange(1, len(data)) if len(data) > 1 and dice.random() < probability else len(data)
        self.push(data[:middle])
        if middle < len(data):
            self.push(data[middle:])

    def _arrive(self) -> None:
        if not self._under_way:
            return
        data = self._under_way.popleft()
        self.bytes -= len(data or b"")
        self._receiver.arrive(data)
        self._sender.has_room()

    def lose(self) -> None:
        """What is on its way never arrives."""
        self._under_way.clear()
        self.bytes = 0


class StreamCarrier(Carrier):
    """One end of a stream."""

    connection: StreamConnection

    def __init__(self, hub: Hub, host: Host, connection: StreamConnection, other: int) -> None:
        self.connection = connection
        self.address = f"tcp://{other}:1"
        self.host, self.other = host, other
        self.peer: StreamCarrier | None = None
        self._hub = hub
        self._fd = host.descriptor()
        self._pipe: Pipe | None = None  # None: not connected yet
        self._arrived: deque[bytes] = deque()
        self._failed = ""
        self._closed = False
        connection.carrier = self
        host.streams[self] = None
        hub.watch(self._fd, self, IN | OUT)

    def connect(self, pipe: Pipe, peer: StreamCarrier) -> None:
        """The other end is there."""
        self._pipe, self.peer = pipe, peer
        if self._closed:
            pipe.push(None)
        self.host.tell(self._fd, OUT)

    # ---- what the network does ----

    def arrive(self, data: bytes | None) -> None:
        """Something has come; None: the end."""
        if not self.host.up:
            self._arrive_nowhere()
        elif data is None:
            self.fail(CLOSED)
        elif not self._failed and not self._closed:
            self._arrived.append(data)
            self.host.tell(self._fd, IN)

    def _arrive_nowhere(self) -> None:
        """The process is dead. Its machine says so, if that is up."""
        network = self.host.network
        present = network.hosts[self.host.number]
        if self.peer is not None and (present.up or present.answers):
            network.way(self.host.number, self.other).insist(self.peer.fail, RESET)

    def has_room(self) -> None:
        """Some of what was sent has arrived."""
        if not self._closed and self.connection.wants_output:
            self.host.tell(self._fd, OUT)

    def fail(self, why: str) -> None:
        """The stream is broken."""
        if not self._failed:
            self._failed = why
            self.host.tell(self._fd, IN)

    def break_off(self) -> None:
        """Both ends learn that it is broken; what was on its way is lost."""
        for end in (self, self.peer):
            if end is not None:
                end.fail(RESET)
                if end._pipe is not None:
                    end._pipe.lose()

    # ---- what the links do ----

    def ready(self, mask: int, now: float) -> list[Event]:
        """Take what has arrived."""
        events: list[Event] = []
        while self._arrived:
            events += self.connection.receive(self._arrived.popleft(), now)
        if self._failed:
            events += self.connection.broken(self._failed, now)
        return events + self._hub.settle(self, now)

    def flush(self, now: float) -> list[Event]:
        """Send what is there to be sent, as far as there is room."""
        pipe, options = self._pipe, self.host.network.options
        while pipe is not None and pipe.bytes < options.stream_window:
            data = b"".join(self.connection.output(CHUNK_BYTES, now))
            if not data:
                break
            pipe.push_in_parts(data, options.split)
        return []

    def close(self) -> None:
        """Let go: the other end will hear of it."""
        if self._closed:
            return
        self._closed = True
        self._hub.unwatch(self._fd)
        self.host.streams.pop(self, None)
        if self._pipe is not None:
            self._pipe.push(None)


class Streams(Transport):
    """The transport of a node."""

    scheme = "tcp"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._hub: Hub | None = None

    def listen(self, hub: Hub, address: Address) -> Address:
        """Be there to be dialled."""
        self._hub, self._host.listener = hub, self._accept
        return address

    def dial(self, hub: Hub, address: Address, node: int, now: float) -> StreamCarrier:
        """Begin a connection."""
        connection = StreamConnection(hub.exchange, now, dialled=True, expect=node)
        carrier = StreamCarrier(hub, self._host, connection, node)
        self._host.network.way(self._host.number, node).insist(knock, carrier)
        return carrier

    def _accept(self, dialler: StreamCarrier) -> None:
        """Somebody has dialled this node."""
        host, network, hub, there = self._host, self._host.network, self._hub, dialler.host.number
        assert hub is not None
        connection = StreamConnection(hub.exchange, network.agenda.now, dialled=False)
        carrier = StreamCarrier(hub, host, connection, there)
        forth, back = network.way(there, host.number), network.way(host.number, there)
        carrier.connect(Pipe(back, carrier, dialler), dialler)
        back.insist(dialler.connect, Pipe(forth, dialler, carrier), carrier)
        hub.accepted(carrier)

    def close(self, hub: Hub) -> None:
        """Be there no longer."""
        self._host.listener = None


def knock(dialler: StreamCarrier) -> None:
    """A first packet reaches a machine: somebody listens, nobody does, or the machine is off."""
    host = dialler.host.network.hosts[dialler.other]
    if host.up and host.listener is not None:
        host.listener(dialler)
    elif host.answers:
        dialler.host.network.way(host.number, dialler.host.number).insist(dialler.fail, REFUSED)
