"""How commands reach a lab's supervisor: one JSON request a connection, one JSON answer, on a Unix socket.

{"verb": "cut", "a": 0, "b": 1}   ->   {"ok": true}   or   {"error": TEXT, "hint": TEXT}
"""

from __future__ import annotations

import os
import socket
from typing import Any

import msgspec

from drvs.lab import place
from drvs.lab.errors import LabError, NoSuchLab

PACKET = 1 << 20
PATIENCE_S = 120.0


def listen(folder: str) -> socket.socket:
    """Make the socket; only this user, and root, may connect."""
    path = os.path.join(folder, place.SOCKET)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    before = os.umask(0o077)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def ask(folder: str, verb: str, *, timeout: float = PATIENCE_S, **fields: Any) -> dict[str, Any]:
    """Ask the supervisor of the lab in `folder`, and return its answer.

    Raises:
        NoSuchLab: none runs there.
        LabError: it refused, or the supervisor does not answer in time.
    """
    name = os.path.basename(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(os.path.join(folder, place.SOCKET))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PACKET)
            sock.send(msgspec.json.encode({"verb": verb, **fields}))
            packet = sock.recv(PACKET)
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchLab(f"there is no lab {name!r}", _others()) from None
        except (ConnectionRefusedError, BrokenPipeError, ConnectionResetError):
            raise NoSuchLab(
                f"lab {name!r} is dead: its supervisor was killed", "Clear it away: drvs lab down"
            ) from None
        except TimeoutError:
            raise LabError(f"lab {name!r} does not answer", "End it with `drvs lab down`.") from None
    if not packet:
        raise NoSuchLab(f"lab {name!r} ended meanwhile", "Start it again: drvs lab up")
    answer: dict[str, Any] = msgspec.json.decode(packet)
    if "error" in answer:
        raise LabError(answer["error"], answer.get("hint", ""))
    return answer


def _others() -> str:
    known = place.names()
    return f"There is {', '.join(known)}: name it with --name." if known else "Start one: drvs lab up 3"
