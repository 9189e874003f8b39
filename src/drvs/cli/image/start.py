"""drvs image start: make copies of the process of an image."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from drvs.cli.image.files import File, read
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.procspace.image import Template

_SHOWN = 100
"""Up to so many copies have a table of their ends, even if all is well."""


def start(
    file: File,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS]...", help="What drvs.hooks hands to each copy.")
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many copies.")] = 1,
    share_files: Annotated[
        bool, typer.Option("--share-files", help="Let all copies write to the files that the image has open for it.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Print the pids and return, leaving each in a session of its own.")
    ] = False,
    json: Json = False,
) -> None:
    """Start copies of the process of an image, each told its rank.

    The image is restored once; the copies share its pages. In the foreground: with this terminal's streams, signals
    passed on to all. The exit status is 0 if it was 0 for all, else the first one, by rank, that was not.
    """
    from drvs.cli import foreground
    from drvs.procspace import image

    sys.stdout.flush()
    with read(file) as fd, foreground.signals_held():
        with image.Template(fd, argv=arguments or (), share_files=share_files, detach=detach) as template:
            pids = made(template, n)
        if detach:
            print_pids(pids, json)
            return
        statuses = foreground.follow_all(pids)
    report(pids, statuses, json)
    raise typer.Exit(next((status for status in statuses if status), 0))


def made(template: Template, n: int) -> list[int]:
    """Make the copies, all or none; returns their pids by rank."""
    from drvs.procspace.image.birth import kill
    from drvs.ui.progress import steps

    pids: list[int] = []
    try:
        with steps(n) as bar:
            bar.begin("copies")
            for pid in template.copies(n):
                pids.append(pid)
                if len(pids) % 32 == 0:
                    bar.at(len(pids))
    except BaseException:
        for pid in pids:
            kill(pid)
        raise
    return pids


def print_pids(pids: list[int], json: bool) -> None:
    """Print the pids of copies that are on their own now."""
    from drvs.ui.table import show_json

    if json:
        show_json([{"rank": rank, "pid": pid} for rank, pid in enumerate(pids)])
    else:
        typer.echo("\n".join(map(str, pids)))


def report(pids: list[int], statuses: list[int], json: bool) -> None:
    """Print how the copies ended."""
    from drvs.ui.table import number, show, show_json

    rows = list(zip(range(len(pids)), pids, statuses, strict=True))
    if json:
        show_json([{"rank": rank, "pid": pid, "exit": status} for rank, pid, status in rows])
    elif len(rows) <= _SHOWN or any(statuses):
        shown = rows if len(rows) <= _SHOWN else [row for row in rows if row[2]]
        show([number("rank"), number("pid"), number("exit")], shown)
