"""A progress bar for long work: on stderr unless told otherwise, on terminals only, without a thread of its own.

No thread, because the work it reports on forks. It moves when a step begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from drvs.ui.console import err

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Steps:
    """Work of a known number of steps; off a terminal it stays silent."""

    def __init__(self, console: Console, progress: Progress | None, task: TaskID | None) -> None:
        self._console = console
        self._progress = progress
        self._task = task

    def begin(self, what: str) -> None:
        """Say which step runs now."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=what)
            self._progress.refresh()

    def done(self, steps: float = 1) -> None:
        """Count steps as finished."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, steps)
            self._progress.refresh()

    def at(self, steps: float) -> None:
        """Say how many steps are finished in all."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=steps)
            self._progress.refresh()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text)


@contextmanager
def steps(total: float, console: Console | None = None) -> Iterator[Steps]:
    """Show a bar for `total` steps while the block runs; it vanishes at the end.

    Args:
        total: how many steps are all.
        console: where; stderr if None.
    """
    console = console or err()
    if not console.is_terminal:
        yield Steps(console, None, None)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", style="quiet"),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        yield Steps(console, progress, progress.add_task("", total=total))
