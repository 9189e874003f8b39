"""Table `memory`: what the proxies cost while nothing happens, and what a node with many peers needs."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import drvs
from drvs.base.limits import LINK_SPIN_US
from drvs.bench import footprint
from drvs.bench.cluster import sites
from drvs.bench.cluster.pairs import Program
from drvs.bench.cluster.watcher import proxies_pid
from drvs.bench.footprint import Figure, private_mib
from drvs.bench.pair import PATIENCE_S, BenchFailed
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row
from drvs.ui.progress import Steps

if TYPE_CHECKING:
    from drvs.cluster.config import Cluster

QUIET_S = 2.0
"""Seconds until a new lab has calmed down."""
PORT = 7499


def _idle(settings: Settings) -> list[Figure]:
    with sites.start(sites.Site(), 3) as lab:
        watcher = Program(lab, 0, "drive", "watcher", 0)
        try:
            watcher.do("open")
            time.sleep(QUIET_S)
            share = watcher.do("idle", 2 * settings.idle_s)
        finally:
            watcher.close()
    return [Figure(f"idle proxies of a node of three (spin {LINK_SPIN_US} us), of one core", share * 100, "%", 0.1)]


# ---- many peers --------------------------------------------------------------------------------------------------


def crowded(count: int) -> Cluster:
    """A cluster of `count` nodes and one more, whose number is the highest, on loopback addresses."""
    from drvs.cluster import config

    def address(number: int) -> str:
        return f"tcp://127.{78 + number // 65536}.{number // 256 % 256}.{number % 256}:{PORT}"

    entries = tuple(config.NodeEntry(number, f"node{number}", address(number + 1)) for number in range(count + 1))
    return config.Cluster(config.Settings(name="bench", insecure=True), entries)


@contextmanager
def _node_of_many(count: int) -> Iterator[tuple[drvs.Node, str]]:
    """A node that has `count` peers in its cluster file."""
    from drvs.cluster import config
    from drvs.daemon import launch

    with tempfile.TemporaryDirectory(prefix="drvs-bench-") as folder:
        file, run = os.path.join(folder, "cluster.toml"), os.path.join(folder, "run")
        Path(file).write_text(config.dumps(crowded(count)))
        launch.up(run, node=count, size={"nr_nodes": count + 1}, links=["--cluster", file, "--insecure"])
        try:
            with drvs.connect(run) as node:
                yield node, file
        finally:
            launch.down(run)


def _peers(settings: Settings) -> list[Figure]:
    count = settings.peers
    with _node_of_many(count) as (node, file):
        command = [sys.executable, "-P", "-m", "drvs.bench.cluster.neighbours", file, str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as crowd:
            try:
                assert crowd.stdout is not None
                heard, _, _ = select.select([crowd.stdout], [], [], PATIENCE_S)
                if not heard or crowd.stdout.readline() != "ready\n":
                    raise BenchFailed("the neighbours could not connect")
                parts = (int(node.client.call("hello")["pid"]), proxies_pid(node))
                whole = sum(private_mib(pid) for pid in parts)
            finally:
                crowd.kill()
    return [Figure(f"a node with {count:,} connected peers: noded and proxies, private memory", whole, "MiB", 100)]


# ---- the table -----------------------------------------------------------------------------------------------------

_PARTS = (("idle proxies", _idle), ("many peers", _peers))


def step_count(_settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(_PARTS)


def measure(settings: Settings, steps: Steps) -> list[Figure]:
    """Measure the table."""
    return footprint.measure_parts(_PARTS, "cost of the cluster", settings, steps)


def rows(figures: list[Figure]) -> list[Row]:
    """Return the rows of the results."""
    return footprint.rows(figures)


def targets(figures: list[Figure]) -> Iterator[Target]:
    """Return the promises about cost."""
    return footprint.promises(figures)
