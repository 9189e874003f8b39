"""The relay of a lab with namespaces: a switch in user space, for whatever travels over Ethernet (TCP, UDP, TIPC).

Each node's interface has its other half here, and a packet socket on that half reads what the node sends. A frame
goes to the node whose address it carries, or to all if it is a broadcast, and each of these links may lose or delay it.
"""

from __future__ import annotations

import socket
import struct
from collections import deque

from drvs.base import clock
from drvs.daemon.loop import Loop, Timer
from drvs.lab.links import Link, Links

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_FRAME_BYTES = 65536 + 18
_AT_ONCE = 64
_WAITING_MAX = 4096
"""Frames that may be on their way in one direction of a slow link; a router would drop what does not fit, too."""


def mac_of(node: int) -> str:
    """Return the hardware address of a node's interface."""
    return f"02:00:00:00:{node >> 8:02x}:{node & 255:02x}"


def _node_of(frame: memoryview) -> int | None:
    """The node that a frame is for; None: everybody."""
    return None if frame[0] & 1 else struct.unpack_from("!H", frame, 4)[0]


class _Slow:
    """Frames on their way along one direction of a slow link, in order."""

    def __init__(self, relay: FrameRelay, to: int) -> None:
        self._relay = relay
        self._to = to
        self._frames: deque[tuple[int, bytes]] = deque()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, due_ns: int, frame: bytes) -> None:
        """Let a frame arrive at `due_ns`."""
        self._frames.append((due_ns, frame))
        self._wait()

    def _wait(self) -> None:
        if self._timer is None and self._frames:
            self._timer = self._relay.loop.at(self._frames[0][0], self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        now = clock.now_ns()
        while self._frames and self._frames[0][0] <= now:
            self._relay.deliver(self._to, self._frames.popleft()[1])
        self._wait()


class FrameRelay:
    """Forwards frames between the interfaces attached to it."""

    def __init__(self, loop: Loop, links: Links) -> None:
        self.loop = loop
        self._links = links
        self._ports: dict[int, socket.socket] = {}
        self._slow: dict[tuple[int, int], _Slow] = {}
        self._buffer = bytearray(_FRAME_BYTES)

    def attach(self, node: int, interface: str) -> None:
        """Begin to forward what `node` sends through this half of its interface."""
        port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        port.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        port.bind((interface, _ETH_P_ALL))
        self._ports[node] = port
        self.loop.watch(port.fileno(), lambda _fd, _events: self._receive(node, port))

    def detach(self, node: int) -> None:
        """The interface is gone, or will be."""
        port = self._ports.pop(node, None)
        if port is not None:
            self.loop.forget(port.fileno())
            port.close()

    def _receive(self, node: int, port: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                length = port.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError:  # the interface went down; whoever took it down detaches it
                return
            if length >= 14:
                self._forward(node, memoryview(self._buffer)[:length])

    def _forward(self, sender: int, frame: memoryview) -> None:
        target = _node_of(frame)
        for to in tuple(self._ports) if target is None else (target,):
            if to != sender and to in self._ports:
                self._pass(sender, to, self._links.between(sender, to), frame)

    def _pass(self, sender: int, to: int, link: Link, frame: memoryview) -> None:
        if link.loses():
            return
        waiting = self._slow.get((sender, to))
        if not link.delay_ms and not waiting:
            self.deliver(to, frame)
            return
        if waiting is None:
            waiting = self._slow[sender, to] = _Slow(self, to)
        if len(waiting) < _WAITING_MAX:
            waiting.add(clock.now_ns() + int(link.delay_ms * clock.NS_PER_MS), bytes(frame))

    def deliver(self, to: int, frame: bytes | memoryview) -> None:
        """Let a frame arrive; what the interface has no room for is lost, as on any network."""
        port = self._ports.get(to)
        if port is not None:
            try:
                port.send(frame)
            except OSError:
                pass
