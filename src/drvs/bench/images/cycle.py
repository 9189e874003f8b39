"""Table `cycle`: a program put aside and brought back, by drvs and CRIU in turns.

The time of a dump ends when the dumped process and its dumper have ended, that of a restore when the call returns, the
program being at work again; that it is at work is checked each time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from drvs.bench.images.programs import Subject, bare, finish, numpy, static_c
from drvs.bench.images.stage import folder
from drvs.bench.mechanisms.restorers import Restorer, restorers
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, paired_ratio, timing_row
from drvs.ui.progress import Steps

BOTH = "dump + restore"
STEPS = ("dump", "restore", BOTH)
OURS, HELPED = "drvs", "drvs, forked dumper"

Results = dict[tuple[str, str, str], Series]
"""By mechanism, step and program."""


def subjects(place: Path, settings: Settings) -> list[Subject]:
    """Return the programs that can be put aside here."""
    compiled = static_c(place)
    if compiled is None:
        settings.skipped["static C"] = "there is no gcc to compile it with"
    return [bare(), numpy(), *([compiled] if compiled else [])]


def present(settings: Settings) -> list[Restorer]:
    """Return the ways that exist here; the others are noted in `settings.skipped`."""
    found = []
    for restorer in restorers():
        if reason := restorer.missing():
            settings.skipped[restorer.name] = reason
        else:
            found.append(restorer)
    return found


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return settings.peer_rounds * 3


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    ways, programs = present(settings), subjects(folder(), settings)
    once(ways[0], bare(), folder() / "cycle.img")  # what the first call imports is not measured
    for turn in range(settings.peer_rounds):
        for subject in programs:
            steps.begin(f"dump and restore: {subject.name}, round {turn + 1}")
            for way in _in_turns(ways, turn):
                _note(results, way, subject, once(way, subject, folder() / "cycle.img"))
            steps.done()
    return results


def _in_turns(ways: Sequence[Restorer], turn: int) -> Iterator[Restorer]:
    """Each round begins with another one."""
    for index in range(len(ways)):
        yield ways[(index + turn) % len(ways)]


def once(way: Restorer, subject: Subject, place: Path) -> tuple[int, int]:
    """Put a program aside and bring it back once; nanoseconds of both."""
    program = subject.start()
    try:
        start = time.perf_counter_ns()
        way.dump(program.pid, place)
        program.wait()
        dumped = time.perf_counter_ns()
    finally:
        program.kill()
        program.wait()
    try:
        again = time.perf_counter_ns()
        pid = way.restore(place)
        restored = time.perf_counter_ns()
        finish(pid)
    finally:
        way.clear(place)
    return dumped - start, restored - again


def _note(results: Results, way: Restorer, subject: Subject, times: tuple[int, int]) -> None:
    for step, nanoseconds in zip(STEPS, (*times, sum(times)), strict=True):
        series = results.setdefault((way.name, step, subject.name), Series())
        series.means.append(nanoseconds)
        series.singles.append(nanoseconds)


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("cycle", f"{way} ({step})", subject, series) for (way, step, subject), series in results.items()]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about dump and restore: for the call, whose helper is a thread, and for a forked dumper."""
    for subject, most in (("python3", 20), ("static C", 6)):
        for way in (OURS, HELPED):
            if series := results.get((way, BOTH, subject)):
                yield Target(f"{way}: dump + restore, {subject}", series.mean / 1e6, most, unit=" ms")
    ours = results.get((HELPED, BOTH, "python3"))
    for (way, step, subject), theirs in results.items():
        if ours and way.endswith("swrk") and (step, subject) == (BOTH, "python3"):
            yield Target(f"{way} / {HELPED}, dump + restore, python3", 1 / paired_ratio(ours, theirs), 4, at_most=False)
