"""The tables of `drvs bench cluster`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from drvs.bench import report
from drvs.bench import run as runner
from drvs.bench.cluster import callers, cost, histories, links, stream
from drvs.bench.run import Run, Table
from drvs.bench.settings import Settings
from drvs.demo.scratch import endings_interrupt

TABLES = {
    "links": Table(links.step_count, links.measure, links.rows, links.targets, partial(report.timing_table, "links")),
    "callers": Table(
        callers.step_count, callers.measure, callers.rows, callers.targets, partial(report.timing_table, "callers")
    ),
    "stream": Table(stream.step_count, stream.measure, stream.rows, stream.targets, report.copy_table),
    "memory": Table(cost.step_count, cost.measure, cost.rows, cost.targets, report.memory_table),
    "simulation": Table(
        histories.step_count, histories.measure, histories.rows, histories.targets, report.simulation_table
    ),
}


def run(tables: Sequence[str], settings: Settings) -> Run:
    """Measure tables (names out of TABLES), each in labs of its own, which are gone when this returns."""
    return runner.run(TABLES, tables, settings, endings_interrupt())
