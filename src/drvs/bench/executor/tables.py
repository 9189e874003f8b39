"""The tables of `drvs bench executor`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from drvs.bench import report
from drvs.bench import run as runner
from drvs.bench.executor import calling, memory, start
from drvs.bench.run import Run, Table
from drvs.bench.settings import Settings
from drvs.demo.scratch import endings_interrupt

TABLES = {
    "start": Table(
        start.step_count, start.measure, start.rows, start.targets, partial(report.milliseconds_table, "start")
    ),
    "calls": Table(
        calling.step_count, calling.measure, calling.rows, calling.targets, partial(report.timing_table, "calls")
    ),
    "memory": Table(memory.step_count, memory.measure, memory.rows, memory.targets, report.memory_table),
}


def run(tables: Sequence[str], settings: Settings) -> Run:
    """Measure tables (names out of TABLES)."""
    return runner.run(TABLES, tables, settings, endings_interrupt())
