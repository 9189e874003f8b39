"""The relay of TCP connections over one direction of a link of a lab on loopback.

A stream loses nothing: what a lossy link would lose arrives later, by the time that TCP takes to send it again. While
the link is cut nothing is read and nothing written, and connections wait to be accepted.
"""

from __future__ import annotations

import random
import socket
import struct
from collections import deque

from drvs.base import clock
from drvs.daemon.loop import READ, WRITE, Loop, Timer
from drvs.lab.links import Link

Place = tuple[str, int]

_PIECE = 65536
_BUFFERED_MAX = 1 << 20
_AGAIN_NS = 200 * clock.NS_PER_MS
_RESET = struct.pack("ii", 1, 0)


class StreamRelay:
    """Accepts at `seen` and connects to `real`."""

    def __init__(self, loop: Loop, link: Link, seen: Place, real: Place) -> None:
        self.link = link
        self.loop = loop
        self._source, self._real = seen[0], real
        self._listener = socket.create_server(seen, backlog=128)
        self._listener.setblocking(False)
        self._open: set[_Connection] = set()
        loop.watch(self._listener.fileno(), lambda _fd, _events: self._accept())

    def changed(self) -> None:
        """The link was cut or healed."""
        self.loop.change(self._listener.fileno(), READ * (not self.link.cut))
        for connection in tuple(self._open):
            connection.go_on()

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        far = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        near.setblocking(False)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far.bind((self._source, 0))
        far.connect_ex(self._real)
        self._open.add(_Connection(self, near, far))

    def closed(self, connection: _Connection) -> None:
        """A connection is over."""
        self._open.discard(connection)


class _Flow:
    """One direction of a connection: pieces that were read and have not been written yet."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.pieces: deque[tuple[int, memoryview]] = deque()
        self.buffered = 0
        self.ended = False  # nothing more will be read
        self.closed = False  # and the sink was told

    def read(self, link: Link) -> None:
        """Take a piece from the source, due when the link lets it arrive."""
        data = self.source.recv(_PIECE)
        if not data:
            self.ended = True
            return
        again = link.loss_percent > 0 and random.random() * 100 < link.loss_percent
        link.lost += again
        link.passed += 1
        due = clock.now_ns() + int(link.delay_ms * clock.NS_PER_MS) + again * _AGAIN_NS
        self.pieces.append((max(due, self.pieces[-1][0]) if self.pieces else due, memoryview(data)))
        self.buffered += len(data)

    def write(self) -> int | None:
        """Write what is due; returns when the next piece is, if that is later than now."""
        while self.pieces:
            due, piece = self.pieces[0]
            if due > clock.now_ns():
                return due
            sent = self.sink.send(piece)
            self.buffered -= sent
            if sent < len(piece):
                self.pieces[0] = (due, piece[sent:])
                raise BlockingIOError
            self.pieces.popleft()
        if self.ended and not self.closed:
            self.sink.shutdown(socket.SHUT_WR)
            self.closed = True
        return None


class _Connection:
    """A connection through the relay: two sockets, a flow each way."""

    def __init__(self, relay: StreamRelay, near: socket.socket, far: socket.socket) -> None:
        self._relay = relay
        self._link = relay.link
        self._connected = False
        self._far = far
        self._flows = (_Flow(near, far), _Flow(far, near))
        self._stuck = {near: False, far: False}  # the socket takes no more for now
        self._awaited = {near: 0, far: 0}  # the events it is watched for
        self._timer: Timer | None = None
        self._wait()

    def go_on(self) -> None:
        """Write what may be written now, and wait for what comes next."""
        try:
            due = [later for flow in self._flows if (later := self._write(flow))]
        except OSError:
            self._end(reset=True)
            return
        if all(flow.closed for flow in self._flows):
            self._end()
            return
        self._set_timer(min(due, default=0))
        self._wait()

    def _event(self, sock: socket.socket, events: int) -> None:
        try:
            if sock is self._far and not self._connected:
                self._connected = True
                if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(number, "connect")
            self._stuck[sock] &= not events & WRITE
            if events & ~WRITE and self._reads(sock):
                self._flow_from(sock).read(self._link)
        except BlockingIOError:
            pass
        except OSError:
            self._end(reset=True)
            return
        self.go_on()

    def _write(self, flow: _Flow) -> int | None:
        if not self._connected or self._link.cut or self._stuck[flow.sink]:
            return None
        try:
            return flow.write()
        except BlockingIOError:
            self._stuck[flow.sink] = True
            return None

    def _set_timer(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._relay.loop.at(due_ns, self.go_on) if due_ns else None

    def _flow_from(self, sock: socket.socket) -> _Flow:
        return self._flows[sock is self._far]

    def _reads(self, sock: socket.socket) -> bool:
        flow = self._flow_from(sock)
        return self._connected and not flow.ended and flow.buffered < _BUFFERED_MAX

    def _wait(self) -> None:
        """Watch each socket for what it is needed for; a socket that is watched for nothing would report hang-ups."""
        for sock in self._awaited:
            writes = self._stuck[sock] or (sock is self._far and not self._connected)
            wanted = 0 if self._link.cut else READ * self._reads(sock) | WRITE * writes
            if wanted != self._awaited[sock]:
                self._watch(sock, wanted)

    def _watch(self, sock: socket.socket, wanted: int) -> None:
        loop = self._relay.loop
        if not wanted:
            loop.forget(sock.fileno())
        elif self._awaited[sock]:
            loop.change(sock.fileno(), wanted)
        else:
            loop.watch(sock.fileno(), lambda _fd, events: self._event(sock, events), wanted)
        self._awaited[sock] = wanted

    def _end(self, reset: bool = False) -> None:
        self._set_timer(0)
        for sock in self._awaited:
            self._relay.loop.forget(sock.fileno())
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
        self._relay.closed(self)
