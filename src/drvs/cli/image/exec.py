"""drvs image exec: the image of a program at its first instruction, or where it is ready."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from drvs.cli.image.files import File, size, threads, written
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.procspace.image import Dumped


def exec_(
    file: File,
    command: Annotated[list[str], typer.Argument(metavar="-- PROGRAM [ARGS]...", help="What to execute.")],
    ready: Annotated[
        bool, typer.Option("--ready", help="Let it run until it calls image.ready(), and take the image there.")
    ] = False,
    dump_flags: Annotated[
        int,
        typer.Option(
            "--dump-flags",
            min=0,
            max=7,
            metavar="N",
            help="Keep contents of files: 1 of listed libraries, 2 of the program, 4 of others; the sum of these.",
        ),
    ] = 0,
    executable: Annotated[
        bool, typer.Option("--executable", help="Mode 0700, and a line in front by which the file starts itself.")
    ] = False,
    json: Json = False,
) -> None:
    """Execute a program, write its image, and end it.

    The image is taken before the first instruction, or with --ready where a Python program calls
    drvs.procspace.image.ready(). A restored process has its restorer's standard streams.
    """
    from drvs.procspace.image import executable as programs

    for option, meant, why in (("--executable", executable, "is no program"), ("--ready", ready, "is the program's")):
        if meant and file == "-":
            raise typer.BadParameter(f"standard output {why}", param_hint=option)
    with written(file) as fd:
        if executable:
            programs.begin(fd)
        done = _taken(fd, command, ready, dump_flags)
    _report(file, command, done, json)


def _taken(fd: int, command: list[str], ready: bool, flags: int) -> Dumped:
    from drvs.procspace import image

    sys.stdout.flush()
    take = image.ready_dump if ready else image.exec_dump
    return take(fd, command, flags=flags)


def _report(file: str, command: list[str], done: Dumped, json: bool) -> None:
    from drvs.ui.table import show_json

    if json:
        facts: dict[str, object] = {"command": command, "threads": done.threads, "page_bytes": done.page_bytes}
        with redirect_stdout(sys.stderr if file == "-" else sys.stdout):
            show_json(facts | {"image_bytes": done.image_bytes})
        return
    name = os.path.basename(command[0])
    typer.echo(f"{file}: {name}, {threads(done.threads)}, {size(done.image_bytes)}.", err=file == "-")
