"""Table `heap`: 200 MB of data written into an image and read back.

Into a file that has been written before, as its own pages: the first write to a file also pays for making them, which
is tmpfs's time and not ours; the row `new file` shows it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from drvs.bench.images.programs import HEAP_BYTES, finish, heap
from drvs.bench.images.stage import folder
from drvs.bench.mechanisms.restorers import Drvs, dump_apart, opened
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, copy_row
from drvs.ui.progress import Steps

_GOAL_GB_PER_SECOND = 1.2
NEW, AGAIN, RESTORE = "dump, new file", "dump, written file", "restore"

Results = dict[str, Series]


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return settings.peer_rounds


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {NEW: Series(), AGAIN: Series(), RESTORE: Series()}
    place = folder() / "heap.img"
    with heap(HEAP_BYTES).running() as pid:
        for turn in range(settings.peer_rounds):
            steps.begin(f"200 MB of heap, round {turn + 1}")
            for step in (NEW, AGAIN):
                with opened(place, os.O_RDWR | os.O_CREAT) as fd:
                    start = time.perf_counter_ns()
                    dump_apart(pid, fd)
                    results[step].means.append(time.perf_counter_ns() - start)
            start = time.perf_counter_ns()
            restored = Drvs().restore(place)
            results[RESTORE].means.append(time.perf_counter_ns() - start)
            finish(restored)
            place.unlink()
            steps.done()
    for series in results.values():
        series.singles = [int(mean) for mean in series.means]
    return results


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [
        copy_row(f"drvs ({step})", "tmpfs", HEAP_BYTES, series) | {"table": "heap"} for step, series in results.items()
    ]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about speed."""
    for step in (AGAIN, RESTORE):
        rate = HEAP_BYTES / results[step].mean
        yield Target(f"200 MB of heap, {step}", rate, _GOAL_GB_PER_SECOND, at_most=False, unit=" GB/s")
