"""How a command fails: one line that says what, one that says what to do next, on stderr, and never a traceback."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from drvs.cli import exits


def _styled(text: str, colour: str) -> str:
    import os

    tty = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return typer.style(text, fg=colour, bold=True) if tty else text


def tell(problem: str, next_step: str = "") -> None:
    """Print a problem and, on a line of its own, the next step, to stderr."""
    sys.stdout.flush()
    print(f"{_styled('drvs:', typer.colors.RED)} {problem}", file=sys.stderr)
    if next_step:
        print(f"  {_styled('next:', typer.colors.CYAN)} {next_step}", file=sys.stderr)


def fail(problem: str, next_step: str = "", status: int = exits.FAILED) -> NoReturn:
    """Tell of a problem and end the command with `status`."""
    tell(problem, next_step)
    raise typer.Exit(status)


def tell_error(error: BaseException) -> int:
    """Tell of an exception that ended a command.

    Returns:
        The exit status to end with.
    """
    tell(_problem(error), getattr(error, "hint", None) or "")
    return exits.status_of(error)


def _problem(error: BaseException) -> str:
    """What happened, without the next step; where noded said precisely what is wrong, that alone and the code."""
    detail, code, hint = (getattr(error, name, None) for name in ("detail", "code", "hint"))
    if detail and code is not None:
        return f"{detail} ({code.canonical})"
    return str(error).removesuffix(hint or "").rstrip() or type(error).__name__
