"""How names and tables are written: a hostile name cannot end a line, or begin another."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 15
"""Characters of a name that a listing shows, as the guide's do."""


def plain(name: str) -> str:
    """Return a name as a listing shows it: at most 15 characters, each of them printable."""
    return "".join(char if char.isprintable() else "?" for char in name[:_SHOWN])


def table(heading: str, rows: Iterable[str]) -> str:
    """Return the lines of a table."""
    return "".join(line.rstrip() + "\n" for line in (heading, *rows))


def numbers(heading: str, rows: Iterable[str]) -> str:
    """Return the lines of a table whose columns, but for the last, are numbers.

    They are as wide as the guide has them, and wider where one does not fit.
    """
    lines = [heading, *rows]
    columns = len(heading.split())
    cells = [line.split(maxsplit=columns - 1) for line in lines]
    widths = [max(len(row[index]) for row in cells) for index in range(columns - 1)]
    if any(width > len(word) for width, word in zip(widths, cells[0], strict=False)):
        lines = [" ".join([*map(str.rjust, row, widths), *row[columns - 1 :]]) for row in cells]
    return table(lines[0], lines[1:])


def pairs(*values: tuple[str, object]) -> str:
    """Return lines of the kind name=value."""
    return "".join(f"{name}={value}\n" for name, value in values)
