"""Table `start`: from the constructor to the first answer of the last worker, with numpy imported in all of them.

All are asked at the same time, and none answers before all have come, so that the calls are answered by as many
workers as there are. Each is measured in an interpreter of its own, in turns; Ray and Dask once, since they take a
minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from drvs.bench.executor.pools import named
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, paired_ratio, timing_row
from drvs.ui.progress import Steps

FROM_IMAGE = "drvs from an image file"
IN_TURNS = ("drvs", FROM_IMAGE, "forkserver", "spawn", "loky")
ONCE = ("dask", "ray")
PATIENCE_S = 300.0

Results = dict[str, Series]


def alone(what: str, *words: object) -> dict[str, object]:
    """Have something measured by a fresh interpreter.

    Raises:
        RuntimeError: it failed; the end of what it said.
    """
    command = [sys.executable, "-m", "drvs.bench.executor.alone", what, *map(str, words)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {PATIENCE_S:.0f} s") from None
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def pools(names: tuple[str, ...], settings: Settings) -> list[str]:
    """Return those of the pools that are here; the others are noted in `settings.skipped`."""
    found = []
    for name in names:
        pool = named("drvs" if name == FROM_IMAGE else name)
        if reason := pool.missing() or (None if find_spec("numpy") else "numpy is not installed"):
            settings.skipped[pool.name] = reason
        else:
            found.append(name)
    return found


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(IN_TURNS) * settings.start_rounds + len(ONCE)


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="drvs-bench-", dir="/dev/shm") as folder:
        image = Path(folder) / "warm.img"
        names = pools(IN_TURNS, settings)
        for turn in range(settings.start_rounds):
            for name in names:
                _measure_one(results, name, image, settings, steps, f"round {turn + 1}")
        for name in pools(ONCE, settings):
            _measure_one(results, name, image, settings, steps, "once")
    return results


def _measure_one(results: Results, name: str, image: Path, settings: Settings, steps: Steps, when: str) -> None:
    if name in settings.skipped:
        return
    steps.begin(f"start of {settings.workers} workers: {name}, {when}")
    try:
        words = ("drvs", settings.workers, image) if name == FROM_IMAGE else (name, settings.workers)
        if name == FROM_IMAGE and not image.exists():
            alone("start", *words)  # which makes it
        found = alone("start", *words)
        if found["method"] not in ("", "image"):
            raise RuntimeError(f"its workers start by {found['method']} here, not from an image")
        nanoseconds = int(str(found["ns"]))
    except RuntimeError as error:
        settings.skipped[name] = str(error)
        return
    series = results.setdefault(name, Series())
    series.means.append(nanoseconds)
    series.singles.append(nanoseconds)
    steps.done()


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("start", name, "numpy imported", series) for name, series in results.items()]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about starting."""
    ours, image, server, spawn = (results.get(name) for name in (*IN_TURNS[:3], "spawn"))
    if ours and spawn:
        yield Target("start: spawn / drvs", 1 / paired_ratio(ours, spawn), 12, at_most=False)
    if ours and server:
        yield Target("start: drvs / forkserver", paired_ratio(ours, server), 1)
    if image:
        yield Target("start from an image file", image.mean / 1e6, 120, unit=" ms")
    if image and server:
        yield Target("start from an image file / forkserver", paired_ratio(image, server), 0.5)
