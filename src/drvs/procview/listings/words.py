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


def pairs(*values: tuple[str, object]) -> str:
    """Return lines of the kind name=value."""
    return "".join(f"{name}={value}\n" for name, value in values)
