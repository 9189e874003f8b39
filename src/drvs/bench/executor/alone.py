"""One pool in a fresh interpreter: `python -m drvs.bench.executor.alone start|memory POOL WORKERS [IMAGE]`.

Prints one JSON object. Fresh, since forkserver and others leave a server in the process for the next pool; and as light
as a program can be, since the workers of some pools import the program that started them.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from drvs.bench.dirty import private_dirty_kib
from drvs.bench.executor.calls import arrive, same
from drvs.bench.executor.pools import AnyPool, named

_PID_BYTES = 8
_LOOK_S, _POLL_S, _SETTLE_S, _PATIENCE_S = 1.0, 0.01, 0.5, 120.0


@contextlib.contextmanager
def meeting() -> Iterator[tuple[str, int, int]]:
    """Give a directory with two FIFOs: workers say in one that they are `here`, and wait in the other to `go`."""
    with tempfile.TemporaryDirectory(prefix="drvs-bench-") as place:
        ends = []
        for name in ("here", "go"):
            os.mkfifo(f"{place}/{name}")
            ends.append(os.open(f"{place}/{name}", os.O_RDWR | os.O_CLOEXEC))
        try:
            yield place, ends[0], ends[1]
        finally:
            for end in ends:
                os.close(end)


def all_arrive(pool: AnyPool, workers: int, place: str, here: int, go: int) -> list[int]:
    """Make a call in each of the workers at the same time; return their pids.

    Raises:
        RuntimeError: some worker answered two of them.
    """
    futures = [pool.submit(arrive, place) for _ in range(workers)]
    come = b""
    while len(come) < _PID_BYTES * workers:
        if select.select([here], [], [], _LOOK_S)[0]:
            come += os.read(here, 1 << 16)
        else:
            _complain(futures)
    os.write(go, bytes(workers))
    pids = sorted({future.result() for future in futures})
    if len(pids) != workers:
        raise RuntimeError(f"{len(pids)} workers answered {workers} calls")
    return pids


def _complain(futures: list[Any]) -> None:
    """Raise what went wrong with a call, if something did: then they will never all have come."""
    for future in futures:
        if getattr(future, "done", bool)():
            future.result()


def start(pool: AnyPool, workers: int) -> dict[str, Any]:
    """Time from the constructor to the last worker's first answer."""
    with meeting() as (place, here, go):
        began = time.perf_counter_ns()
        pool.open(workers)
        all_arrive(pool, workers, place, here, go)
        took = time.perf_counter_ns() - began
        method = pool.started_by()
        pool.close()
    return {"ns": took, "method": method}


def memory(pool: AnyPool, workers: int) -> dict[str, Any]:
    """Read what each worker has for itself, before its first call (where the pool starts all at once) and after it."""
    with meeting() as (place, here, go):
        pool.open(workers)
        pool.submit(same, 1).result()
        before = _dirty_of(pool, workers) if pool.name.startswith("drvs") else []
        pids = all_arrive(pool, workers, place, here, go)
        time.sleep(_SETTLE_S)
        after = [private_dirty_kib(pid) for pid in pids]
        pool.close()
    return {"before": sorted(before)[: workers - 1], "after": sorted(after)}


def _dirty_of(pool: AnyPool, workers: int) -> list[int]:
    """The workers of a pool once all of them wait: one of them has had a call, and has the most."""
    deadline = time.monotonic() + _PATIENCE_S
    while len(pool.pids()) < workers and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    time.sleep(_SETTLE_S)
    return [private_dirty_kib(pid) for pid in pool.pids()]


def main(what: str, name: str, workers: str, *image: str) -> None:
    """Measure and print."""
    pool = named(name, *image)
    pool.load()
    print(json.dumps({"start": start, "memory": memory}[what](pool, int(workers))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
