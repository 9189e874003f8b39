"""drvs cat, drvs ls: the files of the guide's /proc/drvs, without mounting anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from drvs.cli import exits
from drvs.cli.failure import fail
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.procview.tree import Entry, File


def complete_path(incomplete: str) -> list[str]:
    """Return the files whose paths begin so; none where no node runs: completion says nothing."""
    from drvs.base.errors import DrvsError
    from drvs.cli.reach import the_node
    from drvs.procview.tree import tree

    try:
        return [file.path for file in tree(the_node()).files() if file.path.startswith(incomplete)]
    except (DrvsError, OSError):
        return []


def cat(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...", help="info, nodes, proxies/procs, VM/procs, …", autocompletion=complete_path
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print files of the view, in the columns of the guide's /proc/drvs.

    Without a path it lists those that there are. VMs and other nodes have directories of their names.
    """
    from drvs.ui.table import show_json

    if not paths:
        ls(json=json)
        return
    files = [_file(path) for path in paths]
    if json:
        found = {file.path: _objects(file) for file in files}
        show_json(found if len(files) > 1 else found[files[0].path])
        return
    for file in files:
        sys.stdout.write(_read(file))


def ls(
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="A directory of the view.", autocompletion=complete_path)
    ] = "",
    json: Json = False,
) -> None:
    """List the files of the view.

    Without a path it lists all of them, each by its whole path, as `drvs cat` takes it.
    """
    from drvs.procview.tree import Directory, File
    from drvs.ui.table import show_json

    entry = _find(path)
    if isinstance(entry, File):
        names = [entry.path]
    elif path.strip("/"):
        names = [name + "/" * isinstance(found, Directory) for name, found in entry.entries().items()]
    else:
        names = [file.path for file in entry.files()]
    if json:
        show_json(names)
    elif names:
        typer.echo("\n".join(names))
    else:
        typer.echo("The node is not initialised: there is nothing to see.", err=True)


def _find(path: str) -> Entry:
    from drvs.cli.reach import the_node
    from drvs.procview.tree import tree

    try:
        return tree(the_node()).find(path)
    except (FileNotFoundError, NotADirectoryError):
        _not_there(path)


def _file(path: str) -> File:
    from drvs.procview.tree import File

    entry = _find(path)
    if not isinstance(entry, File):
        fail(f"{path!r} is a directory of the view", f"List it: drvs ls {entry.path}", exits.USAGE)
    return entry


def _not_there(path: str) -> NoReturn:
    fail(f"there is no {path!r} in the view of this node", "`drvs ls` lists what there is.", exits.NOT_FOUND)


def _read(file: File) -> str:
    try:
        return file.read().text
    except FileNotFoundError:
        _not_there(file.path)


def _objects(file: File) -> Any:
    import msgspec

    try:
        return msgspec.to_builtins(file.read().objects, enc_hook=int)
    except FileNotFoundError:
        _not_there(file.path)
