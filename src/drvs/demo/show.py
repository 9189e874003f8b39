"""The demo itself: both acts, told as they happen."""

from __future__ import annotations

from drvs.demo import verdict
from drvs.demo.cast import CLIENTS, Cast
from drvs.demo.play import Play
from drvs.demo.stage import stage
from drvs.demo.teller import teller
from drvs.demo.tree import standard_library
from drvs.ui.console import out
from drvs.ui.progress import steps
from drvs.ui.table import plain
from drvs.ui.units import count, size


def run() -> int:
    """Give the demo, both acts.

    Returns:
        0 if all was right.
    """
    from drvs.demo import workshop

    wrong = first_act()
    out().print()
    wrong += workshop.second_act()
    return 1 if wrong else 0


def first_act() -> list[str]:
    """Play the first act.

    Returns:
        What went wrong; nothing if all that `verdict.judge` looks at was right.
    """
    out().print("[bold]drvs demo[/]: a file server, eight clients, and what can happen to them\n")
    tree = standard_library()
    with steps(CLIENTS * len(tree.digests), out()) as bar:
        tell = teller(bar)
        with stage(tell) as where, Cast() as cast:
            tell(
                "files",
                f"{count(len(tree.digests))}, {size(tree.nbytes)}: Python's library in {plain(str(tree.folder))}",
            )
            play = Play(where, tree, cast, bar, tell)
            play.perform()
            result = verdict.judge(play)
        tell("lab" if where.lab else "node", "stopped; nothing is left behind")
    verdict.show(result)
    return result.wrong
