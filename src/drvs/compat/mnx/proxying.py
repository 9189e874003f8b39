"""What proxies do (guide 5.1.10 and 5.1.11): taking what goes to other nodes, delivering what comes from there.

A caller is known by what it was registered as: a thread that mnx_proxies_bind was given by its own id works for that
pair, any other for the one of its process.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from drvs.api.carrier import Carrier
from drvs.api.command import Command
from drvs.base.clock import NS_PER_S
from drvs.base.errors import DrvsError
from drvs.base.flags import Cmd
from drvs.compat.mnx import constants as mnx
from drvs.compat.mnx.buffers import structure
from drvs.compat.mnx.errno import failed, returned
from drvs.compat.mnx.structures import cmd_t, proxy_payload_t, timespec, vcopy_t
from drvs.compat.mnx.threads import this_node

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_EINTR = 4
_MESSAGES = frozenset({Cmd.SEND_MSG, Cmd.SNDREC_MSG, Cmd.REPLY_MSG})
_DATA = frozenset({Cmd.COPYIN_DATA, Cmd.COPYIN_RQST, Cmd.COPYOUT_DATA})


class _Hands(threading.local):
    """The carriers of a thread, by role."""

    def __init__(self) -> None:
        self.carriers: dict[str, Carrier] = {}


_hands = _Hands()


def _start_over() -> None:
    global _hands
    _hands = _Hands()


os.register_at_fork(after_in_child=_start_over)


def _by_hands(role: str, work: Callable[[Carrier], T]) -> T:
    """Do something with the calling thread's carrier; what it was registered as before is forgotten.

    Raises:
        DrvsError: it is not registered, or its pair was unbound meanwhile, or there is no node.
    """
    carrier = _hands.carriers.pop(role, None)
    client = this_node().client
    if carrier is None or carrier.client is not client or not carrier.registered():
        carrier = Carrier(client, None, role)
    result = work(carrier)
    _hands.carriers[role] = carrier
    return result


# ---- get2rmt


def mnx_get2rmt(header: Any, payload: Any) -> int:
    """Take the next command for a node that this sender proxy's pair leads to, and wait for one.

    The header says what it is and where it goes; the payload is a message, a block of c_len bytes, or nothing.

    Canonical: mnx_get2rmt (guide 5.1.10)
    """
    return mnx_get2rmt_T(header, payload, mnx.TIMEOUT_FOREVER)


def mnx_get2rmt_T(header: Any, payload: Any, to_ms: int) -> int:
    """Take the next command, waiting at most `to_ms` milliseconds.

    Canonical: mnx_get2rmt_T (authors' stub)
    """
    target, room = structure(header, cmd_t), _union(payload)
    if target is None or room is None:
        return failed(mnx.EMOLINVAL)
    try:
        code, record = _by_hands("sender", lambda carrier: _next_record(carrier, to_ms))
    except DrvsError as error:
        return failed(error.code)
    if record is None:
        return failed(code)
    command = Command.from_record(record)
    if len(command.payload) > ctypes.sizeof(room):
        return failed(mnx.EMOL2BIG)  # a node whose copy_buf is larger than the guide's structure
    fill_header(target, command)
    ctypes.memmove(ctypes.addressof(room), command.payload, len(command.payload))
    return returned(mnx.OK)


def _next_record(carrier: Carrier, to_ms: int) -> tuple[int, bytes | None]:
    """A record, or the code that says why there is none: the time is over, or a signal came."""
    deadline = None if to_ms < 0 else time.monotonic() + to_ms / 1000
    while True:
        for _, record in carrier.take(1):
            return mnx.OK, record
        if not carrier.core.arm() or carrier.wait(0):
            continue
        left = carrier.LONGEST_SLEEP if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return (mnx.EMOLAGAIN if to_ms == 0 else mnx.EMOLTIMEDOUT), None
        if _interrupted(carrier.fileno(), min(left, carrier.LONGEST_SLEEP)):
            return mnx.EMOLRESTARTSYS, None


class _pollfd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


def _interrupted(fd: int, seconds: float) -> bool:
    """Sleep until the descriptor is readable; whether a signal ended it. Python's own poll would go on sleeping."""
    one = _pollfd(fd, 1, 0)
    return _libc.poll(ctypes.byref(one), 1, max(1, round(seconds * 1000))) < 0 and ctypes.get_errno() == _EINTR


# ---- put2lcl


def mnx_put2lcl(header: Any, payload: Any) -> int:
    """Deliver a command that came from another node, as a receiver proxy.

    What goes wrong at its destination goes back to its source as an acknowledgement. A code means that the command came
    to nothing, and that nobody was told.

    Canonical: mnx_put2lcl (guide 5.1.11)
    """
    source = structure(header, cmd_t)
    if source is None:
        return failed(mnx.EMOLINVAL)
    try:
        record = to_command(source, _union(payload)).to_record()
        refused = _by_hands("receiver", lambda carrier: carrier.put(record))
    except DrvsError as error:
        return failed(error.code)
    except ValueError:  # a command that there is not, or without its payload
        return failed(mnx.EMOLINVAL)
    return failed(refused[0][1]) if refused else returned(mnx.OK)


# ---- structures


def _union(payload: Any) -> proxy_payload_t | None:
    target = getattr(payload, "_obj", None) or getattr(payload, "contents", payload)
    return target if isinstance(target, proxy_payload_t) else None


def fill_header(header: cmd_t, command: Command) -> None:
    """Write a command into a cmd_t."""
    header.c_cmd, header.c_vmid, header.c_rcode, header.c_len = (
        command.cmd,
        command.vmid,
        command.rcode,
        len(command.payload),
    )
    header.c_src, header.c_dst, header.c_snode, header.c_dnode = command.src, command.dst, command.snode, command.dnode
    header.c_timestamp = timespec(*divmod(command.time_ns, NS_PER_S))
    header.c_vcopy = vcopy_t(
        command.v_src, command.v_dst, command.v_rqtr, command.v_saddr, command.v_daddr, command.v_bytes
    )
    header.c_flags, header.c_call, header.c_answers = command.flags, command.call, command.answers
    header.c_incarnation, header.c_rnode = command.incarnation, command.rnode + 1
    header.c_trace[:] = command.trace


def to_command(header: cmd_t, payload: proxy_payload_t | None) -> Command:
    """Return the command that a cmd_t and its payload are.

    Raises:
        ValueError: it has no payload where it needs one.
    """
    length = mnx.MESSAGE_BYTES if header.c_cmd in _MESSAGES else header.c_len if header.c_cmd in _DATA else 0
    if length < 0 or length > (0 if payload is None else ctypes.sizeof(payload)):
        raise ValueError("the payload is shorter than the header says")
    copy = header.c_vcopy
    nbytes = length if header.c_cmd in _DATA else copy.v_bytes
    return Command(
        cmd=header.c_cmd, vmid=header.c_vmid, src=header.c_src, dst=header.c_dst, snode=header.c_snode,
        dnode=header.c_dnode, rcode=header.c_rcode, v_src=copy.v_src, v_dst=copy.v_dst, v_rqtr=copy.v_rqtr,
        v_saddr=copy.v_saddr or 0, v_daddr=copy.v_daddr or 0, v_bytes=nbytes, rnode=header.c_rnode - 1,
        flags=header.c_flags, call=header.c_call, answers=header.c_answers, incarnation=header.c_incarnation,
        time_ns=header.c_timestamp.tv_sec * NS_PER_S + header.c_timestamp.tv_nsec, trace=bytes(header.c_trace),
        payload=bytes(payload)[:length] if payload is not None else b"",
    )  # fmt: skip
