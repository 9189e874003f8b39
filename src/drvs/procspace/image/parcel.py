"""Descriptors on their way into a process that is being made: it numbers them one after the other as they come."""

from __future__ import annotations

import os
import socket
import struct

from drvs.procspace.image import model

_ORDER = struct.Struct("<QQQiI")
_AT_ONCE = 250
_ROOM = 16


def first_free(meta: model.Meta) -> int:
    """Return a number above all descriptors of an image and all that a restore receives at the lowest numbers."""
    numbers = [number for opened in meta.open_files for number, _ in opened.numbers]
    return max(3, *(number + 1 for number in numbers), _ROOM + len(meta.files) + 2 * len(numbers))


class Parcel:
    """Descriptors to send; those that are its own it closes."""

    def __init__(self, first: int) -> None:
        """Take the number that the first one will get."""
        self._next = first
        self._fds: list[int] = []
        self._own: list[int] = []

    def __len__(self) -> int:
        return len(self._fds)

    def add(self, fd: int, own: bool = True) -> int:
        """Add a descriptor, and return the number it will have."""
        self._fds.append(fd)
        if own:
            self._own.append(fd)
        self._next += 1
        return self._next - 1

    def send(self, control: socket.socket, serial: int = 0, rank: int = 0, size: int = 0, pid: int = 0) -> None:
        """Send everything, in as many messages as it takes."""
        rest = self._fds
        while True:
            now, rest = rest[:_AT_ONCE], rest[_AT_ONCE:]
            socket.send_fds(control, [_ORDER.pack(serial, rank, size, pid, bool(rest))], now)
            if not rest:
                break

    def close(self) -> None:
        """Close what is its own."""
        for fd in self._own:
            os.close(fd)
        self._own = []
