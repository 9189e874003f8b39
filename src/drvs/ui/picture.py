"""Pictures in plain text: a latency distribution as columns, and bars on a logarithmic scale.

They return lines and know nothing of consoles or colours, so that a test reads them and a pipe takes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drvs.ui.units import percentile, round_duration, significant

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉█"
_TICKS = (1, 2, 5)
_MARKS = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))


@dataclass(frozen=True)
class _Scale:
    """A logarithmic x axis of `width` cells from `low` to `high` nanoseconds."""

    low: float
    high: float
    width: int

    def cell(self, value: float) -> int:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return min(self.width - 1, int(share * self.width))


def _round_down(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return max(tick * decade for tick in _TICKS if tick * decade <= value * 1.0000001)


def _round_up(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return min(tick * decade for tick in (*_TICKS, 10) if tick * decade > value)


def _column(share: float, height: int, unicode: bool) -> str:
    """One column from the top down; a bucket that is not empty shows at least a trace."""
    eighths = max(1, round(share * height * 8)) if share > 0 else 0
    cells = [min(8, max(0, eighths - 8 * row)) for row in range(height)]
    if not unicode:
        return "".join("#" if cell >= 4 else "." if cell else " " for cell in reversed(cells))
    return "".join(_EIGHTHS[cell] for cell in reversed(cells))


def _axis(scale: _Scale, unicode: bool) -> tuple[str, str]:
    """The axis with its ticks, and the labels under it."""
    line = ["─" if unicode else "-"] * scale.width
    labels = [" "] * (scale.width + 10)
    tick, free = scale.low, 0
    while tick <= scale.high * 1.0000001:
        at = scale.cell(tick)
        text = round_duration(tick)
        line[at] = "┬" if unicode else "+"
        if at >= free:
            labels[at : at + len(text)] = text
            free = at + len(text) + 2
        tick = _round_up(tick)
    return "".join(line), "".join(labels).rstrip()


def _marks(ordered: list[float], scale: _Scale, unicode: bool) -> list[str]:
    """The percentile marks under the axis labels: on one line, or two if they would overlap."""
    lines = ["", ""]
    for share, name in _MARKS:
        at = scale.cell(percentile(ordered, share))
        for row, line in enumerate(lines):
            if len(line) < at or not line:
                lines[row] = f"{line:<{at}}{'▲' if unicode else '^'}{name}"
                break
    return [line for line in lines if line]


def histogram(values_ns: Sequence[float], width: int = 72, height: int = 8, unicode: bool = True) -> list[str]:
    """Draw how latencies are distributed: a column per bucket on a logarithmic time axis.

    Args:
        values_ns: latencies in nanoseconds.
        width: cells of the axis.
        height: lines of the highest column.
        unicode: False draws with ASCII alone.

    Returns:
        Lines without trailing blanks: the columns, the axis, its labels, and where the percentiles lie. A bucket that
        holds anything at all shows a trace, so that a tail of one call is seen.
    """
    ordered = sorted(max(value, 1.0) for value in values_ns)
    if not ordered:
        return ["(nothing measured)"]
    scale = _Scale(_round_down(ordered[0]), _round_up(ordered[-1]), max(width, 20))
    counts = [0] * scale.width
    for value in ordered:
        counts[scale.cell(value)] += 1
    columns = [_column(number / max(counts), height, unicode) for number in counts]
    line, labels = _axis(scale, unicode)
    rows = ["".join(column[row] for column in columns).rstrip() for row in range(height)]
    return [*rows, line, labels, *_marks(ordered, scale, unicode)]


@dataclass(frozen=True)
class Bar:
    """One bar: its label, its length on the scale, and what is written behind it."""

    label: str
    value: float
    note: str = ""


def _bar(share: float, width: int, unicode: bool) -> str:
    eighths = max(1, round(share * width * 8))
    if not unicode:
        return "#" * max(1, eighths // 8)
    return _PARTS[8] * (eighths // 8) + (_PARTS[eighths % 8] if eighths % 8 else "")


def bars(entries: Sequence[Bar], width: int = 40, unicode: bool = True) -> list[str]:
    """Draw labelled bars on a logarithmic scale that starts at half of the smallest value.

    Args:
        entries: bars in the order to draw; values above zero.
        width: cells of the longest bar.
        unicode: False draws with ASCII alone.

    Returns:
        One line per bar: label, bar, value or note.
    """
    drawn = [entry for entry in entries if entry.value > 0]
    if not drawn:
        return []
    low, high = min(entry.value for entry in drawn) / 2, max(entry.value for entry in drawn)
    label_width = max(len(entry.label) for entry in drawn)
    lines = []
    for entry in drawn:
        share = math.log(entry.value / low) / math.log(high / low)
        lines.append(
            f"{entry.label:<{label_width}}  {_bar(share, width, unicode)} {entry.note or significant(entry.value)}"
        )
    return lines
