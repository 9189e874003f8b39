"""A node's links: one session with each peer, over whatever transports it has, in one loop that never waits but in one
place.

    links = Links(exchange, [Tcp()])
    links.listen(parse("tcp://10.0.0.1:7411"))
    links.add_peer(2, [parse("tcp://10.0.0.2:7411")])
    while True:
        for event in links.poll(timeout=None):      # or ready / tick / flush from a loop of one's own
            …

The loop of its owner: wait on the poller until `deadline`; for each descriptor that `owns` knows, `ready`; then
`tick`; send by `send_records` and `send_control`; then `flush`. All but `send_…` return events.
"""

import functools
import random
import select
import time
from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from drvs.base import limits
from drvs.cluster.peers import Peer, Reason, reasons
from drvs.cluster.session import Ended, Established, Event, Exchange, Session
from drvs.cluster.session.events import keep
from drvs.cluster.timers import Timers
from drvs.cluster.transports.address import Address
from drvs.cluster.transports.carrier import Carrier, Poller, Source, Transport

NEVER = float("inf")

#: What one read may bring beyond the frame that it completes.
READ_BYTES = 1 << 19


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `drvs status` shows of a peer."""

    node: int
    name: str
    state: str
    address: str
    addresses: list[str]
    dials: int
    sent: int
    received: int
    backlog: int
    reasons: list[Reason]


class Links:
    """All links of a node. Not for use by two threads at once."""

    def __init__(
        self,
        exchange: Exchange,
        transports: Iterable[Transport],
        poller: Poller | None = None,
        *,
        rng: random.Random | None = None,
    ) -> None:
        self.exchange = exchange
        self.peers: dict[int, Peer] = {}
        #: Ends of connections whose peer never proved who it was.
        self.strangers = reasons()
        #: How many there were.
        self.turned_away = 0
        self._transports = {transport.scheme: transport for transport in transports}
        self._epoll = None if poller else select.epoll()
        self._poller: Poller = poller or self._epoll  # type: ignore[assignment]
        self._rng = rng or random.Random()
        self._sources: dict[int, Source] = {}
        self._timers = Timers()
        self._carriers: set[Carrier] = set()
        self._unproven: OrderedDict[Carrier, None] = OrderedDict()
        self._dirty: dict[Session, None] = {}  # in the order in which they were sent to

    @functools.cached_property
    def buffer(self) -> memoryview:
        """Where transports read to: made for the first of them that does."""
        return memoryview(bytearray(self.exchange.settings.frame_bytes + READ_BYTES))

    # ---- what peers there are ----

    def listen(self, address: Address) -> Address:
        """Let peers reach this node there.

        Returns:
            The address, with the port that was chosen if it was 0.

        Raises:
            OSError: It cannot be; with the reason.
        """
        return self._transport(address).listen(self, address)

    def _transport(self, address: Address) -> Transport:
        found = self._transports.get(address.scheme)
        if found is None:
            raise OSError(f"{address}: this node has no transport {address.scheme}")
        return found

    def add_peer(self, node: int, addresses: list[Address], now: float | None = None) -> None:
        """Be connected to a node from now on. Known already: use these addresses.

        Without addresses this node waits to be dialled.

        Raises:
            OSError: An address of a transport that this node does not have.
        """
        now = time.monotonic() if now is None else now
        for address in addresses:
            self._transport(address)
        if peer := self.peers.get(node):
            peer.move(addresses, now)
        else:
            peer = self.peers[node] = Peer(self.exchange, node, addresses, self._rng, now)
        self._timers.arm(peer)

    def remove_peer(self, node: int, reason: str, now: float | None = None) -> list[Event]:
        """Dial a node no longer, and end the session with it. It may dial this one, unless `Exchange.admit` refuses."""
        now = time.monotonic() if now is None else now
        if peer := self.peers.pop(node, None):
            self._timers.forget(peer)
        return self._end_session(node, reason) + self._sweep(now)

    def _end_session(self, node: int, reason: str) -> list[Event]:
        session = self.exchange.sessions.pop(node, None)
        if session is None:
            return []
        self._timers.forget(session)
        self._dirty.pop(session, None)
        return session.end(reason)

    # ---- sending ----

    def full(self, node: int) -> bool:
        """Say whether a node should be sent nothing for now: not connected, or too much not acknowledged."""
        session = self.exchange.sessions.get(node)
        return session is None or not session.open or session.full

    def send_records(self, node: int, blob: bytes | bytearray | memoryview, count: int) -> bool:
        """Queue `count` records, which stand in `blob` one after the other; `flush` sends them.

        Returns:
            Whether the node should be sent nothing more for now, as `full` says.

        Raises:
            BacklogFull: Too much is not acknowledged; look at `full` first.
            FrameError: There is no session, or a record is too long.
        """
        session = self.exchange.session(node)
        session.send_records(blob, count)
        self._dirty[session] = None
        return session.full or not session.open

    def reaches(self, node: int) -> bool:
        """Say whether there is a session with a node, whose connection may be interrupted."""
        session = self.exchange.sessions.get(node)
        return session is not None and session.peer is not None and not session.over

    def name_of(self, node: int) -> str:
        """Return the name that a node gave itself; "": there is no session with it."""
        session = self.exchange.sessions.get(node)
        return session.peer.name if session is not None and session.peer is not None else ""

    def send_control(self, node: int, kind: int, body: bytes) -> None:
        """Queue a control message; `flush` sends it.

        Raises:
            BacklogFull, FrameError: As above.
        """
        session = self.exchange.session(node)
        session.send_control(kind, body)
        self._dirty[session] = None

    def flush(self, now: float) -> list[Event]:
        """Send what was queued, as far as that goes without waiting; the rest follows when it can."""
        events: list[Event] = []
        if not self._dirty:
            return events
        dirty, self._dirty = self._dirty, {}
        for session in dirty:
            connection = session.connection
            if connection is not None and session.open:
                events += self.settle(connection.carrier, now)
        return events

    def interrupt(self, node: int, reason: str, now: float | None = None) -> list[Event]:
        """Drop the connection to a node without a word, as if the network had; the session waits for the next one."""
        now = time.monotonic() if now is None else now
        session = self.exchange.sessions.get(node)
        if session is None or session.connection is None:
            return []
        connection = session.connection
        return connection.broken(reason, now) + self.settle(connection.carrier, now)

    # ---- the loop ----

    def fileno(self) -> int:
        """Return the descriptor of this object's own poller: readable when `poll` has something to do at once."""
        assert self._epoll is not None, "who brings a poller has a loop of his own"
        return self._epoll.fileno()

    def owns(self, fd: int) -> bool:
        """Say whether a descriptor that the poller named is one of this object's."""
        return fd in self._sources

    def ready(self, fd: int, mask: int, now: float) -> list[Event]:
        """Do what a descriptor is ready for. The records of what is returned are good until the next call."""
        source = self._sources.get(fd)
        if source is None:
            return []
        events = source.ready(mask, now)
        if events:
            self._note(events, now)
        return events + self._sweep(now) if self.exchange.finished else events

    @property
    def deadline(self) -> float:
        """When `tick` should be called at the latest."""
        return self._timers.deadline

    def tick(self, now: float) -> list[Event]:
        """Do what is due."""
        events: list[Event] = []
        due = self._timers.due(now)
        if not due:  # everything was put off
            return events
        for thing in due:
            if isinstance(thing, Carrier):
                events += thing.connection.tick(now) + self.settle(thing, now)
            elif isinstance(thing, Session):
                events += self._tick_session(thing, now)
            elif isinstance(thing, Peer):
                events += self._dial(thing, now)
        self._note(events, now)
        return events + self._sweep(now)

    def _tick_session(self, session: Session, now: float) -> list[Event]:
        events = [] if session.open else session.tick(now)
        if session.over and self.exchange.sessions.get(session.node) is session:
            del self.exchange.sessions[session.node]
        elif not session.over:
            self._timers.arm(session)
        return events

    def poll(self, timeout: float | None = None) -> list[Event]:
        """Wait for something to happen, at most `timeout` seconds, and do it. For owners without a loop of their own.

        Returns:
            The events. The records among them are copies, and keep.
        """
        assert self._epoll is not None, "who brings a poller has a loop of his own"
        now = time.monotonic()
        events = self.flush(now) + self.tick(now)
        wait = max(0.0, min(NEVER if timeout is None else timeout, self.deadline - now)) if not events else 0.0
        for fd, mask in self._epoll.poll(None if wait == NEVER else wait):
            events += [keep(event) for event in self.ready(fd, mask, time.monotonic())]
        return events

    # ---- what transports call (carrier.Hub) ----

    def watch(self, fd: int, source: Source, mask: int) -> None:
        """Call `source.ready` when `fd` is ready for `mask`."""
        known = fd in self._sources
        self._sources[fd] = source
        if known:
            self._poller.modify(fd, mask)
        else:
            self._poller.register(fd, mask)

    def unwatch(self, fd: int) -> None:
        """No longer."""
        if self._sources.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def accepted(self, carrier: Carrier) -> None:
        """Take in a connection that a peer began; too many strangers end the oldest."""
        self._carriers.add(carrier)
        self._timers.arm(carrier)
        self._unproven[carrier] = None
        while len(self._unproven) > limits.LINK_STRANGERS:
            oldest, _ = self._unproven.popitem(last=False)
            if oldest.connection.peer is None:
                oldest.connection.broken("too many strangers", 0.0)
                self._close(oldest, 0.0)

    def settle(self, carrier: Carrier, now: float) -> list[Event]:
        """Send what is to be sent, close what is over, set the timers."""
        events = carrier.flush(now) if carrier.wants_flush else []
        if carrier.connection.over:
            self._close(carrier, now)
        elif carrier in self._carriers and self._timers.armed(carrier) > now + carrier.soonest_s:
            self._timers.arm(carrier)
        return events

    # ---- within ----

    def _note(self, events: list[Event], now: float) -> None:
        """Do what events mean for timers and dialling."""
        for event in events:
            if isinstance(event, Established):
                self._established(event.node, now)
            elif isinstance(event, Ended) and event.node in self.peers:
                self._timers.arm(self.peers[event.node])

    def _established(self, node: int, now: float) -> None:
        session = self.exchange.sessions[node]
        if session.connection is not None:
            self._unproven.pop(session.connection.carrier, None)
        if node not in self.peers:
            self.peers[node] = Peer(self.exchange, node, [], self._rng, now)
        self.peers[node].established(now)
        self._dirty[session] = None

    def _dial(self, peer: Peer, now: float) -> list[Event]:
        address = peer.next_address()
        try:
            carrier = self._transport(address).dial(self, address, peer.node, now)
        except OSError as error:
            peer.ended(str(address), error.strerror or str(error), now, worked=False)
            self._timers.arm(peer)
            return []
        peer.carrier = carrier
        self._carriers.add(carrier)
        return self.settle(carrier, now)

    def _sweep(self, now: float) -> list[Event]:
        """Close the connections that ended because of something that happened elsewhere."""
        events: list[Event] = []
        finished = self.exchange.finished
        while finished:
            carrier = finished.pop().carrier
            if carrier is not None and carrier in self._carriers:
                events += self.settle(carrier, now)
        return events

    def _close(self, carrier: Carrier, now: float) -> None:
        """Let go of a connection that is over, and note why."""
        if carrier not in self._carriers:
            return
        self._carriers.discard(carrier)
        self._unproven.pop(carrier, None)
        self._timers.forget(carrier)
        carrier.close()
        connection = carrier.connection
        peer = self._peer_of(carrier)
        if peer is None:
            self.turned_away += 1
            self.strangers.append(Reason(time.time(), carrier.address, connection.over))
            return
        if peer.carrier is carrier:
            peer.carrier = None
        session = connection.session
        peer.ended(carrier.address, connection.over, now, worked=session is not None)
        self._timers.arm(peer)
        if session is not None and not session.open and not session.over:
            self._timers.arm(session)

    def _peer_of(self, carrier: Carrier) -> Peer | None:
        identity = carrier.connection.peer
        if identity is not None and identity.node in self.peers:
            return self.peers[identity.node]
        return next((peer for peer in self.peers.values() if peer.carrier is carrier), None)

    # ---- looking, and the end ----

    def status(self) -> list[PeerStatus]:
        """Return what there is to know of each peer."""
        return [self._status(peer) for peer in sorted(self.peers.values(), key=lambda peer: peer.node)]

    def _status(self, peer: Peer) -> PeerStatus:
        session = self.exchange.sessions.get(peer.node)
        identity = session.peer if session else None
        connection = session.connection if session else None
        state = "connected" if peer.connected else "interrupted" if identity else "not reached"
        return PeerStatus(
            node=peer.node,
            name=identity.name if identity else "",
            state=state,
            address=connection.carrier.address if connection else "",
            addresses=[str(address) for address in peer.addresses],
            dials=peer.dials,
            sent=session.next_out if session else 0,
            received=session.next_in if session else 0,
            backlog=session.backlog if session else 0,
            reasons=list(peer.reasons),
        )

    def close(self, reason: str = "the node is shutting down") -> list[Event]:
        """End all sessions, tell the peers why, and let go of everything."""
        now = time.monotonic()
        events: list[Event] = []
        for node in list(self.exchange.sessions):
            events += self._end_session(node, reason)
        self._sweep(now)
        for carrier in list(self._carriers):
            carrier.connection.refuse(reason, now)
            self.settle(carrier, now)
        for transport in self._transports.values():
            transport.close(self)
        if self._epoll is not None:
            self._epoll.close()
        return events
