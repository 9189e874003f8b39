"""The relay of datagrams over one link of a lab on loopback."""

from __future__ import annotations

import socket

from drvs.base import clock
from drvs.daemon.loop import Loop
from drvs.lab.links import Link

Place = tuple[str, int]

_AT_ONCE = 64
_WAITING_MAX = 4096
_BYTES_MAX = 65536


class DatagramRelay:
    """Two sockets: what one end sends to its socket arrives at the other end from that end's socket.

    Args:
        ends: for both ends, the address at which it finds its peer, and its own real address.
    """

    def __init__(self, loop: Loop, link: Link, ends: list[tuple[Place, Place]]) -> None:
        self._loop = loop
        self._link = link
        self._waiting = 0
        self._sockets = [_bound(seen) for seen, _ in ends]
        self._peers = [real for _, real in ends]  # or where the end last sent from
        for end, sock in enumerate(self._sockets):
            loop.watch(sock.fileno(), lambda _fd, _events, end=end: self._receive(end))  # type: ignore[misc]

    def _receive(self, end: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, self._peers[end] = self._sockets[end].recvfrom(_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:  # the other side's port was closed: an ICMP message, not ours to keep
                continue
            if not self._link.loses():
                self._pass(1 - end, data)

    def _pass(self, to: int, data: bytes) -> None:
        if not self._link.delay_ms:
            self._deliver(to, data)
        elif self._waiting < _WAITING_MAX:
            self._waiting += 1
            due = clock.now_ns() + int(self._link.delay_ms * clock.NS_PER_MS)
            self._loop.at(due, lambda: self._arrive(to, data))

    def _arrive(self, to: int, data: bytes) -> None:
        self._waiting -= 1
        self._deliver(to, data)

    def _deliver(self, to: int, data: bytes) -> None:
        try:
            self._sockets[to].sendto(data, self._peers[to])
        except OSError:
            pass  # lost, as on any network


def _bound(place: Place) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.bind(place)
    return sock
