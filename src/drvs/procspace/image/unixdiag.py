"""Who is at the other end of a Unix socket: the kernel's socket diagnosis over netlink."""

from __future__ import annotations

import socket
import struct

_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST, _NLMSG_ERROR = 4, 20, 1, 2
_SHOW_PEER, _ATTRIBUTE_PEER, _ATTRIBUTE_SHUTDOWN = 4, 2, 6
_ANY_STATE = 0xFFFFFFFF


def peer_of(inode: int) -> tuple[int, int]:
    """Return the inode of the peer (0: none) and which directions are shut down (1: receiving, 2: sending)."""
    request = struct.pack("<BBHIIIII", socket.AF_UNIX, 0, 0, _ANY_STATE, inode, _SHOW_PEER, 0xFFFFFFFF, 0xFFFFFFFF)
    header = struct.pack("<IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as netlink:
        netlink.send(header + request)
        answer = netlink.recv(65536)
    length, kind = struct.unpack_from("<IH", answer)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return 0, 0
    attributes = dict(_attributes(answer[32:length]))
    peer = struct.unpack("<I", attributes[_ATTRIBUTE_PEER])[0] if _ATTRIBUTE_PEER in attributes else 0
    return peer, attributes.get(_ATTRIBUTE_SHUTDOWN, b"\0")[0]


def _attributes(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while len(data) >= 4:
        length, kind = struct.unpack_from("<HH", data)
        if length < 4:
            break
        found.append((kind, data[4:length]))
        data = data[length + 3 & ~3 :]
    return found
