"""`drvs gc`: remove what a dead node left behind."""

import os
from typing import NamedTuple

from drvs.base import paths
from drvs.base.codes import Code
from drvs.base.errors import Busy
from drvs.base.flags import VmState
from drvs.core._core import Region
from drvs.daemon import runtime, store
from drvs.daemon.vm import stop_unreadable


class Collected(NamedTuple):
    """What was found, and removed unless it was a dry run or kept."""

    removed: list[str]  # paths
    vms: int  # regions that the keeper of the dead node held
    kept: bool  # they live on: start the node again, or collect everything


def collect(
    runtime_dir: str | os.PathLike[str] | None = None, *, everything: bool = False, dry_run: bool = False
) -> Collected:
    """Remove the files and the keeper of a node whose noded is dead.

    VMs that a keeper holds are not waste: the next `drvs up` takes them over. They are left alone, and everything with
    them, unless `everything` is set: then they are ended first.

    Args:
        runtime_dir: where; None finds it.
        everything: end and drop kept VMs too.
        dry_run: only look.
    Raises:
        Busy: noded runs there: use `drvs down`.
        RuntimeDirError: the directory is somebody else's.
    """
    where = paths.find_runtime_dir(runtime_dir)
    if not os.path.isdir(where):
        return Collected([], 0, False)
    if runtime.is_running(where):
        raise Busy(Code.DRVSBUSY, "gc", detail=f"noded runs in {where}", hint="End it with `drvs down`.")
    if dry_run:
        vms = _kept_vms(where, end=False)
        left = [path for path in (os.path.join(where, name) for name in runtime.CONTENTS) if os.path.lexists(path)]
        return Collected(left, vms, vms > 0 and not everything)
    lock = runtime.lock(where)
    try:
        vms = _kept_vms(where, end=everything)
        if vms and not everything:
            return Collected([], vms, True)
        _dismiss_keeper(where)
        return Collected(runtime.tidy(where), vms, False)
    finally:
        os.close(lock)


def _kept_vms(where: str, *, end: bool) -> int:
    """Count the regions that a keeper holds, and end them if asked to."""
    sock = store.connect(where)
    if sock is None:
        return 0
    with sock:
        held = store.listing(sock)
        regions = [fd for name, fd in held.items() if name.startswith("vm-")]
        if end:
            for fd in regions:
                _end_region(fd)
        for fd in held.values():
            os.close(fd)
    return len(regions)


def _dismiss_keeper(where: str) -> None:
    sock = store.connect(where)
    if sock is not None:
        with sock:
            store.dismiss(sock)


def _end_region(fd: int) -> None:
    try:
        Region(fd).end(int(VmState.FREE))
    except ValueError:
        stop_unreadable(fd)
