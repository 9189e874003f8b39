"""Tables: one look for every command that lists, and the same rows as JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drvs.ui.console import out, unicode_ok

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


_MOST_DRAWN = 500
"""Rows that rich lays out; longer tables are nobody's to look at, and go to a pager or a pipe."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        title: its heading.
        right: numbers stand to the right.
        style: a name out of `console.STYLES`.
        fold: may break over several lines on a narrow terminal; others are kept whole.
    """

    title: str
    right: bool = False
    style: str = ""
    fold: bool = False


def number(title: str) -> Column:
    """Return a column of numbers."""
    return Column(title, right=True)


def build(columns: Sequence[Column], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """Make a rich table in the one look; cells may carry rich markup of our own, never of others (see `plain`)."""
    from rich import box
    from rich.table import Table

    look = box.SIMPLE_HEAD if unicode_ok(sys.stdout) else box.ASCII2
    table = Table(title=title, title_justify="left", title_style="bold", header_style="head", box=look)
    table.show_edge = False
    table.pad_edge = False
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            style=column.style or None,
            no_wrap=not column.fold,
            overflow="fold" if column.fold else "ellipsis",
        )
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table


def draw(what: RenderableType) -> None:
    """Print something of rich's to stdout, without the blanks that pad its lines."""
    console = out()
    with console.capture() as drawn:
        console.print(what)
    console.file.write(re.sub(r" +$", "", drawn.get(), flags=re.MULTILINE))


def show(columns: Sequence[Column], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table to stdout."""
    listed = [[str(cell) for cell in row] for row in rows]
    if len(listed) > _MOST_DRAWN:
        out().file.writelines(line + "\n" for line in _bare_lines(columns, listed))
    else:
        draw(build(columns, listed, title))


def _bare_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay out a long table by ourselves: rich takes a millisecond a row."""
    cells = [[column.title for column in columns], *([cell.replace("\\[", "[") for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        laid = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        yield "   ".join(laid).rstrip()


def show_pairs(pairs: Iterable[tuple[str, object]], title: str | None = None) -> None:
    """Print name and value pairs, one a line, names aligned; values may carry rich markup of our own."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="quiet", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, str(value))
    if title:
        out().print(title, style="bold", markup=False)
    draw(grid)


def show_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print a value as JSON to stdout: what `--json` gives. Needs no rich."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def plain(text: str) -> str:
    """Return text of others (names, commands) so that it is shown as it is: no markup, no control characters."""
    visible = "".join(char if char.isprintable() else "?" for char in text)
    return visible.replace("[", "\\[")
