"""A whole run of `drvs bench local`: a node of its own, the tables asked for, their rows, tables and promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drvs.api.node import Node
from drvs.base.limits import NR_PROCS
from drvs.bench import copying, fanin, footprint, report, roundtrip, scale, targets
from drvs.bench.machine import describe
from drvs.bench.mechanisms.ours import VM_NAME
from drvs.bench.settings import Settings
from drvs.bench.stats import Row
from drvs.bench.targets import Target
from drvs.ui.progress import Steps, steps

SPARE_SLOTS = 100
"""Slots of the crowd's VM beyond the crowd."""

BUSY_LOAD = 0.7
"""Load average at the start above which a run says that it was disturbed."""

Measure = Callable[[Settings, Steps], Any]


@dataclass(frozen=True)
class Table:
    """One question: how to measure it, how its results become rows, and what was promised of them."""

    steps: Callable[[Settings], int]
    measure: Measure
    rows: Callable[[Any], list[Row]]
    targets: Callable[[Any], Iterator[Target]]


TABLES = {  # memory before scale: a crowd of 30,000 leaves noded larger than it is for others
    "roundtrip": Table(roundtrip.step_count, roundtrip.measure, roundtrip.rows, targets.of_roundtrip),
    "copy": Table(copying.step_count, copying.measure, copying.rows, targets.of_copy),
    "fanin": Table(fanin.step_count, fanin.measure, fanin.rows, targets.of_fanin),
    "memory": Table(footprint.step_count, footprint.measure, footprint.rows, targets.of_memory),
    "scale": Table(scale.step_count, scale.measure, scale.rows, targets.of_scale),
}


@dataclass
class Run:
    """What a run gave."""

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def of(self, table: str) -> list[Row]:
        """Return the rows of one table."""
        return [row for row in self.rows if row["table"] == table]


def _prepare(node: Node, tables: Sequence[str], settings: Settings) -> None:
    """Make the VMs the tables use."""
    node.create_vm(VM_NAME, nr_procs=NR_PROCS)
    if "scale" in tables:
        node.create_vm(scale.CROWD_VM)


def _procs(tables: Sequence[str], settings: Settings) -> int:
    """How many processes a VM of the node may have."""
    return settings.endpoints + SPARE_SLOTS if "scale" in tables else NR_PROCS


def run(tables: Sequence[str], settings: Settings) -> Run:
    """Measure the tables in a node of their own, which is gone when this returns.

    Args:
        tables: names out of TABLES.
        settings: how long to measure.
    """
    from drvs.demo.scratch import scratch_node

    found = Run(describe() | {"clock_cost_ns": settings.clock_cost, "quick": settings.quick})
    total = sum(TABLES[name].steps(settings) for name in tables)
    with scratch_node("bench", nr_procs=_procs(tables, settings)) as node, steps(total) as progress:
        _prepare(node, tables, settings)
        for name in tables:
            table = TABLES[name]
            results = table.measure(settings, progress)
            found.results[name] = results
            found.rows += table.rows(results)
            found.targets += table.targets(results)
    found.machine["skipped"] = settings.skipped
    return found


def show(found: Run) -> None:
    """Print a run for a person."""
    from drvs.ui.console import out

    console = out()
    for name, results in found.results.items():
        if name == "memory":
            report.memory_table(results)
        else:
            report.show_table(name, found.of(name))
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
