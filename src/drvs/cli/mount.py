"""drvs mount, drvs umount: the view as a directory of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from drvs.cli.options import Json


def mount(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="An empty directory.", show_default=False)],
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Serve it in this process until it is unmounted.")
    ] = False,
    allow_other: Annotated[
        bool, typer.Option("--allow-other", help="Let other users read it, with your rights at the node.")
    ] = False,
    json: Json = False,
) -> None:
    """Mount the view: the guide's /proc/drvs as a read-only directory.

    It stays while noded restarts, and goes when the node ends. Needs fuse3 and the Python package mfusepy.
    """
    from drvs.cli.reach import the_node
    from drvs.procview import fuse
    from drvs.ui.table import show_json

    node = the_node()
    node.client.call("hello")
    pid = fuse.mount(node.runtime_dir, directory, allow_other=allow_other, foreground=foreground)
    if json:
        show_json({"directory": directory, "node": int(node.id), "pid": pid})
    elif not foreground:
        typer.echo(f"The view of node {node.id} is mounted on {directory} (process {pid}).")


def umount(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Where it is mounted.", show_default=False)],
    lazy: Annotated[bool, typer.Option("--lazy", "-l", help="Even while programs stand in it or read.")] = False,
) -> None:
    """Unmount a view."""
    from drvs.procview import fuse

    fuse.umount(directory, lazy=lazy)
    typer.echo(f"{directory} is unmounted.")
