"""How a worker takes its seat in the executor's VM: bound with one packet to noded, and with nothing imported.

`VM.bind` does the same for programs; its modules cost 50 ms to import and megabytes that each of a hundred workers
would make its own.
"""

from __future__ import annotations

import _socket
import os
from array import array
from typing import NamedTuple

from drvs.base import paths
from drvs.core import Endpoint, Region

PACKET_BYTES = 1 << 16
SPIN_US = 50
_REQUEST = b'{"v":1,"op":"bind","vmid":%d,"kind":"self","tid":0,"name":"","cookie":0}'


class Place(NamedTuple):
    """Where an executor is to be found: its node, its VM, its endpoint, and the process that started its workers."""

    runtime_dir: str
    vmid: int
    inlet: int
    spawner: int


def take(place: Place) -> Endpoint:
    """Bind this process into the executor's VM.

    Raises:
        OSError: noded is gone, or refuses.
    """
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        answer, fd = _ask(sock, place)
    finally:
        sock.close()
    try:
        region = Region(fd)
    finally:
        os.close(fd)
    slot, incarnation, endpoint = (_number(answer, name) for name in (b"slot", b"incarnation", b"endpoint"))
    return Endpoint(region, slot, incarnation, endpoint, SPIN_US)


def _ask(sock: _socket.socket, place: Place) -> tuple[bytes, int]:
    sock.connect(f"{place.runtime_dir}/{paths.SOCKET}")
    sock.send(_REQUEST % place.vmid)
    packet, ancillary, _, _ = sock.recvmsg(PACKET_BYTES, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    if not packet or _number(packet, b"code") < 0:
        raise OSError(f"noded does not bind this worker: {packet.decode() or 'it closed the connection'}")
    return packet, array("i", ancillary[0][2])[0]


def _number(answer: bytes, name: bytes) -> int:
    """Return a number of noded's answer. The json module would make 200 KiB of memory each worker's own."""
    _, _, rest = answer.partition(b'"%b":' % name)
    return int(rest.partition(b",")[0].rstrip(b"}"))
