"""One connection, from its first byte to its last: what streams and datagrams have in common.

OPENING   the handshake runs; at most `hello_bytes` are kept, and at most for `hello_s`
RESUMING  the peer is known; both ends say where their session stands
open      the session's frames come and go
over      `over` says why; what is left of `output` should be sent, then the transport closed
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from drvs.cluster.session.events import Event
from drvs.cluster.session.exchange import Exchange
from drvs.cluster.session.handshake import Handshake, Refused
from drvs.cluster.session.identity import Identity
from drvs.cluster.session.session import NEVER, Buffer, Session
from drvs.cluster.wire.frames import HEADER, HEADER_BYTES, Bye, FrameError, Kind, encode_frame
from drvs.cluster.wire.hello import Resume, decode_message, encode_message

_RECORDS, _CONTROL, _ALIVE, _BYE = int(Kind.RECORDS), int(Kind.CONTROL), int(Kind.ALIVE), int(Kind.BYE)
_unpack = HEADER.unpack_from

#: The longest reason that is sent or believed.
REASON_BYTES = 400


class Connection(ABC):
    """One connection of `exchange`. `expect` is the node that should answer, where it is known."""

    def __init__(
        self, exchange: Exchange, now: float, *, dialled: bool, expect: int | None = None, datagram_bytes: int = 0
    ) -> None:
        self.exchange = exchange
        self.dialled = dialled
        self.session: Session | None = None
        self.over = ""
        #: The transport's end of it; its owner's business.
        self.carrier: Any = None
        #: What the peer said when it ended this connection: `Bye`, or 0.
        self.bye = 0
        self.handshake = Handshake(
            exchange.local, exchange.credentials, exchange.settings,
            dialled=dialled, expect=expect, datagram_bytes=datagram_bytes,
        )  # fmt: skip
        #: The beginning of a frame whose end has not come.
        self.partial: bytes | bytearray = b""
        self._version = 1
        self._frame_max = exchange.settings.hello_bytes
        self._hello_by = now + exchange.settings.hello_s
        self._own: list[bytes] = []
        if opening := self.handshake.opening():
            self._own.append(opening)

    def __repr__(self) -> str:
        role = "dialled" if self.dialled else "accepted"
        return f"<{type(self).__name__}, {role}, with {self.peer or 'a stranger'}: {self.over or 'alive'}>"

    @property
    def peer(self) -> Identity | None:
        """The other end, once it has proved who it is."""
        return self.handshake.peer

    @property
    def open(self) -> bool:
        """Whether it carries its session."""
        return self.session is not None and self.session.open and self.session.connection is self

    @abstractmethod
    def receive(self, data: Any, now: float) -> list[Event]:
        """Take what has arrived."""

    @property
    @abstractmethod
    def wants_output(self) -> bool:
        """Whether `output` has something to give."""

    @abstractmethod
    def output(self, limit: int, now: float) -> Sequence[Buffer]:
        """Return what is to be sent."""

    # ---- frames ----

    def _take_frames(self, data: Buffer, now: float, events: list[Event]) -> None:
        """Take the whole frames that `data` begins with; keep the rest.

        Raises:
            FrameError: This is no frame, or it has no place here.
        """
        view = memoryview(data)
        offset, end = 0, len(view)
        while end - offset >= HEADER_BYTES:
            length, version, kind, tag, count, zero, number, ack = _unpack(view, offset)
            if (version != self._version and kind != _BYE) or not HEADER_BYTES <= length <= self._frame_max or zero:
                raise FrameError(self._misfit(length, version, bytes(view[offset : offset + 3])))
            if length > end - offset:
                break
            body = view[offset + HEADER_BYTES : offset + length]
            offset += length
            session = self.session
            if session is None or not session.open or session.connection is not self:
                self._take_early(kind, tag, body, now, events)
            elif kind == _RECORDS:
                events.append(session.take_records(number, count, ack, body, now))
            elif kind == _CONTROL:
                events.append(session.take_control(number, ack, tag, body, now))
            elif kind == _ALIVE:
                session.take_alive(ack, now)
            else:
                self._take_rare(kind, tag, body, now, events)
            if self.over:
                return
        self.partial = bytes(view[offset:]) if offset < end else b""

    def _misfit(self, length: int, version: int, beginning: bytes) -> str:
        if self.peer is None and beginning[:2] == b"\x16\x03":
            return "the peer speaks TLS, and this end does not"
        if not HEADER_BYTES <= length <= self._frame_max:
            return f"a frame of {length} bytes; the limit is {self._frame_max}"
        return f"a frame of version {version}; this is a connection of version {self._version}"

    def _take_early(self, kind: int, tag: int, body: memoryview, now: float, events: list[Event]) -> None:
        """Take a frame of a connection that does not carry a session yet."""
        if kind == _BYE:
            self._take_rare(kind, tag, body, now, events)
        elif self.peer is None:
            self._greet(kind, bytes(body), now, events)
        elif kind == Kind.RESUME:
            self._resume(decode_message(Resume, body), now, events)
        else:
            raise FrameError(f"a frame of kind {kind} before RESUME")

    def _take_rare(self, kind: int, tag: int, body: memoryview, now: float, events: list[Event]) -> None:
        if kind != _BYE:
            raise FrameError(f"a frame of kind {kind}, which has no place here")
        self.bye = tag
        said = bytes(body[:REASON_BYTES]).decode("utf-8", "replace")
        reason = "the other end said: " + "".join(c if c.isprintable() else "?" for c in said)
        session = self.session
        if session is not None and session.connection is self and tag == Bye.ENDED:
            events += session.end(reason)
        self._finish(reason, now, events)

    # ---- the stages before ----

    def _greet(self, kind: int, body: bytes, now: float, events: list[Event]) -> None:
        answer = self.handshake.take(kind, body, self.exchange.wall())
        if answer:
            self._own.append(answer)
        self._met()
        peer = self.peer
        if peer is None:
            return
        if reason := self.exchange.admit(peer):
            raise Refused(reason)
        self._version = self.handshake.version
        if self.dialled:
            session = self.exchange.session(peer.node)
            if session.open:
                raise FrameError("both nodes dialled at once: the other connection stays")
            self.session = session
            events += self.session.claim(self, now)
            self._say_standing()

    def _met(self) -> None:  # noqa: B027 - streams need nothing here
        """Do what is to be done when the peer has introduced itself."""

    def _say_standing(self) -> None:
        assert self.session is not None
        self._own.append(encode_frame(Kind.RESUME, encode_message(self.session.standing()), version=self._version))

    def _resume(self, theirs: Resume, now: float, events: list[Event]) -> None:
        peer = self.peer
        assert peer is not None
        session = self.session
        if not self.dialled:
            session, happened = self.exchange.take_up(self, peer, theirs, now)
            events += happened
            self.session = session
            self._say_standing()
        assert session is not None
        if reason := session.why_not(peer, theirs):
            events += session.end(reason)
            raise FrameError(reason)
        self._frame_max = self.exchange.settings.frame_bytes
        events += session.resume(peer, theirs, self._version, self.handshake.frame_bytes, now)
        self._hello_by = NEVER

    # ---- ends ----

    def refuse(self, reason: str, now: float, *, code: Bye = Bye.BROKEN) -> list[Event]:
        """End the connection for a reason of this end, and tell the peer."""
        events: list[Event] = []
        if not self.over:
            told = reason.encode()[:REASON_BYTES]
            self._own.append(encode_frame(Kind.BYE, told, tag=code))
            self._finish(reason, now, events)
        return events

    def broken(self, reason: str, now: float) -> list[Event]:
        """Note that the transport has lost the connection, for `reason`."""
        events: list[Event] = []
        self._finish(reason, now, events)
        self._own.clear()
        return events

    def superseded(self) -> None:
        """End, because another connection carries the session now."""
        self._end_quietly("another connection took its place", Bye.BROKEN)

    def session_ended(self, reason: str) -> None:
        """End, because its session has."""
        self._end_quietly(reason, Bye.ENDED)

    def _end_quietly(self, reason: str, code: Bye) -> None:
        if not self.over:
            self.over = reason
            self.exchange.finished.append(self)
            self._own.append(encode_frame(Kind.BYE, reason.encode()[:REASON_BYTES], tag=code))

    def _finish(self, reason: str, now: float, events: list[Event]) -> None:
        if self.over:
            return
        self.over = reason
        self.partial = b""
        if self.session is not None and self.session.connection is self:
            events += self.session.lost(reason, now)

    def _failed(self, error: FrameError, now: float) -> list[Event]:
        stranger = self.peer is None or isinstance(error, Refused)
        return self.refuse(str(error), now, code=Bye.REFUSED if stranger else Bye.BROKEN)

    # ---- time ----

    @property
    def deadline(self) -> float:
        """When `tick` should be called at the latest."""
        if self.over:
            return NEVER
        session = self.session
        carries = session is not None and session.open and session.connection is self
        return session.deadline if session is not None and carries else self._hello_by

    def tick(self, now: float) -> list[Event]:
        """Do what is due."""
        if self.over:
            return []
        if now >= self._hello_by:
            return self.refuse("the other end did not prove who it is in time", now)
        session = self.session
        if session is None or not self.open:
            return []
        if silence := session.silent_for(now):
            return self.refuse(f"node {session.node} has been silent for {silence:.1f} s", now)
        return session.tick(now)
