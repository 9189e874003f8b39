"""How requests and answers travel: one JSON object a packet, both ends in this module.

An answer that does not fit into a packet (the processes of a big VM) goes into a memfd that travels beside a short
answer; its length stands in "body". A client that sends descriptors loses them: noded receives none.
"""

import array
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from drvs.base import limits
from drvs.daemon.protocol import VERSION


def _plain(value: object) -> object:
    """Typed ids (EndpointId, VmId, …) travel as the numbers they are."""
    if isinstance(value, int):
        return int(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be sent")


encode = msgspec.json.Encoder(enc_hook=_plain).encode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

#: Room for the few descriptors an answer carries: a region and its doorbell, a proxy's own two, a long body.
ANSWER_FDS = 8


def encode_answer(code: int, error: str | None, fields: Mapping[str, object]) -> bytes:
    """Return the bytes of an answer."""
    return encode({"v": VERSION, "code": code, "error": error, **fields})


def send_answer(sock: socket.socket, body: bytes, fds: Sequence[int] = ()) -> bool:
    """Send an answer without waiting; False if the socket is full.

    Raises:
        OSError: the connection is gone.
    """
    if len(body) > limits.PACKET_BYTES:
        return _send_long(sock, body, fds)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        sock.sendmsg((body,), ancillary, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except BlockingIOError:
        return False
    return True


def _send_long(sock: socket.socket, body: bytes, fds: Sequence[int]) -> bool:
    file = os.memfd_create("drvs-answer", os.MFD_CLOEXEC)
    try:
        view = memoryview(body)
        while view:
            view = view[os.write(file, view) :]
        return send_answer(sock, encode({"v": VERSION, "code": 0, "error": None, "body": len(body)}), (*fds, file))
    finally:
        os.close(file)


def receive_answer(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for an answer: its fields and the descriptors beside it, which the caller closes.

    Raises:
        ConnectionResetError: noded closed the connection.
        TimeoutError: the socket's timeout was over first.
    """
    size = array.array("i").itemsize
    packet, ancillary, flags, _ = sock.recvmsg(
        limits.PACKET_BYTES + 1024, socket.CMSG_SPACE(ANSWER_FDS * size), socket.MSG_CMSG_CLOEXEC
    )
    fds = _descriptors(ancillary)
    try:
        if not packet or flags & socket.MSG_TRUNC:
            raise ConnectionResetError("noded closed the connection")
        fields = _decode_object(packet)
        if "body" in fields:
            fields = _decode_object(_read_whole(fds.pop(), fields["body"]))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return fields, fds


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def _read_whole(fd: int, length: int) -> bytes:
    with open(fd, "rb", buffering=0) as file:
        file.seek(0)
        return bytes(file.read(length))
