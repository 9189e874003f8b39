"""The two consoles of a command: results go to stdout, what is said about them to stderr.

Colours only on a terminal and without NO_COLOR (rich looks at both). Into a pipe a table is as wide as its content, so
that grep and awk find whole lines; on a narrow terminal rich folds the columns.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    "head": "bold",
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
    "name": "cyan",
    "quiet": "dim",
    "ours": "bold cyan",
}
"""The one palette: what a colour means is the same in every command."""

_PIPE_WIDTH = 1000


def _console(stream: IO[str]) -> Console:
    from rich.console import Console
    from rich.theme import Theme

    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(file=stream, theme=Theme(STYLES), width=width, highlight=False, soft_wrap=False)


@cache
def out() -> Console:
    """Return the console on stdout, for results."""
    return _console(sys.stdout)


@cache
def err() -> Console:
    """Return the console on stderr, for progress and remarks."""
    return _console(sys.stderr)


def unicode_ok(stream: IO[str]) -> bool:
    """Tell whether block-drawing characters can be written to this stream."""
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return encoding.startswith("utf")
