"""One peer: the numbers of what was sent and received, what to send again, and whether the peer is still there.

Records and control messages are numbered in one sequence. Every frame says which number its sender expects next; what
is before it has arrived and is forgotten here. What is not stays in `_sent`, in units as they were given, so that the
next connection can send it again: both ends say in RESUME which number they expect, and go on from there. As frames
are made of whole units and taken as a whole, that number is always the beginning of a unit.

A session is that of two `Session` objects. A peer that began another one, because its process was restarted or gave
up, has forgotten what it had received: then this session ends, and says so; it is never taken up silently.
"""

import secrets
from collections import deque
from typing import TYPE_CHECKING

from drvs.cluster.session.events import Broken, Control, Ended, Established, Event, Records
from drvs.cluster.session.identity import Identity, Settings
from drvs.cluster.session.units import Unit, gather, split_records
from drvs.cluster.wire.frames import HEADER, HEADER_BYTES, FrameError, Kind
from drvs.cluster.wire.hello import Resume

if TYPE_CHECKING:
    from drvs.cluster.session.connection import Connection

Buffer = bytes | bytearray | memoryview

NEVER = float("inf")
#: Numbers end where the format's field does, less a margin: 2**62 records.
NUMBER_MAX = 1 << 62

_RECORDS, _CONTROL, _ALIVE = int(Kind.RECORDS), int(Kind.CONTROL), int(Kind.ALIVE)
_pack = HEADER.pack


class BacklogFull(BufferError):
    """The peer has twice what `backlog_bytes` or `backlog_units` allow to acknowledge. Look at `Session.full` first."""


class Session:
    """This node's end of the session with one peer."""

    def __init__(self, node: int, settings: Settings) -> None:
        self.node = node
        self.id = secrets.randbits(62) | 1
        self.peer: Identity | None = None
        self.peer_session = 0
        #: The connection that carries it, or is about to; None without one.
        self.connection: Connection | None = None
        #: Whether records can flow.
        self.open = False
        #: Why it is over; "" while it is not.
        self.over = ""
        #: Why its last connection ended.
        self.reason = ""
        #: Bytes given to `send_…` that the peer has not acknowledged.
        self.backlog = 0
        #: The number that the next record sent will have, and that the next one received must have.
        self.next_out = 0
        self.next_in = 0
        self._settings = settings
        self._version = 0
        self._frame_bytes = settings.frame_bytes
        self._queue: deque[Unit] = deque()
        self._sent: deque[Unit] = deque()
        self._acked = 0
        self._ack_owed = 0
        self._ack_at = NEVER
        self._speak = False
        self._spoke = self._heard = 0.0
        self._ends_at = NEVER

    def __repr__(self) -> str:
        state = self.over or ("open" if self.open else "waiting for a connection")
        return f"<Session with node {self.node}: {state}, sent {self.next_out}, received {self.next_in}>"

    # ---- sending ----

    @property
    def full(self) -> bool:
        """Whether the peer should be given time before it is sent more."""
        return self.backlog >= self._settings.backlog_bytes or self._units() >= self._settings.backlog_units

    def _units(self) -> int:
        return len(self._queue) + len(self._sent)

    def send_records(self, blob: Buffer, count: int) -> None:
        """Queue `count` whole records, which stand in `blob` one after the other. It must not change afterwards.

        Raises:
            BacklogFull: Nothing was queued.
            FrameError: A record is longer than the peer takes. Nothing was queued.
        """
        size = len(blob)
        self._check_room(size)
        if size > self._frame_bytes - HEADER_BYTES:
            for part, number in split_records(blob, self._frame_bytes - HEADER_BYTES):
                self._enqueue(number, _RECORDS, 0, part)
        else:
            self._queue.append((self.next_out, count, _RECORDS, 0, blob))
            self.next_out += count
            self.backlog += size

    def send_control(self, kind: int, body: bytes) -> None:
        """Queue a control message. `kind` is from 0 to 65535; what it means is not this layer's business.

        Raises:
            BacklogFull, FrameError: As above.
        """
        self._check_room(len(body))
        if len(body) > self._frame_bytes - HEADER_BYTES:
            raise FrameError(f"a control message of {len(body)} bytes; the limit is {self._frame_bytes - HEADER_BYTES}")
        self._enqueue(1, _CONTROL, kind, body)

    def _check_room(self, size: int) -> None:
        settings = self._settings
        if self.over or self.peer is None:
            raise FrameError(f"no session with node {self.node}: {self.over or 'it has not been reached yet'}")
        if self.backlog + size > 2 * settings.backlog_bytes or self._units() >= 2 * settings.backlog_units:
            raise BacklogFull(f"node {self.node} has {self.backlog} bytes in {self._units()} units to acknowledge")

    def _enqueue(self, count: int, kind: int, tag: int, blob: Buffer) -> None:
        self._queue.append((self.next_out, count, kind, tag, blob))
        self.next_out += count
        self.backlog += len(blob)

    # ---- what goes out on the connection ----

    @property
    def wants_output(self) -> bool:
        """Whether `output` has something to give."""
        return self.open and (self._speak or bool(self._queue))

    def output(self, limit: int, now: float) -> list[Buffer]:
        """Return frames as buffers to be sent in a row: one if there is one, and more up to `limit` bytes."""
        if not self.open:
            return []
        queue, sent, ack, version = self._queue, self._sent, self.next_in, self._version
        out: list[Buffer] = []
        while queue and limit > 0:
            unit = queue.popleft()
            sent.append(unit)
            number, count, kind, tag, blob = unit
            if queue and kind == _RECORDS and len(blob) < self._settings.batch_bytes:
                blob, count = gather(
                    unit, queue, sent, min(self._settings.batch_bytes, self._frame_bytes - HEADER_BYTES)
                )
            size = HEADER_BYTES + len(blob)
            out.append(_pack(size, version, kind, tag, count, 0, number, ack))
            out.append(blob)
            limit -= size
        if not out and self._speak:
            out.append(_pack(HEADER_BYTES, version, _ALIVE, 0, 0, 0, 0, ack))
        if out:
            self._spoke, self._speak, self._ack_owed, self._ack_at = now, False, 0, NEVER
        return out

    # ---- what comes in ----

    def take_records(self, number: int, count: int, ack: int, blob: memoryview, now: float) -> Records:
        """Take a RECORDS frame.

        Raises:
            FrameError: It is not the one that comes next.
        """
        if number != self.next_in or not 0 < count <= len(blob) >> 2:
            raise FrameError(f"{count} records in {len(blob)} bytes, from number {number}; {self.next_in} comes next")
        self._took(count, ack, len(blob), now)
        return Records(self.node, blob, count)

    def take_control(self, number: int, ack: int, tag: int, body: memoryview, now: float) -> Control:
        """Take a CONTROL frame.

        Raises:
            FrameError: It is not the one that comes next.
        """
        if number != self.next_in:
            raise FrameError(f"a control message with number {number}; {self.next_in} comes next")
        self._took(1, ack, len(body), now)
        return Control(self.node, tag, bytes(body))

    def take_alive(self, ack: int, now: float) -> None:
        """Take an ALIVE frame.

        Raises:
            FrameError: It acknowledges what was never sent.
        """
        self._heard = now
        if ack != self._acked:
            self._acknowledged(ack)

    def _took(self, count: int, ack: int, size: int, now: float) -> None:
        self._heard = now
        if ack != self._acked:  # before anything is taken: a frame with a wrong one is not taken at all
            self._acknowledged(ack)
        self.next_in += count
        self._ack_owed += size + HEADER_BYTES
        if self._ack_owed >= self._settings.ack_bytes:
            self._speak = True
        elif self._ack_at is NEVER:
            self._ack_at = now + self._settings.ack_s

    def _acknowledged(self, ack: int) -> None:
        sent = self._sent
        while sent and sent[0][0] + sent[0][1] <= ack:
            self.backlog -= len(sent.popleft()[4])
        reached = sent[0][0] if sent else self._queue[0][0] if self._queue else self.next_out
        if ack != reached:
            raise FrameError(
                f"an acknowledgement up to {ack}, and what was sent begins at {self._acked} and ends at {reached}"
            )
        self._acked = ack

    # ---- connections ----

    def standing(self) -> Resume:
        """Return what RESUME says of this end."""
        return Resume(session=self.id, known=self.peer_session, next=self.next_in)

    def claim(self, connection: "Connection", now: float) -> list[Event]:
        """Leave the present connection for one that is about to carry the session: nothing more is taken from it."""
        old, self.connection = self.connection, None
        events: list[Event] = []
        if old is not None:
            old.superseded()
            events = self.lost("another connection took its place", now)
        self.connection = connection
        return events

    def why_not(self, peer: Identity, theirs: Resume) -> str:
        """Return why the peer's end is not the one that this session has, "" if it is, or if this one is new."""
        if self.peer is None:
            return ""
        if peer.incarnation != self.peer.incarnation:
            return f"node {self.node} was restarted"
        if theirs.session != self.peer_session or theirs.known not in (0, self.id):
            return f"node {self.node} began a new session"
        return ""

    def resume(self, peer: Identity, theirs: Resume, version: int, frame_bytes: int, now: float) -> list[Event]:
        """Go on, or begin, over the connection that claimed the session.

        Raises:
            FrameError: The peer's end is not where it can be.
        """
        if self.peer is None and theirs.known not in (0, self.id):
            raise FrameError(f"node {self.node} still had an earlier session")
        resumed = self.peer is not None
        self._queue.extendleft(reversed(self._sent))
        self._sent.clear()
        self._rewind(theirs.next)
        self.peer, self.peer_session, self.open = peer, theirs.session, True
        self._version, self._frame_bytes = version, frame_bytes
        self._spoke = self._heard = now
        self._ends_at = NEVER
        return [Established(self.node, peer, resumed)]

    def _rewind(self, reached: int) -> None:
        """Forget what the peer has, and send the rest again."""
        queue = self._queue
        while queue and queue[0][0] + queue[0][1] <= reached:
            self.backlog -= len(queue.popleft()[4])
        begins = queue[0][0] if queue else self.next_out
        if reached != begins:
            raise FrameError(f"node {self.node} expects record {reached}; what it may lack begins at {begins}")
        self._acked = reached

    def lost(self, reason: str, now: float) -> list[Event]:
        """Note that the connection is gone."""
        was_open, self.open, self.connection = self.open, False, None
        self._ack_owed, self._ack_at, self._speak = 0, NEVER, False
        if self.over or self.peer is None:
            return []
        if self._ends_at is NEVER:
            self._ends_at = now + self._settings.resume_s
        self.reason = reason
        return [Broken(self.node, reason)] if was_open else []

    def end(self, reason: str) -> list[Event]:
        """End the session for good and forget what it holds."""
        if self.over:
            return []
        connection, self.connection = self.connection, None
        self.over, self.open = reason, False
        if connection is not None:
            connection.session_ended(reason)
        self._queue.clear()
        self._sent.clear()
        self.backlog, self._ends_at = 0, NEVER
        return [Ended(self.node, reason)] if self.peer is not None else []

    # ---- time ----

    @property
    def deadline(self) -> float:
        """When `tick` should be called at the latest."""
        if not self.open:
            return self._ends_at
        silent = self._heard + self._settings.silence_s
        if self._speak:  # and the connection takes nothing just now
            return silent
        return min(self._ack_at, self._spoke + self._settings.keepalive_s, silent)

    def tick(self, now: float) -> list[Event]:
        """Do what is due: speak, so that the peer knows; end, if no connection came."""
        if not self.open:
            return self.end(self._why_given_up()) if now >= self._ends_at else []
        if now >= min(self._ack_at, self._spoke + self._settings.keepalive_s):
            self._speak = True
        return []

    def _why_given_up(self) -> str:
        waited = f"no connection to node {self.node} for {self._settings.resume_s:g} s"
        return f"{waited}; before: {self.reason}" if self.reason else waited

    def silent_for(self, now: float) -> float:
        """Return for how long the peer has been silent, if that is too long; otherwise 0."""
        over = self.open and now >= self._heard + self._settings.silence_s  # as `deadline` has it, to the last bit
        return now - self._heard if over else 0.0
