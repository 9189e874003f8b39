"""The rehearsal: what every worker does first is done a few times in the process that workers are copies of.

On the way the interpreter writes to what it reads: it specialises code, and notes where it found attributes. That is
done once and shared then, instead of making pages of its own for each of a hundred workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from drvs.core import Region
from drvs.executor import kinship, pickling, seat, worker

#: The interpreter specialises a function that it runs for the eighth time, and its instructions a little later.
TIMES = 24
_SIZE: dict[str, Any] = {"nr_procs": 8, "nr_tasks": seat.SYSTEM_SLOTS, "nr_sysprocs": seat.SYSTEM_SLOTS, "notes": 1}


def rehearse(restored: bool) -> None:
    """Take a seat in a VM of no use, and run a call, over and over.

    Args:
        restored: the copies are restored from an image, and so begin with hooks. (Those have a thread.)
    """
    if restored:
        from drvs.hooks import identity

        _times(identity.refresh_thread_ids)
    fd = os.memfd_create("drvs-rehearsal", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, Region.bytes_for(**_SIZE))
        Region.format(fd, **_SIZE)
        call = pickling.dumps((int, (), {}))[0]
        place = seat.Place("", fd, 0, os.getpid())
        _times(lambda: _once(place, call))
    finally:
        os.close(fd)


def _times(step: Callable[[], None]) -> None:
    for _ in range(TIMES):
        step()


def _once(place: seat.Place, call: bytes) -> None:
    kinship.follow(os.getppid())
    endpoint = seat.take(place, 0)
    try:
        worker.Worker(endpoint, place.inlet).rehearse(call)
    finally:
        endpoint.region.unbind(endpoint.slot, 0)
        endpoint.close()
