"""Binding, unbinding, and waiting for either (guide 4.1.7 to 4.1.9, and the authors' stub)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from drvs.api import Endpoint
from drvs.base.ids import SELF as _SELF
from drvs.compat.mnx import constants as mnx
from drvs.compat.mnx import threads
from drvs.compat.mnx.buffers import name_text
from drvs.compat.mnx.errno import failed, returned
from drvs.compat.mnx.results import code_of, result_of, seconds, vm_of
from drvs.compat.mnx.threads import this_node

# ---- binding


def mnx_bind(vmid: int, p_nr: int) -> int:
    """Bind this process; all of its threads share the endpoint that is returned.

    `p_nr` is the slot. Slots below 29 (by default) are system slots: there the endpoint is `p_nr` itself. Every other
    slot counts its owners, so an endpoint that was somebody else's before is never taken for a new one. It takes root
    or the owner of the node.

    Canonical: mnx_bind (guide 4.1.7)
    """
    bound = threads.shared_endpoint()
    if bound is not None and threads.still_bound(bound):
        return failed(mnx.EMOLBUSY if bound.vmid == vmid else mnx.EMOLBADPROC)
    return _bind(lambda: vm_of(vmid).bind(p_nr), threads.keep_shared)


def mnx_tbind(vmid: int, p_nr: int) -> int:
    """Bind this thread; its main thread must be bound, to the same VM.

    The endpoint is the thread's own and ends with it. In the main thread this is mnx_bind.

    Canonical: mnx_tbind (authors' stub)
    """
    if threading.current_thread() is threading.main_thread():
        return mnx_bind(vmid, p_nr)
    if threads.own_endpoint() is not None:
        return failed(mnx.EMOLBUSY)
    leader = threads.shared_endpoint()
    if leader is None:
        code = threads.no_endpoint_code()
        return failed(mnx.EMOLGRPLEADER if code == mnx.EMOLNOTBIND else code)
    if leader.vmid != vmid:
        return failed(mnx.EMOLBADPROC)
    return _bind(lambda: vm_of(vmid).bind(p_nr, thread=True), threads.keep_own)


def _bind(bind: Callable[[], Endpoint], keep: Callable[[Endpoint], None]) -> int:
    def bound() -> int:
        endpoint = bind()
        keep(endpoint)
        return endpoint.endpoint

    return result_of(bound)


def mnx_lclbind(vmid: int, pid: int, p_nr: int) -> int:
    """Bind another local process.

    That process finds its endpoint at its first call, or waits for it by mnx_wait4bind. `pid` may be a thread's id.

    Canonical: mnx_lclbind (guide 4.1.7)
    """
    return result_of(lambda: vm_of(vmid).lclbind(pid, p_nr))


def mnx_rmtbind(vmid: int, name: Any, endpoint: int, nodeid: int) -> int:
    """Bind a process of another node.

    Canonical: mnx_rmtbind (guide 4.1.7)
    """
    return result_of(lambda: vm_of(vmid).rmtbind(name_text(name), endpoint, nodeid))


def mnx_bkupbind(vmid: int, pid: int, endpoint: int, nodeid: int) -> int:
    """Bind a local process as the backup of one on another node.

    Canonical: mnx_bkupbind (guide 4.1.7)
    """
    return result_of(lambda: vm_of(vmid).bkupbind(pid, endpoint, nodeid))


def mnx_unbind(vmid: int, endpoint: int) -> int:
    """Unbind an endpoint, the caller's or another's.

    Whoever waits for it is told: EMOLDSTDIED, EMOLSRCDIED. Another process gets SIGPIPE, and the call in which it
    waits ends with EMOLSHUTDOWN. A process that exits is unbound without this.

    Canonical: mnx_unbind (guide 4.1.9)
    """
    return mnx_unbind_T(vmid, endpoint, mnx.TIMEOUT_FOREVER)


def mnx_unbind_T(vmid: int, endpoint: int, to_ms: int) -> int:
    """Unbind an endpoint, and wait at most `to_ms` milliseconds until it lets go.

    Canonical: mnx_unbind_T (authors' stub)
    """
    mine = threads.bound_here(vmid, endpoint)
    code = code_of(lambda: vm_of(vmid).unbind(mine.endpoint if mine else endpoint, seconds(to_ms)))
    if code == mnx.OK and mine is not None:
        threads.forget(mine)
    return code


# ---- waiting for bindings


def mnx_wait4bind() -> int:
    """Wait until this process is bound; returns its endpoint.

    Returns at once if it is bound already: after exec, for instance.

    Canonical: mnx_wait4bind (guide 4.1.8)
    """
    return mnx_wait4bind_T(mnx.TIMEOUT_FOREVER)


def mnx_wait4bind_T(to_ms: int) -> int:
    """Wait at most `to_ms` milliseconds until this process is bound; returns its endpoint.

    Canonical: mnx_wait4bind_T (authors' stub)
    """
    bound = threads.current_endpoint()
    if bound is not None:
        return returned(bound.endpoint)
    return _bind(lambda: this_node().wait_for_bind(seconds(to_ms)), threads.keep_shared)


def mnx_wait4bindep(endpoint: int) -> int:
    """Wait until an endpoint of the caller's VM is bound; returns it.

    Canonical: mnx_wait4bindep (authors' stub)
    """
    return mnx_wait4bindep_T(endpoint, mnx.TIMEOUT_FOREVER)


def mnx_wait4bindep_T(endpoint: int, to_ms: int) -> int:
    """Wait at most `to_ms` milliseconds until an endpoint of the caller's VM is bound; returns it.

    Canonical: mnx_wait4bindep_T (authors' stub)
    """
    if endpoint == _SELF:
        return mnx_wait4bind_T(to_ms)
    caller = threads.current_endpoint()
    if caller is None:
        return failed(threads.no_endpoint_code())
    code = code_of(lambda: caller.vm.wait_bound(endpoint, seconds(to_ms)))
    return returned(endpoint) if code == mnx.OK else code


def mnx_wait4unbind(endpoint: int) -> int:
    """Wait until an endpoint of the caller's VM is not bound.

    Canonical: mnx_wait4unbind (authors' stub)
    """
    return mnx_wait4unbind_T(endpoint, mnx.TIMEOUT_FOREVER)


def mnx_wait4unbind_T(endpoint: int, to_ms: int) -> int:
    """Wait at most `to_ms` milliseconds until an endpoint of the caller's VM is not bound.

    Canonical: mnx_wait4unbind_T (authors' stub)
    """
    caller = threads.current_endpoint()
    if caller is None:
        return failed(threads.no_endpoint_code())
    return code_of(lambda: caller.vm.wait_unbound(endpoint, seconds(to_ms)))
