"""Chapter 3 of the guide: messages, notifications and copies.

Every call is made by the endpoint of the calling thread (see `threads`), returns 0 or a negative code, and leaves the
same in `mnx_errno()`. A signal that arrives while a call waits runs its Python handler first; then the call ends with
-ERESTARTSYS.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

from drvs.api import Endpoint
from drvs.base.errors import DrvsError
from drvs.base.flags import Call
from drvs.compat.mnx import constants as mnx
from drvs.compat.mnx.buffers import address, is_int, message_bytes, pointed_to
from drvs.compat.mnx.errno import ended, failed
from drvs.compat.mnx.threads import current_endpoint, no_endpoint_code, rebound
from drvs.core import Message

_RECEIVING = frozenset({Call.RECEIVE, Call.RCVRQST, Call.SENDREC})
_ENDED = frozenset({mnx.EMOLNOTBIND, mnx.EMOLVMNOTRUN})
_LONGEST_MS = 2**62


class _Scratch(threading.local):
    """A thread's own Message, between the guide's structure and the core."""

    def __init__(self) -> None:
        self.message = Message()


_scratch = _Scratch()


def _by_own_endpoint(call: Callable[[Endpoint], int]) -> int:
    """Make a call by this thread's endpoint; one that has ended is replaced by what the process was bound to since."""
    endpoint = current_endpoint()
    if endpoint is None:
        return failed(no_endpoint_code())
    code = call(endpoint)
    if code in _ENDED:
        successor = rebound(endpoint)
        if successor is not None:
            code = call(successor)
    return ended(code)


def _call(op: Call, peer: int, m_ptr: Any, to_ms: int) -> int:
    """Make one call with a message: it goes in before, and comes out after if the call receives."""
    to_ms = min(to_ms, _LONGEST_MS)
    target = pointed_to(m_ptr)
    if not is_int(peer):
        return failed(mnx.EMOLENDPOINT)
    if isinstance(target, Message):
        return _by_own_endpoint(lambda endpoint: endpoint.raw(op, peer, target, to_ms))
    view = message_bytes(target)
    return _by_own_endpoint(lambda endpoint: _through_scratch(endpoint, op, peer, view, to_ms))


def _through_scratch(endpoint: Endpoint, op: Call, peer: int, view: memoryview | None, to_ms: int) -> int:
    if view is None:
        return mnx.EMOLMSGSIZE
    message = _scratch.message
    message.clear()  # the envelope of an earlier request answers nothing here: the endpoint remembers whom it owes
    message.data[:] = view
    code = endpoint.raw(op, peer, message, to_ms)
    if code == mnx.OK and op in _RECEIVING:
        view[:] = message.data
    return code


def mnx_send(dst_ep: int, m_ptr: Any) -> int:
    """Send a message and wait until `dst_ep` receives it.

    The destination takes it by mnx_receive, or by mnx_sendrec if that waits for the caller. m_source is written on
    the way: the receiver finds the caller's endpoint there. A wait that would close a circle of processes that wait
    for each other is refused with EMOLLOCKED.

    Canonical: mnx_send (guide 3.1.2)
    """
    return _call(Call.SEND, dst_ep, m_ptr, mnx.TIMEOUT_FOREVER)


def mnx_send_T(dst_ep: int, m_ptr: Any, to_ms: int) -> int:
    """Send a message and wait at most `to_ms` milliseconds until `dst_ep` receives it.

    TIMEOUT_NOWAIT delivers only to a destination that receives already, TIMEOUT_FOREVER waits as mnx_send does.

    Canonical: mnx_send_T (guide 3.1.2)
    """
    return _call(Call.SEND, dst_ep, m_ptr, to_ms)


def mnx_reply(dst_ep: int, m_ptr: Any) -> int:
    """Answer a client that waits in mnx_sendrec.

    Never waits for a client on this node. A client that does not wait for this very answer any more (it timed out, say)
    gives EMOLPROCSTS.

    Canonical: mnx_reply (guide 3.1.2)
    """
    return _call(Call.REPLY, dst_ep, m_ptr, mnx.TIMEOUT_FOREVER)


def mnx_reply_T(dst_ep: int, m_ptr: Any, to_ms: int) -> int:
    """Answer a client that waits in mnx_sendrec; the time matters for remote ones only.

    Canonical: mnx_reply_T (guide 3.1.2)
    """
    return _call(Call.REPLY, dst_ep, m_ptr, to_ms)


def mnx_receive(src_ep: int, m_ptr: Any) -> int:
    """Wait for a message or notification from `src_ep`, or from ANY.

    Pending notifications come first, then senders in the order in which they came. m_source tells who sent it.

    Canonical: mnx_receive (guide 3.1.3)
    """
    return _call(Call.RECEIVE, src_ep, m_ptr, mnx.TIMEOUT_FOREVER)


def mnx_receive_T(src_ep: int, m_ptr: Any, to_ms: int) -> int:
    """Wait at most `to_ms` milliseconds for a message or notification from `src_ep`, or from ANY.

    TIMEOUT_NOWAIT takes only what is there, TIMEOUT_FOREVER waits as mnx_receive does.

    Canonical: mnx_receive_T (guide 3.1.3)
    """
    return _call(Call.RECEIVE, src_ep, m_ptr, to_ms)


def mnx_rcvrqst(m_ptr: Any) -> int:
    """Wait for a request: a message that somebody sent with mnx_sendrec.

    Messages of mnx_send and notifications stay where they are.

    Canonical: mnx_rcvrqst (guide 3.1.3)
    """
    return _call(Call.RCVRQST, mnx.ANY, m_ptr, mnx.TIMEOUT_FOREVER)


def mnx_rcvrqst_T(m_ptr: Any, to_ms: int) -> int:
    """Wait at most `to_ms` milliseconds for a request.

    Canonical: mnx_rcvrqst_T (guide 3.1.3)
    """
    return _call(Call.RCVRQST, mnx.ANY, m_ptr, to_ms)


def mnx_sendrec(srcdst_ep: int, m_ptr: Any) -> int:
    """Send a request and wait for its answer, in the same message.

    The answer is what `srcdst_ep` sends by mnx_reply or mnx_send after it has received the request. If that process
    dies or unbinds first, the call ends with EMOLDSTDIED (the request was not taken yet) or EMOLSRCDIED (it was).

    Canonical: mnx_sendrec (guide 3.1.4)
    """
    return _call(Call.SENDREC, srcdst_ep, m_ptr, mnx.TIMEOUT_FOREVER)


def mnx_sendrec_T(srcdst_ep: int, m_ptr: Any, to_ms: int) -> int:
    """Send a request and wait at most `to_ms` milliseconds for its answer.

    A call that ended with EMOLTIMEDOUT may have been carried out; its late answer reaches nobody. TIMEOUT_NOWAIT never
    delivers, for no answer could be there.

    Canonical: mnx_sendrec_T (guide 3.1.4)
    """
    return _call(Call.SENDREC, srcdst_ep, m_ptr, to_ms)


def mnx_relay(dst_ep: int, m_ptr: Any) -> int:
    """Pass the request in `m_ptr` on to `dst_ep`, who answers its sender; `m_source` says whose request it is.

    Canonical: mnx_relay (authors' stub)
    """
    return _call(Call.RELAY, dst_ep, m_ptr, mnx.TIMEOUT_FOREVER)


def mnx_notify(dst_ep: int) -> int:
    """Leave a notification for `dst_ep`; never waits.

    It is delivered at once to a process that receives, and otherwise remembered once for each source. The receiver gets
    m_type NOTIFY_FROM(p_nr of the caller) and the time in m9_t1.

    Canonical: mnx_notify (guide 3.1.5)
    """
    if not is_int(dst_ep):
        return failed(mnx.EMOLENDPOINT)
    return _by_own_endpoint(lambda endpoint: endpoint.raw(Call.NOTIFY, dst_ep, None, mnx.TIMEOUT_FOREVER))


def mnx_vcopy(src_ep: int, src_addr: Any, dst_ep: int, dst_addr: Any, nbytes: int) -> int:
    """Copy `nbytes` bytes from an address in `src_ep` to an address in `dst_ep`; either may be the caller.

    The caller is source, destination (by its endpoint or SELF) or neither. Parties other than the caller must be
    waiting in mnx_receive or mnx_sendrec, and stay there until the copy is over. It takes root or the owner of the
    node.

    Addresses are raw: what lies there is the caller's affair.

    Canonical: mnx_vcopy (guide 3.1.6)
    """
    return _by_own_endpoint(lambda endpoint: _copy(endpoint, src_ep, src_addr, dst_ep, dst_addr, nbytes))


def _copy(endpoint: Endpoint, src_ep: int, src_addr: Any, dst_ep: int, dst_addr: Any, nbytes: int) -> int:
    if nbytes < 0 or not is_int(nbytes):
        return mnx.EMOLRANGE
    if not is_int(src_ep) or not is_int(dst_ep):
        return mnx.EMOLENDPOINT
    try:
        endpoint.copy_raw(src_ep, address(src_addr), dst_ep, address(dst_addr), nbytes)
    except DrvsError as error:
        return error.code
    return mnx.OK


def addressof(buffer: Any) -> int:
    """Return the address of a ctypes object or of a writable buffer, for mnx_vcopy; keep the object alive meanwhile."""
    if isinstance(buffer, ctypes._SimpleCData | ctypes.Structure | ctypes.Array | ctypes.Union):
        return ctypes.addressof(buffer)
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
