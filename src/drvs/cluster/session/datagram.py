"""A connection over datagrams: udp, tipc, nats. They may be lost, repeated, reordered, or come from somebody else.

HELLO and ANSWER travel in OPEN datagrams, HELLO again and again until it is answered. They give both ends keys;
everything after is a stream of frames in sealed DATA datagrams under a window (`window`), so that what stands above
need not know of loss. A datagram that was not sealed by the peer is dropped without a word, for anybody may send one.
"""

import secrets
from typing import TYPE_CHECKING

from drvs.cluster.session.connection import Connection
from drvs.cluster.session.events import Event
from drvs.cluster.session.exchange import Exchange
from drvs.cluster.session.session import NEVER, Buffer
from drvs.cluster.session.window import Incoming, Outgoing
from drvs.cluster.wire.datagrams import HEADER_BYTES, DatagramKind, decode_header, encode_header
from drvs.cluster.wire.frames import FrameError, Kind

if TYPE_CHECKING:
    from drvs.cluster.session.sealing import Keys

OPEN, DATA, ACK = int(DatagramKind.OPEN), int(DatagramKind.DATA), int(DatagramKind.ACK)
SEAL_BYTES = 16

#: Datagrams received after which they are acknowledged at once.
ACK_EVERY = 8


class DatagramConnection(Connection):
    """Frames over datagrams of at most `datagram_bytes` bytes. `output` returns whole datagrams."""

    def __init__(
        self, exchange: Exchange, now: float, *, dialled: bool, datagram_bytes: int, expect: int | None = None
    ) -> None:
        super().__init__(exchange, now, dialled=dialled, expect=expect, datagram_bytes=datagram_bytes)
        #: This end's number of the connection, and the other end's (0: not known yet).
        self.number = secrets.randbits(62) | 1
        self.peer_number = 0
        #: Datagrams dropped because the peer had not sealed them, or that came again.
        self.forged = self.repeated = 0
        self._keys: Keys | None = None
        self._met_peer = False
        self._outgoing = Outgoing(exchange.settings)
        self._incoming = Incoming(exchange.settings)
        self._acks = 0
        self._ack_owed = 0
        self._ack_at = NEVER
        self._ack_now = False
        self._rest: memoryview = memoryview(b"")
        self._ready: list[bytes] = []
        self._opening = b""
        self._open_at = now
        self._open_tries = 0

    # ---- in ----

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take a datagram that is addressed to this connection, or its first one."""
        header = decode_header(data)
        return [] if header is None else self.take(header, data, now)

    def take(self, header: tuple[int, int, int, int, int], data: bytes, now: float) -> list[Event]:
        """Take one whose header has been decoded."""
        events: list[Event] = []
        if self.over or len(data) > self.handshake.datagram_bytes:
            return events
        kind, _, number, following, arrived = header
        try:
            if kind == OPEN:
                self._take_open(number, data[HEADER_BYTES:], now, events)
            elif self._met_peer:
                self._take_sealed(kind, number, following, arrived, data, now, events)
        except FrameError as error:
            events += self._failed(error, now)
        return events

    def _take_open(self, number: int, body: bytes, now: float, events: list[Event]) -> None:
        if self._met_peer:
            if not self.dialled and number == self.peer_number and self._opening:
                self._ready.append(self._opening)  # our ANSWER was lost
            if self.peer is not None or body[5:6] != bytes([Kind.BYE]):
                return
        self.peer_number = number
        self._take_frames(body, now, events)
        if self.partial:
            raise FrameError("an OPEN datagram that ends within a frame")

    def _met(self) -> None:
        """The peer has introduced itself: from now on datagrams are sealed."""
        if self._met_peer:
            return
        self._met_peer = True
        self._keys = self.handshake.keys()
        self._open_at = NEVER
        if not self.dialled:
            self._opening = encode_header(OPEN, self.peer_number, self.number) + b"".join(self._own)
            self._own.clear()
            self._ready.append(self._opening)

    def _take_sealed(
        self, kind: int, number: int, following: int, arrived: int, data: bytes, now: float, events: list[Event]
    ) -> None:
        if kind == DATA and not self._incoming.wants(number):
            self.repeated += 1
            self._ack_now = True  # the acknowledgement was lost, or is on its way
            return
        body = self._unseal(kind, number, data)
        if body is None:
            self.forged += 1
            return
        self._ready += self._outgoing.acknowledged(following, arrived, now)
        if kind != DATA:
            return
        if self.peer is None and self._incoming.held_bytes + len(body) > self.exchange.settings.hello_bytes:
            return
        self._owe(now)
        for piece in self._incoming.take(number, body):
            self._take_piece(piece, now, events)
            if self.over:
                return

    def _unseal(self, kind: int, number: int, data: bytes) -> bytes | None:
        if self._keys is None:
            return data[HEADER_BYTES:]
        return self._keys.open(kind, number, data[:HEADER_BYTES], data[HEADER_BYTES:])

    def _owe(self, now: float) -> None:
        self._ack_owed += 1
        if self._ack_owed >= ACK_EVERY or self._incoming.gap:
            self._ack_now = True
        elif self._ack_at is NEVER:
            self._ack_at = now + self.exchange.settings.datagram_ack_s

    def _take_piece(self, piece: bytes, now: float, events: list[Event]) -> None:
        """Take the next piece of the stream; a frame of many pieces is put together before it is looked at."""
        if not self.partial:
            self._take_frames(piece, now, events)
            return
        if not isinstance(self.partial, bytearray):
            self.partial = bytearray(self.partial)
        whole = self.partial
        whole += piece
        if len(whole) >= 4 and len(whole) >= int.from_bytes(whole[:4], "little"):
            self.partial = b""
            self._take_frames(bytes(whole), now, events)
        elif len(whole) > self._frame_max:
            raise FrameError(f"a frame of more than {self._frame_max} bytes")

    # ---- out ----

    @property
    def wants_output(self) -> bool:
        """Whether `output` has something to give."""
        if self._ready or self._ack_now or (self.over and self._own):
            return True
        if not self._met_peer:
            return bool(self._own)
        return self._outgoing.room > 0 and bool(self._own or self._rest or self._session_wants())

    def _session_wants(self) -> bool:
        return self.open and self.session is not None and self.session.wants_output

    def output(self, limit: int, now: float) -> list[bytes]:
        """Return datagrams to be sent."""
        out, self._ready = self._ready, []
        if not self._met_peer:
            self._introduce(out, now)
        elif self.over:
            self._say_goodbye(out)
        else:
            self._send_stream(out, limit, now)
            if self._ack_now:
                out.append(self._seal(ACK, self._acks, b""))
                self._acks += 1
        return out

    def _introduce(self, out: list[bytes], now: float) -> None:
        if not self._own:
            return
        out.append(encode_header(OPEN, self.peer_number, self.number) + b"".join(self._own))
        if self.over or not self.dialled:
            self._own.clear()
            return
        self._opening, self._own = out[-1], []
        self._schedule_opening(now)

    def _schedule_opening(self, now: float) -> None:
        settings = self.exchange.settings
        self._open_at = now + min(settings.retry_s * 2.0 ** min(self._open_tries, 10), settings.retry_max_s)
        self._open_tries += 1

    def _say_goodbye(self, out: list[bytes]) -> None:
        """Send BYE once, whatever the window says: if it is lost, the peer will notice the silence."""
        if self._own:
            out.append(self._seal(DATA, self._outgoing.next, bytes(self._rest) + b"".join(self._own)))
            self._own.clear()
            self._rest = memoryview(b"")
        self._ack_now = False

    def _send_stream(self, out: list[bytes], limit: int, now: float) -> None:
        outgoing, most = self._outgoing, self._piece_max()
        while limit > 0 and (room := outgoing.room) > 0:
            if not self._rest:
                buffers: list[Buffer] = [*self._own] if self._own else []
                self._own.clear()
                if self.open and self.session is not None:
                    buffers += self.session.output(room, now)
                if not buffers:
                    return
                self._rest = memoryview(b"".join(buffers))
            piece, self._rest = self._rest[:most], self._rest[most:]
            datagram = self._seal(DATA, outgoing.next, piece)
            outgoing.sent(datagram, now)
            out.append(datagram)
            limit -= len(datagram)

    def _piece_max(self) -> int:
        return self.handshake.datagram_bytes - HEADER_BYTES - SEAL_BYTES

    def _seal(self, kind: int, number: int, body: Buffer) -> bytes:
        """Return a datagram; it says what has arrived, so nothing is owed any more."""
        incoming = self._incoming
        header = encode_header(kind, self.peer_number, number, incoming.next, incoming.arrived if incoming.gap else 0)
        self._ack_owed, self._ack_at, self._ack_now = 0, NEVER, False
        return header + (self._keys.seal(kind, number, header, body) if self._keys else bytes(body))

    # ---- time ----

    @property
    def deadline(self) -> float:
        """When `tick` should be called at the latest."""
        if self.over:
            return NEVER
        return min(super().deadline, self._ack_at, self._open_at, self._outgoing.deadline)

    def tick(self, now: float) -> list[Event]:
        """Do what is due: acknowledge, send again."""
        events = super().tick(now)
        if self.over:
            return events
        if now >= self._ack_at:
            self._ack_now = True
        if now >= self._open_at and self._opening and not self._met_peer:
            self._ready.append(self._opening)
            self._schedule_opening(now)
        self._ready += self._outgoing.overdue(now)
        return events
