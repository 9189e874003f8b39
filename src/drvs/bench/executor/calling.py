"""Table `calls`: trivial calls, `map`, and arrays, in a warm pool of as many workers as there are CPUs.

drvs, ProcessPoolExecutor and loky take turns; Ray and Dask, whose servers are busy even while nobody calls, come after
them, one at a time.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import repeat
from typing import Any

from drvs.bench.executor.calls import nbytes, same
from drvs.bench.executor.pools import AnyPool, Dask, DrvsPool, Loky, Ray, Standard
from drvs.bench.pair import BenchFailed, Worker
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, paired_ratio, timing_row
from drvs.ui.progress import Steps

ARRAY_BYTES = 16 << 20
CHUNK = 64
CALL, MAP, MAP_CHUNKS, ARRAY = "a trivial call", "map", f"map, chunksize {CHUNK}", "an array of 16 MiB"
STANDARD = "ProcessPoolExecutor (fork)"
WARM_UP = 50

Results = dict[tuple[str, str], Series]
"""By pool and what was asked of it."""


class Caller:
    """The process that calls: it opens the pool and measures."""

    def __init__(self, pool: AnyPool) -> None:
        self.pool = pool

    def open(self, workers: int, items: int) -> None:
        """Start the workers, and see that all three kinds of call work."""
        self.pool.load()
        self.pool.open(workers)
        self.items = range(items)
        self.array = _array(ARRAY_BYTES)
        assert self.pool.submit(nbytes, self.array).result() == ARRAY_BYTES
        assert self.pool.map(same, range(CHUNK)) == list(range(CHUNK))
        for _ in range(WARM_UP):
            self.pool.submit(same, 1).result()

    def close(self) -> None:
        """End them."""
        self.pool.close()

    def call(self, calls: int, clock_cost: int) -> tuple[float, list[int]]:
        """Make calls one after the other: the mean, and each."""
        submit, now, singles = self.pool.submit, time.perf_counter_ns, []
        start = now()
        for _ in repeat(None, calls):
            submit(same, 1).result()
        mean = (now() - start) / calls
        for _ in repeat(None, calls):
            start = now()
            submit(same, 1).result()
            singles.append(now() - start - clock_cost)
        return mean, singles

    def map(self, **options: int) -> tuple[float, list[int]]:
        """Make calls by `map`: the mean."""
        start = time.perf_counter_ns()
        answers = self.pool.map(same, self.items, **options)
        mean = (time.perf_counter_ns() - start) / len(self.items)
        assert len(answers) == len(self.items)
        return mean, [int(mean)]

    def map_chunks(self) -> tuple[float, list[int]]:
        """Make calls by `map` in chunks of one size."""
        return self.map(chunksize=CHUNK)

    def send_array(self, calls: int) -> tuple[float, list[int]]:
        """Make calls with an array: the mean, and each."""
        singles = []
        for _ in repeat(None, calls):
            start = time.perf_counter_ns()
            self.pool.submit(nbytes, self.array).result()
            singles.append(time.perf_counter_ns() - start)
        return sum(singles) / len(singles), singles


def _array(size: int) -> Any:
    """An array of numpy's, or one of Python's own where there is none."""
    try:
        import numpy as np
    except ImportError:
        return array("B", bytes(size))
    return np.ones(size, dtype=np.uint8)


def in_turns(settings: Settings) -> list[AnyPool]:
    """Return the pools that take turns."""
    return _present([DrvsPool(), Standard("fork"), Loky()], settings)


def one_by_one(settings: Settings) -> list[AnyPool]:
    """Return the others."""
    return _present([Dask(), Ray()], settings)


def _present(pools: Sequence[AnyPool], settings: Settings) -> list[AnyPool]:
    for pool in pools:
        if reason := pool.missing():
            settings.skipped[pool.name] = reason
    return [pool for pool in pools if pool.name not in settings.skipped]


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return settings.peer_rounds + 2


@contextmanager
def caller(pool: AnyPool, settings: Settings) -> Iterator[Worker]:
    """Have a process with a pool of its own."""
    cpus = os.sched_getaffinity(0)
    worker = Worker(Caller(pool), cpus, pool.name)
    try:
        worker.do("open", len(cpus), settings.map_calls)
        yield worker
        worker.do("close")
    finally:
        worker.close()


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    with ExitStack() as stack:
        workers = {}
        for pool in in_turns(settings):
            try:
                workers[pool.name] = stack.enter_context(caller(pool, settings))
            except BenchFailed as error:
                settings.skipped[pool.name] = str(error)
        for turn in range(settings.peer_rounds):
            steps.begin(f"calls, round {turn + 1}")
            for name, worker in workers.items():
                _round(results, name, worker, settings)
            steps.done()
    for pool in one_by_one(settings):
        steps.begin(f"calls of {pool.name}")
        try:
            with caller(pool, settings) as worker:
                for _ in range(3):
                    _round(results, pool.name, worker, settings)
        except BenchFailed as error:
            settings.skipped[pool.name] = str(error)
        steps.done()
    return results


def _round(results: Results, name: str, worker: Worker, settings: Settings) -> None:
    slow = name in (Ray.name, Dask.name)  # milliseconds a call: fewer of them say as much
    calls = settings.singles // 10 if slow else settings.singles
    asked: list[tuple[str, tuple[object, ...]]] = [
        (CALL, ("call", calls, settings.clock_cost)),
        (MAP, ("map",)),
        (ARRAY, ("send_array", 5)),
    ]
    if not slow:
        asked.append((MAP_CHUNKS, ("map_chunks",)))
    for what, (method, *arguments) in asked:
        mean, singles = worker.do(str(method), *arguments)
        series = results.setdefault((name, what), Series())
        series.means.append(mean)
        series.singles += singles


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    found = [timing_row("calls", name, what, series) for (name, what), series in results.items()]
    for row, series in zip(found, results.values(), strict=True):
        if row["placement"] == ARRAY:
            row |= {"size": ARRAY_BYTES, "gib_per_second": round(ARRAY_BYTES / series.mean * 1e9 / (1 << 30), 3)}
    return found


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about calls."""
    for what, bound in ((CALL, 0.3), (MAP, 5.0), (ARRAY, 3.0)):
        ours, theirs = results.get(("drvs", what)), results.get((STANDARD, what))
        if not ours or not theirs:
            continue
        ratio = paired_ratio(ours, theirs)
        if what == CALL:
            yield Target("a trivial call: drvs / ProcessPoolExecutor", ratio, bound)
        elif what == MAP:
            yield Target("calls a second by map: drvs / ProcessPoolExecutor", 1 / ratio, bound, at_most=False)
        else:
            yield Target("a 16 MiB array: ProcessPoolExecutor / drvs", 1 / ratio, bound, at_most=False)
