"""The functions to call, and in which order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

Before = TypeVar("Before", bound=Callable[[], object])
After = TypeVar("After", bound=Callable[["RestoreInfo"], object])


class RestoreInfo(NamedTuple):
    """Which copy this is.

    In an ordinary run, and in one that was not restored, rank is 0 and size 1.

    Attributes:
        rank: its number, from 0 on.
        size: how many copies there are.
        argv: sys.argv: the program's name, then the arguments that the copy was given, or else the program's own.
        environ: os.environ, in which the variables that the copy was given are set.
        restored: is this a restored process?
        pid_kept: has it the pid of the process that was dumped?
    """

    rank: int
    size: int
    argv: list[str]
    environ: Mapping[str, str]
    restored: bool = False
    pid_kept: bool = False


_before: list[Callable[[], object]] = []
_after: list[Callable[[RestoreInfo], object]] = []
_end: list[Callable[[], None]] = []


def before_dump(function: Before) -> Before:
    """Have a function called before the image of this process is made. Usable as a decorator.

    It runs in the main thread, between two steps of the program (other threads run on until it is done), after those
    that were registered later. If it raises, no image is made, the dumper is told why, and the process goes on; what
    other functions did is not undone.

    Args:
        function: takes nothing.

    Returns:
        The function.
    """
    _before.append(function)
    return function


def after_restore(function: After) -> After:
    """Have a function called in each restored process before its main thread goes on. Usable as a decorator.

    It runs in the main thread, after those that were registered earlier. Other threads may run meanwhile. What it
    raises is shown on stderr, and the process goes on.

    Args:
        function: takes a RestoreInfo.

    Returns:
        The function.
    """
    _after.append(function)
    return function


def at_end(function: Callable[[], None]) -> None:
    """Have a function called at the end of every round, however it ends. For the defaults."""
    _end.append(function)


def run_before() -> None:
    """Call the functions of `before_dump`; the first that raises ends it, and the round."""
    try:
        for function in reversed(_before):
            function()
    except BaseException:
        run_end()
        raise


def run_end() -> None:
    """Call the functions of `at_end`."""
    for function in _end:
        function()


def run_after(info: RestoreInfo) -> None:
    """Call the functions of `after_restore`, all of them."""
    for function in _after:
        try:
            function(info)
        except Exception as error:
            show(error, function)


def show(error: Exception, function: object) -> None:
    """Tell about an exception that nobody can catch."""
    import traceback

    try:
        print(f"Exception ignored in the hook {function!r}:", file=sys.stderr)
        traceback.print_exception(error)
    except Exception:
        pass  # stderr is closed, or nobody reads it
