"""A whole run of a benchmark: the tables asked for, one after the other, their rows and promises, shown and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drvs.bench import report
from drvs.bench.machine import describe
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row
from drvs.ui.progress import Steps, steps

BUSY_LOAD = 0.7
"""Load average at the start above which a run says that it was disturbed."""

Measure = Callable[[Settings, Steps], Any]


@dataclass(frozen=True)
class Table:
    """One question: how to measure it, how results become rows, what was promised of them, how a person sees them."""

    steps: Callable[[Settings], int]
    measure: Measure
    rows: Callable[[Any], list[Row]]
    targets: Callable[[Any], Iterator[Target]]
    show: Callable[[Sequence[Row]], None]


@dataclass
class Run:
    """What a run gave."""

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def of(self, table: str) -> list[Row]:
        """Return the rows of one table."""
        return [row for row in self.rows if row["table"] == table]


def run(
    tables: Mapping[str, Table], names: Sequence[str], settings: Settings, stage: AbstractContextManager[object]
) -> Run:
    """Measure tables.

    Args:
        tables: those of a benchmark, by name.
        names: which of them.
        settings: how long to measure.
        stage: what they need around them; it is gone when this returns.
    """
    found = Run(describe() | {"clock_cost_ns": settings.clock_cost, "quick": settings.quick})
    with stage, steps(sum(tables[name].steps(settings) for name in names)) as progress:
        for name in names:
            table = tables[name]
            results = table.measure(settings, progress)
            found.rows += table.rows(results)
            found.targets += table.targets(results)
    found.machine["skipped"] = settings.skipped
    return found


def show(found: Run, tables: Mapping[str, Table]) -> None:
    """Print a run for a person."""
    from drvs.ui.console import out

    console = out()
    for name, table in tables.items():
        if rows := found.of(name):
            table.show(rows)
            console.print()
    report.targets_table(found.targets)
    console.print()
    machine = found.machine
    console.print(
        f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, Python {machine['python']}, "
        f"drvs {machine['drvs']} {machine['commit']}",
        style="quiet",
        markup=False,
    )
    if machine["load"] > BUSY_LOAD:
        console.print(f"[warn]The machine was busy[/] (load {machine['load']}): means and ratios are worth little.")
    for line in report.skipped_lines(machine["skipped"]):
        console.print(line, style="quiet", markup=False)


def write(found: Run, path: Path) -> Path:
    """Write the rows to `path` and machine, commit and promises beside it (NAME.meta.json), whose path is returned."""
    path.write_text(json.dumps(found.rows, indent=1) + "\n")
    meta = path.with_suffix(".meta.json")
    promises = [
        {"figure": t.what, "value": round(t.value, 4), "wanted": t.wanted, "reached": t.reached} for t in found.targets
    ]
    meta.write_text(json.dumps(found.machine | {"targets": promises}, indent=1) + "\n")
    return meta
