"""Whose endpoint a call uses: the guide's two ways of dealing with threads (4.1.7).

A process belongs to one VM. A thread that has bound itself (mnx_tbind) uses its own endpoint; any other uses the one
of the process, and a second call on that meanwhile gets EMOLNOTREADY: serialising is the application's affair. A
process that was bound by another (mnx_lclbind), or has exec'ed, finds its endpoint at its first call.
"""

from __future__ import annotations

import os
import threading

from drvs.api import Endpoint, Node
from drvs.base import paths
from drvs.base.errors import DrvsError
from drvs.compat.mnx.constants import EMOLDRVSINIT, EMOLNOTBIND, SELF


class _Process:
    """What a process has bound; a forked child begins with nothing."""

    def __init__(self) -> None:
        self.shared: Endpoint | None = None
        self.threads = _Threads()
        self.nodes: dict[str, Node] = {}


class _Threads(threading.local):
    own: Endpoint | None = None


_process = _Process()


def start_over() -> None:
    """Forget all bindings: in a forked child, or a restored process, which has none."""
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=start_over)


def this_node() -> Node:
    """Return the node that the environment chooses now: programs of the guide do not connect."""
    runtime_dir = paths.find_runtime_dir()
    node = _process.nodes.get(runtime_dir)
    return node if node is not None else _process.nodes.setdefault(runtime_dir, Node(runtime_dir))


def current_endpoint() -> Endpoint | None:
    """Return the endpoint that a call of this thread uses; None if there is none."""
    own = _process.threads.own
    if own is not None:
        return own
    shared = _process.shared
    return shared if shared is not None else _find_shared()


def shared_endpoint() -> Endpoint | None:
    """Return the endpoint of the process, None if it has none."""
    return _process.shared if _process.shared is not None else _find_shared()


def own_endpoint() -> Endpoint | None:
    """Return the endpoint of this thread alone, None if it has none."""
    return _process.threads.own


def keep_shared(endpoint: Endpoint) -> None:
    """Make `endpoint` the one of the process."""
    _process.shared = endpoint


def keep_own(endpoint: Endpoint) -> None:
    """Make `endpoint` the one of this thread."""
    _process.threads.own = endpoint


def forget(endpoint: Endpoint) -> None:
    """Use an endpoint no longer, after it was unbound."""
    if _process.threads.own is endpoint:
        _process.threads.own = None
    if _process.shared is endpoint:
        _process.shared = None
    try:
        endpoint.close()
    except DrvsError:
        pass  # a thread is just leaving its call: the handle goes with its last reference


def rebound(endpoint: Endpoint) -> Endpoint | None:
    """Return what the process is bound to now that its shared `endpoint` has ended; None if to nothing else."""
    if endpoint is not _process.shared:
        return None
    try:
        found = this_node().wait_for_bind(0)
    except DrvsError:
        return None
    if (found.region, found.slot, found.incarnation) == (endpoint.region, endpoint.slot, endpoint.incarnation):
        return None
    _process.shared = found
    return found


def still_bound(endpoint: Endpoint) -> bool:
    """Ask noded whether the process still has this endpoint; if not (unbound by another, VM ended), forget it."""
    reply = endpoint.vm.node.client.call("wait4bind", check=False, vmid=endpoint.vmid, timeout_ms=0, region=False)
    same = reply.code >= 0 and (reply["slot"], reply["incarnation"]) == (endpoint.slot, endpoint.incarnation)
    if not same:
        forget(endpoint)
    return same


def bound_here(vmid: int, endpoint: int) -> Endpoint | None:
    """Return this process's handle of an endpoint (SELF: that of the calling thread), None if it is another's."""
    if endpoint == SELF:
        return current_endpoint()
    for handle in (_process.threads.own, shared_endpoint()):
        if handle is not None and handle.endpoint == endpoint and handle.vmid == vmid:
            return handle
    return None


def no_endpoint_code() -> int:
    """Return why this thread has no endpoint: EMOLNOTBIND, or EMOLDRVSINIT where there is no node."""
    try:
        _find_or_raise()
    except DrvsError as error:
        return EMOLDRVSINIT if error.code == EMOLDRVSINIT else EMOLNOTBIND
    return EMOLNOTBIND


def _find_shared() -> Endpoint | None:
    try:
        return _find_or_raise()
    except DrvsError:
        return None


def _find_or_raise() -> Endpoint:
    """Attach to the binding that another process made, if it has by now."""
    found = this_node().wait_for_bind(0)
    _process.shared = found
    return found
