"""The tables of `drvs bench local`, and the node of its own in which they are measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from drvs.base.limits import NR_PROCS
from drvs.bench import copying, fanin, footprint, report, roundtrip, scale, targets
from drvs.bench import run as runner
from drvs.bench.mechanisms.ours import VM_NAME
from drvs.bench.run import Run, Table
from drvs.bench.settings import Settings

SPARE_SLOTS = 100
"""Slots of the crowd's VM beyond the crowd."""

TABLES = {  # memory before scale: a crowd of 30,000 leaves noded larger than it is for others
    "roundtrip": Table(
        roundtrip.step_count, roundtrip.measure, roundtrip.rows, targets.of_roundtrip, report.roundtrip_tables
    ),
    "copy": Table(copying.step_count, copying.measure, copying.rows, targets.of_copy, report.copy_table),
    "fanin": Table(
        fanin.step_count, fanin.measure, fanin.rows, targets.of_fanin, partial(report.timing_table, "fanin")
    ),
    "memory": Table(footprint.step_count, footprint.measure, footprint.rows, targets.of_memory, report.memory_table),
    "scale": Table(
        scale.step_count, scale.measure, scale.rows, targets.of_scale, partial(report.timing_table, "scale")
    ),
}


@contextmanager
def _stage(tables: Sequence[str], settings: Settings) -> Iterator[None]:
    """A node with the VMs that the tables use."""
    from drvs.demo.scratch import scratch_node

    crowd = "scale" in tables
    with scratch_node("bench", nr_procs=settings.endpoints + SPARE_SLOTS if crowd else NR_PROCS) as node:
        node.create_vm(VM_NAME, nr_procs=NR_PROCS)
        if crowd:
            node.create_vm(scale.CROWD_VM)
        yield


def run(tables: Sequence[str], settings: Settings) -> Run:
    """Measure tables (names out of TABLES) in a node of their own, which is gone when this returns."""
    return runner.run(TABLES, tables, settings, _stage(tables, settings))
