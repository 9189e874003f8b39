"""How a worker takes its seat in the executor's VM: bound with one packet to noded, and with nothing imported.

`VM.bind` does the same for programs; its modules cost 50 ms to import and megabytes that each of a hundred workers
would make its own.
"""

from __future__ import annotations

import _socket
import json
import os
from array import array
from typing import Any, NamedTuple

from drvs.base import paths
from drvs.core import Endpoint, Region

PACKET_BYTES = 1 << 16
SPIN_US = 50


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
    return Endpoint(region, answer["slot"], answer["incarnation"], answer["endpoint"], SPIN_US)


def _ask(sock: _socket.socket, place: Place) -> tuple[dict[str, Any], int]:
    sock.connect(os.path.join(place.runtime_dir, paths.SOCKET))
    request = {"v": 1, "op": "bind", "vmid": place.vmid, "kind": "self", "tid": 0, "name": "", "cookie": 0}
    sock.send(json.dumps(request).encode())
    packet, ancillary, _, _ = sock.recvmsg(PACKET_BYTES, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    answer = json.loads(packet or b'{"code": -1, "error": "noded closed the connection"}')
    if answer["code"] < 0:
        raise OSError(f"noded does not bind this worker: {answer.get('error')} (code {answer['code']})")
    return answer, array("i", ancillary[0][2])[0]
