"""Table `copies`: how many copies a second a template makes; and `memory`: what a copy has for itself at its start.

The image is restored once, before the clock runs; a copy counts when it runs. Beside it the same C program started
anew as often by posix_spawn, and Python by subprocess.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from drvs.bench.dirty import private_dirty_kib
from drvs.bench.footprint import Figure
from drvs.bench.images.cycle import subjects
from drvs.bench.images.programs import Subject, finish
from drvs.bench.images.stage import folder
from drvs.bench.mechanisms.restorers import dump_apart, opened
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, timing_row
from drvs.ui.progress import Steps

if TYPE_CHECKING:
    from drvs.procspace.image import Template

COPIES = {"static C": 256, "python3": 64, "python3 + numpy": 64}
"""Of one round."""
OURS, SPAWN = "drvs (copy)", "posix_spawn"
_COPIES_A_SECOND = 2000

Results = dict[tuple[str, str], Series]
"""By way and program."""


def step_count(_settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(COPIES)


@contextmanager
def template(subject: Subject) -> Iterator[Template]:
    """Have a template of a program."""
    from drvs.procspace import image

    place = folder() / "copies.img"
    with opened(place, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as fd:
        with subject.running() as pid:
            dump_apart(pid, fd)
        os.lseek(fd, 0, os.SEEK_SET)
        with image.Template(fd) as made:
            yield made


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    for subject in subjects(folder(), settings):
        steps.begin(f"copies: {subject.name}")
        with template(subject) as made:
            count = min(COPIES[subject.name], settings.copies)
            ways: dict[str, Callable[[], Iterable[int]]] = {
                OURS: lambda made=made, count=count: made.copies(count),  # type: ignore[misc]
                SPAWN: lambda subject=subject, count=count: _spawned(subject, count),  # type: ignore[misc]
            }
            for _ in range(settings.peer_rounds):
                for way, make in ways.items():
                    series = results.setdefault((way, subject.name), Series())
                    _round(series, make)
        steps.done()
    return results


def _round(series: Series, make: Callable[[], Iterable[int]]) -> None:
    """Make them, and see that the last one is at work; nanoseconds of one."""
    start = time.perf_counter_ns()
    pids = list(make())
    each = (time.perf_counter_ns() - start) // len(pids)
    series.means.append(each)
    series.singles.append(each)
    end(pids[:-1])
    finish(pids[-1])


def _spawned(subject: Subject, count: int) -> list[int]:
    """Start the program anew; it has said that it is ready."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1)]
    command = list(subject.command)
    pids = [os.posix_spawn(command[0], command, os.environ, file_actions=actions) for _ in range(count)]
    os.close(writer)
    with open(reader, "rb") as said:
        said.read()  # until the last one has let go of its streams
    return pids


def end(pids: Iterable[int]) -> None:
    """Kill children and collect them."""
    pids = list(pids)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("copies", way, subject, series) for (way, subject), series in results.items()]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promise about copies."""
    if series := results.get((OURS, "static C")):
        yield Target("copies a second of a C program", 1e9 / series.mean, _COPIES_A_SECOND, at_most=False)


# ---- memory ----------------------------------------------------------------------------------------------------------


def memory_step_count(_settings: Settings) -> int:
    """Return how many steps of progress the memory table takes."""
    return 1


def measure_memory(settings: Settings, steps: Steps) -> list[Figure]:
    """Measure the memory table: the median of some copies that have just been started."""
    figures = []
    steps.begin("memory of copies")
    for subject in subjects(folder(), settings):
        with template(subject) as made:
            pids = list(made.copies(8))
            kib = median(map(private_dirty_kib, pids))
            end(pids)
        figures.append(Figure(f"Private_Dirty of a copy at its start, {subject.name}", kib, "KiB"))
    steps.done()
    return figures
