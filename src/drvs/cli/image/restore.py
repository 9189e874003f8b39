"""drvs image restore: make the process of an image run again."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from drvs.cli.image.files import File, read
from drvs.cli.options import Json


def restore(
    file: File,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Print the pid and return, leaving it in a session of its own.")
    ] = False,
    keep_pid: Annotated[
        bool, typer.Option("--keep-pid", help="Under the ids it had; fails if one is taken. Needs root.")
    ] = False,
    json: Json = False,
) -> None:
    """Make the process of an image run again.

    In the foreground: with this terminal's streams, signals passed on, and its exit status. Everything is checked
    before the first instruction of it runs.
    """
    from drvs.cli import foreground
    from drvs.procspace import image
    from drvs.ui.table import show_json

    sys.stdout.flush()
    with read(file) as fd, foreground.signals_held():
        pid = image.restore(fd, keep_pid=keep_pid, detach=detach)
        if detach:
            if json:
                show_json({"pid": pid})
            else:
                typer.echo(str(pid))
            return
        raise typer.Exit(foreground.follow(pid))
