"""Table `pause`: how long a live fork holds up the program it copies, by what it says and by what the program sees.

The program looks at the clock all the time and notes the largest gap between two looks. Beside it the pause of a dump
that the program waits for.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass

from drvs.bench.images.programs import HEAP_BYTES, Subject, spinning
from drvs.bench.images.stage import folder
from drvs.bench.mechanisms.restorers import opened
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, timing_row
from drvs.ui.progress import Steps

FORK, SEEN, DUMP = "drvs (live fork)", "drvs (live fork, as the program sees it)", "drvs (dump)"

Results = dict[tuple[str, str], Series]


@dataclass(frozen=True)
class Case:
    """A program, and how long it may be held up."""

    subject: Subject
    most_ms: float


def cases(note: str) -> list[Case]:
    """The programs; they note the largest gap in a file."""
    return [
        Case(spinning("python3 + numpy", note, "import numpy"), 5),
        Case(spinning(f"python3 + {HEAP_BYTES // 1_000_000} MB", note, heap_bytes=HEAP_BYTES), 10),
    ]


def step_count(_settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return 2


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    note = folder() / "gap"
    note.write_bytes(bytes(8))
    with note.open("r+b") as file, mmap.mmap(file.fileno(), 8) as mapped, memoryview(mapped).cast("Q") as gap:
        for case in cases(str(note)):
            steps.begin(f"pause: {case.subject.name}")
            with case.subject.running() as pid:
                for _ in range(settings.peer_rounds):
                    _round(results, case.subject.name, pid, gap)
            steps.done()
    return results


def _round(results: Results, subject: str, pid: int, gap: memoryview) -> None:
    for name, stated in ((FORK, _fork), (DUMP, _dump)):
        gap[0] = 0
        _note(results, (name, subject), stated(pid))
        if name == FORK:
            _note(results, (SEEN, subject), gap[0])


def _fork(pid: int) -> float:
    """Make a template of the running program, but no copy: that would note its own gaps."""
    from drvs.procspace.image.live import template_of

    with template_of(pid, share_files=True) as (_template, done):
        return done.paused_s * 1e9


def _dump(pid: int) -> float:
    from drvs.procspace import image

    with opened(folder() / "pause.img", os.O_RDWR | os.O_CREAT) as fd:
        return image.dump(pid, fd).paused_s * 1e9


def _note(results: Results, key: tuple[str, str], nanoseconds: float) -> None:
    series = results.setdefault(key, Series())
    series.means.append(nanoseconds)
    series.singles.append(int(nanoseconds))


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("pause", name, subject, series) for (name, subject), series in results.items()]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about the pause."""
    for case in cases(""):
        for name in (FORK, SEEN):
            if series := results.get((name, case.subject.name)):
                what = name.removeprefix("drvs (").removesuffix(")")
                yield Target(f"pause of a {what}, {case.subject.name}", series.mean / 1e6, case.most_ms, unit=" ms")
