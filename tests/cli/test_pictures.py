"""Pictures and numbers for people: what they show, and that they fit."""

import random

import pytest

from drvs.ui.picture import Bar, bars, histogram
from drvs.ui.units import count, duration, percentile, round_duration, significant, size


def latencies() -> list[float]:
    """A distribution with a long tail, the same in every run."""
    dice = random.Random(1)
    return [dice.lognormvariate(11, 0.4) for _ in range(5000)] + [9e6]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.2143, "0.214"), (4.529, "4.53"), (43.21, "43.2"), (1240, "1,240")]
)
def test_three_digits_carry_meaning(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(("ns", "text"), [(25, "25.0 ns"), (4530, "4.53 us"), (12.3e6, "12.3 ms"), (2.5e9, "2.50 s")])
def test_times_come_in_their_unit(ns: float, text: str) -> None:
    assert duration(ns) == text


def test_sizes_counts_and_axis_labels() -> None:
    assert (size(512), size(4096), size(31 << 20)) == ("512 B", "4.00 KiB", "31.0 MiB")
    assert count(13_600) == "13,600"
    assert (round_duration(20_000), round_duration(5e6), round_duration(1)) == ("20 us", "5 ms", "1 ns")


def test_percentiles_of_a_sorted_list() -> None:
    ordered = list(range(1000))
    assert [percentile(ordered, share) for share in (0, 0.5, 0.99, 1)] == [0, 500, 990, 999]
    assert percentile([], 0.5) == 0


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", [20, 72, 120])
def test_a_histogram_fits_and_shows_its_tail(width: int, unicode: bool) -> None:
    drawn = histogram(latencies(), width, 8, unicode)
    columns, axis, labels, marks = drawn[:8], drawn[8], drawn[9], drawn[10]
    assert max(map(len, columns)) <= len(axis) == width
    assert columns[-1][-3:].strip(), "the one slow call leaves a trace at the right end"
    assert labels.startswith("10 us")
    assert "p50" in marks
    assert unicode or all(line.isascii() for line in drawn)


def test_the_highest_column_is_where_most_calls_are() -> None:
    top = histogram([1e4] * 90 + [1e6] * 10, 40, 6)[0]
    assert top.strip() == "█"
    assert top.index("█") == 0


@pytest.mark.parametrize("values", [[], [0.0], [100.0], [5.0, 5.0, 5.0]])
def test_a_histogram_of_little_is_drawn_too(values: list[float]) -> None:
    assert histogram(values, 30, 4)


def test_bars_grow_with_the_logarithm() -> None:
    lines = bars([Bar("ours", 0.25, "0.25 us"), Bar("pipe", 40.0, "40 us"), Bar("none", 0.0)], 40, unicode=False)
    assert [line.split()[0] for line in lines] == ["ours", "pipe"]
    assert 1 <= lines[0].count("#") < 8 < lines[1].count("#") == 40
    assert lines[1].endswith("40 us")
