"""From measured times to the rows of the results.

Means come from whole batches (the clock is read twice in thousands of calls); percentiles from single calls, each
timed by itself, with the cost of reading the clock taken off (`clock_cost`). The rows of a table that several rounds
went into hold the median of the rounds' means, so that one disturbed round does not count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from drvs.ui.units import percentile

Row = dict[str, Any]


@dataclass
class Series:
    """All rounds of one mechanism in one placement, in nanoseconds a call."""

    means: list[float] = field(default_factory=list)
    singles: list[int] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """The median of the rounds' means."""
        return median(self.means) if self.means else 0.0


def clock_cost() -> int:
    """Return the nanoseconds that reading the clock around a call adds: the median of 10,001 empty measurements."""
    now = time.perf_counter_ns
    empty = []
    for _ in range(10_001):
        start = now()
        empty.append(now() - start)
    return int(median(empty))


def timing_row(table: str, mechanism: str, placement: str, series: Series) -> Row:
    """Return the row of a mechanism: microseconds, and calls a second from the mean."""
    ordered = sorted(series.singles)
    return {
        "table": table,
        "mechanism": mechanism,
        "placement": placement,
        "p50_us": round(percentile(ordered, 0.5) / 1000, 3),
        "mean_us": round(series.mean / 1000, 3),
        "p99_us": round(percentile(ordered, 0.99) / 1000, 3),
        "per_second": round(1e9 / series.mean) if series.mean else 0,
    }


def copy_row(mechanism: str, placement: str, nbytes: int, series: Series) -> Row:
    """Return the row of a copy: as `timing_row`, with its size and GiB a second."""
    row = timing_row("copy", mechanism, placement, series)
    row["size"] = nbytes
    row["gib_per_second"] = round(nbytes / series.mean * 1e9 / (1 << 30), 3) if series.mean else 0.0
    return row


def paired_ratio(ours: Series, theirs: Series) -> float:
    """Return the median over the rounds of our mean divided by theirs in the same round."""
    ratios = [our / their for our, their in zip(ours.means, theirs.means, strict=False) if their > 0]
    return median(ratios) if ratios else 0.0
