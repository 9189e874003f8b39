"""A network in memory, with a clock of its own: streams that break and datagrams that get lost, between two exchanges.

`World` keeps, for each session, what was sent and what arrived, and checks at every step that what arrived is the
beginning of what was sent.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from drvs.cluster.session import (
    BacklogFull,
    Connection,
    Control,
    Ended,
    Established,
    Event,
    Exchange,
    Records,
    Settings,
    StreamConnection,
)
from drvs.cluster.session.datagram import DatagramConnection
from drvs.cluster.session.handshake import Credentials
from drvs.cluster.session.postbox import Postbox
from support.links import identity, payloads, record

#: Little room and short times, so that every bound is met often.
TIGHT = Settings(
    keepalive_s=1.0, silence_s=5.0, resume_s=60.0, hello_s=4.0, frame_bytes=8192, batch_bytes=2000,
    backlog_bytes=20_000, backlog_units=40, ack_bytes=3000, ack_s=0.2, window=8, window_bytes=6000,
)  # fmt: skip


@dataclass(eq=False)
class Side:
    """One node of the two, and what happened to it."""

    exchange: Exchange
    other: int
    connections: list[Connection] = field(default_factory=list)
    established: int = 0
    ended: list[str] = field(default_factory=list)

    @property
    def node(self) -> int:
        """Its number."""
        return self.exchange.local.node


class World:
    """Two nodes, 1 and 2. Subclasses are the network between them."""

    def __init__(self, proofs: dict[int, Credentials] | None = None, settings: Settings = TIGHT) -> None:
        self.now = 100.0
        self.settings = settings
        self.proofs = proofs or {}
        self.sent: dict[int, list[bytes]] = defaultdict(list)
        self.received: dict[int, list[bytes]] = defaultdict(list)
        self.serial = 0
        self.sides = {node: self._side(node) for node in (1, 2)}

    def _side(self, node: int) -> Side:
        exchange = Exchange(identity(node), self.proofs.get(node), self.settings)
        return Side(exchange, 3 - node)

    # ---- what nodes do ----

    def send(self, node: int, sizes: list[int]) -> None:
        """Send a blob of records, if there is a session and room."""
        side = self.sides[node]
        session = side.exchange.sessions.get(side.other)
        if session is None or session.peer is None or session.over:
            return
        bodies = []
        for size in sizes:
            self.serial += 1
            bodies.append((b"%d." % self.serial).ljust(size, b"."))
        try:
            session.send_records(b"".join(map(record, bodies)), len(bodies))
        except BacklogFull:
            return
        self.sent[session.id] += bodies

    def say(self, node: int, kind: int) -> None:
        """Send a control message, if there is a session and room."""
        side = self.sides[node]
        session = side.exchange.sessions.get(side.other)
        if session is None or session.peer is None or session.over:
            return
        try:
            session.send_control(kind, b"%d" % self.serial)
        except BacklogFull:
            return
        self.sent[session.id].append(b"<%d>%d" % (kind, self.serial))

    def happened(self, side: Side, events: list[Event]) -> None:
        """Take events of a side, and hold what arrived against what was sent."""
        for event in events:
            if isinstance(event, Established):
                side.established += 1
            elif isinstance(event, Ended):
                side.ended.append(event.reason)
            elif isinstance(event, Records):
                parts = payloads(event.blob)
                assert len(parts) == event.count
                self._arrived(side, parts)
            elif isinstance(event, Control):
                self._arrived(side, [b"<%d>" % event.kind + event.body])

    def _arrived(self, side: Side, bodies: list[bytes]) -> None:
        session = side.exchange.sessions[side.other]
        got = self.received[session.peer_session]
        got += bodies
        sent = self.sent[session.peer_session]
        assert got[-len(bodies) :] == sent[len(got) - len(bodies) : len(got)], "lost, repeated or out of order"

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and everything that is due be done."""
        end = self.now + seconds
        while self.now < end:
            due = [c.deadline for side in self.sides.values() for c in side.connections if not c.over]
            due += [side.exchange.deadline for side in self.sides.values()]
            self.now = min(max(min(due), self.now + 0.001), end)
            self.tick()

    def tick(self) -> None:
        """Do what is due."""
        for side in self.sides.values():
            for connection in list(side.connections):
                self.happened(side, connection.tick(self.now))
            self.happened(side, side.exchange.tick(self.now))
        self.transmit()

    def restart(self, node: int) -> None:
        """Let a node begin again, with no memory."""
        old = self.sides[node]
        for connection in list(old.connections):
            self.lose(old, connection)
        self.sides[node] = self._side(node)

    def connected(self) -> bool:
        """Say whether both have an open session with the other."""
        return all((s := side.exchange.sessions.get(side.other)) is not None and s.open for side in self.sides.values())

    def settle(self) -> None:
        """Let the network be good again, and check that everything that can still arrive does."""
        self.quieten()
        for _ in range(400):
            if not self.connected():
                self.dial(1)
            self.deliver_all()
            if self.connected() and self._idle():
                break
            self.pass_time(0.25)
        else:
            raise AssertionError("they never found each other again, or something is never acknowledged")
        for side in self.sides.values():
            session = side.exchange.sessions[side.other]
            assert self.received[session.id] == self.sent[session.id], "not everything has arrived"

    def _idle(self) -> bool:
        return all(side.exchange.sessions[side.other].backlog == 0 for side in self.sides.values())

    # ---- the network ----

    def dial(self, node: int) -> None:
        """Let a node begin a connection to the other."""
        raise NotImplementedError

    def transmit(self) -> None:
        """Take what connections want to send."""
        raise NotImplementedError

    def deliver_all(self) -> None:
        """Deliver everything, until there is nothing."""
        raise NotImplementedError

    def quieten(self) -> None:
        """Stop doing harm."""

    def lose(self, side: Side, connection: Connection) -> None:
        """Break a connection at one end."""
        self.happened(side, connection.broken("broken by the test", self.now))
        if connection in side.connections:
            side.connections.remove(connection)


@dataclass(eq=False)
class Wire:
    """A stream: its ends, and what is under way to each."""

    ends: dict[int, StreamConnection]
    queues: dict[int, bytearray] = field(default_factory=lambda: {1: bytearray(), 2: bytearray()})
    cut: bool = False


class Streams(World):
    """Streams, which deliver in order until they break."""

    def __init__(self, proofs: dict[int, Credentials] | None = None, settings: Settings = TIGHT) -> None:
        super().__init__(proofs, settings)
        self.wires: list[Wire] = []

    def dial(self, node: int) -> None:
        """Open a stream; each node has at most two that it dialled."""
        if len([w for w in self.wires if w.ends[node].dialled and not w.cut]) >= 2:
            return
        ends = {}
        for number, side in self.sides.items():
            dialled = number == node
            ends[number] = StreamConnection(
                side.exchange, self.now, dialled=dialled, expect=side.other if dialled else None
            )
            side.connections.append(ends[number])
        self.wires.append(Wire(ends))
        self.transmit()

    def transmit(self) -> None:
        """Put output on the wires; a connection that is over closes its wire when it has said all."""
        for side in self.sides.values():
            side.exchange.finished.clear()
        for wire in list(self.wires):
            for node, connection in wire.ends.items():
                while not wire.cut and (data := b"".join(connection.output(3000, self.now))):
                    wire.queues[3 - node] += data
                if connection.over and connection in self.sides[node].connections:
                    self.sides[node].connections.remove(connection)
            if all(end.over for end in wire.ends.values()):
                self.wires.remove(wire)

    def move(self, index: int, node: int, size: int) -> None:
        """Deliver some bytes to one end of a wire."""
        if not self.wires:
            return
        wire = self.wires[index % len(self.wires)]
        queue, connection = wire.queues[node], wire.ends[node]
        data = bytes(queue[:size])
        del queue[:size]
        if data:
            self.happened(self.sides[node], connection.receive(data, self.now))
        elif not queue and (wire.cut or wire.ends[3 - node].over):
            self.lose(self.sides[node], connection)
        self.transmit()

    def cut(self, index: int, node: int) -> None:
        """Break a wire: one end notices now, the other when it has read what was under way, of which some is lost."""
        if self.wires:
            wire = self.wires[index % len(self.wires)]
            wire.cut = True
            del wire.queues[3 - node][len(wire.queues[3 - node]) // 2 :]
            self.lose(self.sides[node], wire.ends[node])
            self.transmit()

    def deliver_all(self) -> None:
        """Deliver everything, until there is nothing."""
        for _ in range(1000):
            before = [(bytes(w.queues[1]), bytes(w.queues[2])) for w in self.wires]
            for index in range(len(self.wires)):
                for node in (1, 2):
                    self.move(index, node, 1 << 20)
            if not any(a or b for a, b in before):
                return
        raise AssertionError("they never stop talking")


@dataclass(eq=False)
class Letter:
    """A datagram under way."""

    to: int
    data: bytes


class Datagrams(World):
    """Datagrams, which may do as they please."""

    def __init__(self, proofs: dict[int, Credentials] | None = None, settings: Settings = TIGHT) -> None:
        super().__init__(proofs, settings)
        self.letters: list[Letter] = []
        self.history: list[Letter] = []
        self.postboxes = {node: self._postbox(node) for node in (1, 2)}

    def _postbox(self, node: int) -> Postbox:
        side = self.sides[node]
        return Postbox(side.exchange, 1000, lambda connection, address: side.connections.append(connection))

    def restart(self, node: int) -> None:
        """Let a node begin again, with no memory."""
        super().restart(node)
        self.postboxes[node] = self._postbox(node)

    def dial(self, node: int) -> None:
        """Begin a connection; each node has at most two that it dialled."""
        side = self.sides[node]
        if len([c for c in side.connections if c.dialled]) < 2:
            side.connections.append(self.postboxes[node].dial(side.other, self.now))
            self.transmit()

    def transmit(self) -> None:
        """Put output on the way."""
        for side in self.sides.values():
            side.exchange.finished.clear()
            for connection in list(side.connections):
                assert isinstance(connection, DatagramConnection)
                for _ in range(100):
                    if not (datagrams := connection.output(3000, self.now)):
                        break
                    self.letters += [Letter(side.other, data) for data in datagrams]
                else:
                    raise AssertionError("it sends without end")
                if connection.over:
                    side.connections.remove(connection)
                    self.postboxes[side.node].forget(connection)

    def deliver(self, index: int, *, keep: bool = False) -> None:
        """Deliver one datagram; `keep` it, to be delivered again."""
        if self.letters:
            letter = self.letters[index % len(self.letters)] if keep else self.letters.pop(index % len(self.letters))
            self.history = [*self.history[-50:], letter]
            self.put(letter)

    def put(self, letter: Letter) -> None:
        """Give a datagram to its receiver."""
        _, events = self.postboxes[letter.to].receive(letter.data, "the other", self.now)
        self.happened(self.sides[letter.to], events)
        self.transmit()

    def deliver_all(self) -> None:
        """Deliver everything in order, until there is nothing."""
        for _ in range(5000):
            if not self.letters:
                return
            self.deliver(0)
        raise AssertionError("they never stop talking")
