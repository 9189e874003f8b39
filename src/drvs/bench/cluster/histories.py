"""Table `simulation`: the CPU time of a simulated history, with five nodes and with a thousand (`drvs sim`)."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from drvs.bench import footprint
from drvs.bench.footprint import Figure
from drvs.bench.pair import BenchFailed
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row
from drvs.sim import Options, run
from drvs.sim.options import ENDLESS
from drvs.ui.progress import Steps

#: What was promised of a thousand nodes is of that many messages.
NODES, MESSAGES = 1000, 100_000
MOST_S, MOST_EACH_S = 20, 0.3
#: Histories of many nodes.
LARGE = 3


def _cpu_s(seed: int, options: Options) -> float:
    result = run(seed, options)
    if result.violation:
        raise BenchFailed(f"{result.command}: {result.violation}")
    return result.cpu_s


def _small(settings: Settings) -> list[Figure]:
    mean = fmean(_cpu_s(seed, Options()) for seed in range(settings.histories))
    return [Figure("a history of five nodes, of one core", mean, "s", MOST_EACH_S)]


def _large(settings: Settings) -> list[Figure]:
    nodes, messages = settings.history_nodes, settings.history_messages
    options = Options(nodes=nodes, messages=messages, events=ENDLESS)
    taken = fmean(_cpu_s(seed, options) for seed in range(LARGE))  # what the links of a history lose makes a difference
    promised = (nodes, messages) == (NODES, MESSAGES)
    name = f"a history of {nodes:,} nodes and {messages:,} messages, of one core, mean of {LARGE}"
    return [Figure(name, taken, "s", MOST_S if promised else None)]


_PARTS = (("five nodes", _small), ("many nodes", _large))


def step_count(_settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(_PARTS)


def measure(settings: Settings, steps: Steps) -> list[Figure]:
    """Measure the table."""
    return footprint.measure_parts(_PARTS, "simulation", settings, steps)


def rows(figures: list[Figure]) -> list[Row]:
    """Return the rows of the results."""
    return [row | {"table": "simulation"} for row in footprint.rows(figures)]


def targets(figures: list[Figure]) -> Iterator[Target]:
    """Return the promises about histories."""
    return footprint.promises(figures)
