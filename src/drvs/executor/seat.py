"""How a worker takes its seat in the executor's VM, with next to nothing imported.

In a VM of the executor's own it opens the region where the spawner holds it, and binds itself. On a node that runs,
noded binds it, for one packet. `VM.bind` does the same for programs; its modules cost 50 ms to import and megabytes
that each of a hundred workers would make its own.
"""

from __future__ import annotations

import _socket
import os
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from drvs.base import paths
from drvs.core import CODES, Endpoint, Region
from drvs.core._core import BIND_LOCAL

PACKET_BYTES = 1 << 16
SPIN_US = 50
#: In a VM of the executor's own: slots that nobody uses, since they are the system's.
SYSTEM_SLOTS = 4
#: The caller's endpoints there are bound as if it were two workers of these ranks.
INLET, OUTLET = -2, -1
_BINDING = 1
_REQUEST = b'{"v":1,"op":"bind","vmid":%d,"kind":"self","tid":0,"name":"","cookie":0}'


class Place(NamedTuple):
    """Where an executor is to be found, and the process that started its workers.

    Attributes:
        runtime_dir: of the node; "" if the VM is the executor's own.
        number: the VM's on that node; else the descriptor of its region in the spawner.
        inlet: the endpoint that workers ask.
        spawner: the parent of the workers.
    """

    runtime_dir: str
    number: int
    inlet: int
    spawner: int


def take(place: Place, rank: int) -> Endpoint:
    """Bind this process into the executor's VM, as worker number `rank`.

    Raises:
        OSError: it cannot be bound.
    """
    return _ask_noded(place) if place.runtime_dir else _sit_down(place, rank)


# ---- a VM of the executor's own ------------------------------------------------------------------------------------


def slots(members: int, rank: int) -> Iterator[int]:
    """Yield the slots that worker number `rank` may be in, in the order in which it tries them."""
    room = members - SYSTEM_SLOTS
    return (SYSTEM_SLOTS + (rank - INLET + step) % room for step in range(room))


def bind(region: Region, rank: int) -> Endpoint:
    """Bind this process into the first slot of `slots` that is free.

    Raises:
        OSError: none is, or the VM has ended.
    """
    pid = os.getpid()
    code = CODES["BUSY"]
    for slot in slots(region.members, rank):
        code, endpoint, incarnation = region.bind(slot, pid, pid, 0, BIND_LOCAL, 0, "")
        if code == 0:
            return Endpoint(region, slot, incarnation, endpoint, SPIN_US)
        if code != CODES["BUSY"]:
            break
    raise OSError(f"the executor's VM takes no worker: code {code}")


def _sit_down(place: Place, rank: int) -> Endpoint:
    fd = os.open(f"/proc/{place.spawner}/fd/{place.number}", os.O_RDWR | os.O_CLOEXEC)
    try:
        region = Region(fd, kernel_slot=_BINDING)
    finally:
        os.close(fd)
    return bind(region, rank)


# ---- a node that runs ----------------------------------------------------------------------------------------------


def _ask_noded(place: Place) -> Endpoint:
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
    sock.send(_REQUEST % place.number)
    packet, ancillary, _, _ = sock.recvmsg(PACKET_BYTES, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    if not packet or _number(packet, b"code") < 0:
        raise OSError(f"noded does not bind this worker: {packet.decode() or 'it closed the connection'}")
    return packet, array("i", ancillary[0][2])[0]


def _number(answer: bytes, name: bytes) -> int:
    """Return a number of noded's answer. The json module would make 200 KiB of memory each worker's own."""
    _, _, rest = answer.partition(b'"%b":' % name)
    return int(rest.partition(b",")[0].rstrip(b"}"))
