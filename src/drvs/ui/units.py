"""Numbers as people read them: times, sizes, rates. Three significant digits, unit last."""

from __future__ import annotations

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def significant(value: float, digits: int = 3) -> str:
    """Write a number with `digits` significant digits and no exponent.

    Args:
        value: any finite number.
        digits: how many digits carry meaning.

    Returns:
        For example "0.214", "4.53", "1,240".
    """
    if value == 0:
        return "0"
    before = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:,.{min(digits, max(digits - before, 0))}f}"


def duration(ns: float) -> str:
    """Write nanoseconds in the unit that suits them, as in "4.53 us"."""
    for scale, unit in _TIMES:
        if ns >= scale:
            return f"{significant(ns / scale)} {unit}"
    return f"{significant(ns)} ns"


def round_duration(ns: float) -> str:
    """Write a round number of nanoseconds without a fraction, as an axis label: "20 us"."""
    scale, unit = next(((scale, unit) for scale, unit in _TIMES if ns >= scale * 0.999), (1.0, "ns"))
    return f"{ns / scale:g} {unit}"


def size(nbytes: float) -> str:
    """Write bytes in the unit that suits them, as in "31.2 MiB"."""
    for scale, unit in _SIZES:
        if nbytes >= scale:
            return f"{significant(nbytes / scale)} {unit}"
    return f"{nbytes:.0f} B"


def count(number: float) -> str:
    """Write a count with thousands separated."""
    return f"{number:,.0f}"


def percentile(ordered: list[float] | list[int], share: float) -> float:
    """Return the value below which `share` (0 to 1) of a sorted list lies; 0 for an empty one."""
    if not ordered:
        return 0.0
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])
