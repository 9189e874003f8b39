"""Bitmaps as the guide draws them: bit 0 at the right, X where it is set and - where not, below a ruler of numbers.

nodes 33222222222211111111110000000000
      10987654321098765432109876543210
      ------------------------------XX
"""

from __future__ import annotations

from collections.abc import Iterable

GUIDE_WIDTH = 32
"""The guide draws 32 places, whatever the limit is."""

_MARKS = str.maketrans("01", "-X")


def width_for(limit: int) -> int:
    """Return how many places are drawn for ids below `limit`: 32, or more where there are more."""
    return max(GUIDE_WIDTH, limit)


def rulers(width: int) -> list[str]:
    """Return the lines of the ruler, the digit of highest value first: two for 32 places."""
    columns = range(width - 1, -1, -1)
    digits = range(len(str(width - 1)) - 1, -1, -1)
    return ["".join(str(number // 10**digit % 10) for number in columns) for digit in digits]


def ruler(width: int) -> str:
    """Return the ruler of a heading: the last digits alone."""
    return rulers(width)[-1]


def bits_of(numbers: Iterable[int]) -> int:
    """Return the bitmap in which these bits are set."""
    return sum(1 << number for number in set(numbers))


def marks(bits: int, width: int) -> str:
    """Return the bitmap; bits above `width` are left out."""
    return format(bits & (1 << width) - 1, f"0{width}b").translate(_MARKS)
