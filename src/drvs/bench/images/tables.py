"""The tables of `drvs bench images`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from drvs.bench import footprint, report, targets
from drvs.bench import run as runner
from drvs.bench.images import copies, cycle, heap, pause
from drvs.bench.images.stage import stage
from drvs.bench.run import Run, Table
from drvs.bench.settings import Settings

TABLES = {
    "cycle": Table(
        cycle.step_count, cycle.measure, cycle.rows, cycle.targets, partial(report.milliseconds_table, "cycle")
    ),
    "heap": Table(heap.step_count, heap.measure, heap.rows, heap.targets, report.copy_table),
    "copies": Table(
        copies.step_count, copies.measure, copies.rows, copies.targets, partial(report.timing_table, "copies")
    ),
    "pause": Table(
        pause.step_count, pause.measure, pause.rows, pause.targets, partial(report.milliseconds_table, "pause")
    ),
    "memory": Table(
        copies.memory_step_count, copies.measure_memory, footprint.rows, targets.of_memory, report.memory_table
    ),
}


def run(tables: Sequence[str], settings: Settings) -> Run:
    """Measure tables (names out of TABLES) in a directory of their own, which is gone when this returns."""
    return runner.run(TABLES, tables, settings, stage())
