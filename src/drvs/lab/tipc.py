"""Letting the kernel's TIPC use an interface: what `tipc bearer enable media eth device NAME` does."""

from __future__ import annotations

import socket
import struct

from drvs.lab.netlink import ask, attribute, within

_NETLINK_GENERIC, _CONTROLLER = 16, 16
_GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 3, 1, 2
_BEARER_ENABLE, _BEARER, _BEARER_NAME = 3, 1, 1
_NESTED = 0x8000


def present() -> bool:
    """Say whether the kernel has TIPC, loading its module if it may."""
    try:
        socket.socket(socket.AF_TIPC, socket.SOCK_RDM).close()
    except OSError:
        return False
    return True


def enable(namespace: int | None, interface: str) -> None:
    """Let TIPC talk over an Ethernet interface of a network namespace.

    Raises:
        OSError: the kernel has no TIPC, or refuses.
    """
    with within(namespace):
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
    with sock:
        sock.settimeout(10)
        name = attribute(_BEARER_NAME, f"eth:{interface}".encode() + b"\0")
        ask(sock, _family(sock), _generic(_BEARER_ENABLE) + attribute(_BEARER | _NESTED, name))


def _generic(command: int) -> bytes:
    return struct.pack("=BBH", command, 1, 0)


def _family(sock: socket.socket) -> int:
    """The number that the kernel has given to TIPC's messages."""
    answer = ask(sock, _CONTROLLER, _generic(_GET_FAMILY) + attribute(_FAMILY_NAME, b"TIPCv2\0"))
    at = 4
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == _FAMILY_ID:
            return int(struct.unpack_from("=H", answer, at + 4)[0])
        at += max(4, length + -length % 4)
    raise OSError(2, "the kernel knows of no TIPC")
