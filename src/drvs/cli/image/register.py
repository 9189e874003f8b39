"""drvs image register: let the kernel run executable image files by themselves."""

from __future__ import annotations

from typing import Annotated

import typer

from drvs.cli.options import Json


def register(
    remove: Annotated[bool, typer.Option("--remove", help="Take the format away again.")] = False,
    json: Json = False,
) -> None:
    """Register the format of images with the kernel (binfmt_misc), until the next boot.

    Executable image files then start without a launcher line. Images made with --executable need none of it.
    """
    from drvs.procspace.image import executable
    from drvs.ui.table import show_json

    launcher = ""
    if remove:
        executable.remove()
    else:
        launcher = executable.register()
    if json:
        show_json({"format": executable.FORMAT, "registered": not remove, "launcher": launcher or None})
    elif remove:
        typer.echo(f"{executable.FORMAT} is no longer registered.")
    else:
        typer.echo(f"{executable.FORMAT} is registered; {launcher} starts such files.")
