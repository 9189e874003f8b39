"""From noded's answer to a handle: mapping the VM, letting noded copy for us, and leaving with the thread.

A process maps each VM once, however many endpoints it has there: regions are known by the inode of their memfd.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import TYPE_CHECKING

from drvs import core
from drvs.api import ptracer
from drvs.api.endpoint import Endpoint
from drvs.base import features
from drvs.base.errors import DrvsError

if TYPE_CHECKING:
    from drvs.api.node import Node
    from drvs.api.vm import VM
    from drvs.daemon.client import Reply

_mapped: weakref.WeakValueDictionary[tuple[int, int], core.Region] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def new_cookie() -> int:
    """Return a number that names one attempt to bind, should noded be restarted in the middle of it."""
    return int.from_bytes(os.urandom(8), "little") >> 2 or 1


def attach(vm: VM, reply: Reply, name: str, spin_us: int) -> Endpoint:
    """Return the handle for a binding of this process that `reply` (to bind or wait4bind) tells of.

    Raises:
        CorruptStateError: the region is damaged or of another version.
    """
    region = _region(reply)
    ptracer.allow(reply["noded"])
    handle = Endpoint(region, reply["slot"], reply["incarnation"], reply["endpoint"], spin_us)
    handle.vm, handle.name, handle._blocks, handle._life = vm, name, set(), Endpoint.life
    return handle


def attach_found(node: Node, reply: Reply, spin_us: int) -> Endpoint:
    """Return the handle for a binding that another process made, as noded's answer to wait4bind describes it."""
    from drvs.api.vm import VM

    return attach(VM(node, reply["vmid"], reply["vm"]["name"]), reply, reply["name"], spin_us)


def _region(reply: Reply) -> core.Region:
    """The region whose descriptor and doorbell came with an answer; the Region keeps a doorbell of its own."""
    try:
        return map_region(*reply.fds[:2])
    finally:
        reply.close()


def map_region(fd: int, bell: int) -> core.Region:
    """Return the region behind a descriptor, mapped once; both descriptors stay the caller's.

    Raises:
        CorruptStateError: the region is damaged or of another version.
    """
    status = os.fstat(fd)
    key = status.st_dev, status.st_ino
    with _lock:
        region = _mapped.get(key)
        if region is None:
            kept = os.dup(bell)
            region = core.Region(fd, doorbell=kept)
            weakref.finalize(region, os.close, kept).atexit = False
            _mapped[key] = region
    return region


def start_over() -> None:
    """Forget all bindings: in a forked child, or a restored process, which has none."""
    global _lock
    _lock = threading.Lock()
    _mapped.clear()
    Endpoint.life = object()


os.register_at_fork(after_in_child=start_over)


# ---- endpoints of threads


class _Leaving:
    """Held by a thread; when the thread ends, so does this, and unbinds what the thread had bound."""

    def __init__(self) -> None:
        self.endpoints: list[weakref.ref[Endpoint]] = []

    def __del__(self) -> None:
        for reference in self.endpoints:
            endpoint = reference()
            if endpoint is not None and endpoint.bound:
                with contextlib.suppress(DrvsError):
                    endpoint.unbind()


_thread = threading.local()


def unbind_with_thread(endpoint: Endpoint) -> None:
    """Make the binding end with the calling thread, on kernels where noded cannot watch a single thread at once.

    noded finds out by itself within a second there; this is for those who wait on the thread's endpoint.
    """
    if features.has("pidfd_thread"):
        return
    if not hasattr(_thread, "leaving"):
        _thread.leaving = _Leaving()
    _thread.leaving.endpoints.append(weakref.ref(endpoint))
