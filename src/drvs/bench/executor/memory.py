"""Table `memory`: what a worker with numpy has for itself, before its first call and after a trivial one.

Private_Dirty, of the worker that has the most.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from drvs.bench.executor.start import alone, pools
from drvs.bench.footprint import Figure
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row
from drvs.ui.progress import Steps

POOLS = ("drvs", "forkserver", "spawn")
_MOST = {"before its first call": 1.0, "after a trivial call": 3.0}

Results = list[tuple[str, Figure]]
"""With the pool each belongs to."""


def step_count(_settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(POOLS)


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = []
    for name in pools(POOLS, settings):
        steps.begin(f"memory of {settings.workers} workers: {name}")
        try:
            results += _of_one(name, settings.workers)
        except RuntimeError as error:
            settings.skipped[f"{name}, memory"] = str(error)
        steps.done()
    return results


def _of_one(name: str, workers: int) -> Results:
    found = alone("memory", name, workers)
    results: Results = []
    for key, when in zip(("before", "after"), _MOST, strict=True):
        kib = found[key]
        if isinstance(kib, list) and kib:
            most = _MOST[when] if name == "drvs" else None
            results.append((name, Figure(f"a worker with numpy {when}, the most", max(kib) / 1024, "MiB", most)))
            results.append((name, Figure(f"a worker with numpy {when}, median", median(kib) / 1024, "MiB")))
    return results


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [
        {
            "table": "memory",
            "mechanism": f"{name}: {figure.name}",
            "placement": "",
            "value": round(figure.value, 4),
            "unit": figure.unit,
        }
        for name, figure in results
    ]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about memory."""
    for _name, figure in results:
        if figure.most is not None:
            yield Target(figure.name, figure.value, figure.most, unit=f" {figure.unit}")
