"""Arguments that the commands of `drvs lab` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from drvs.cli import exits

if TYPE_CHECKING:
    from drvs.lab.lab import Lab

Name = Annotated[
    str, typer.Option("--name", "-n", metavar="LAB", envvar="DRVS_LAB", help="Which lab.", show_default=True)
]
Node = Annotated[str, typer.Argument(metavar="NODE", help="A node, by its number.")]
OtherNode = Annotated[str, typer.Argument(metavar="NODE", help="The node at the other end.")]
Command = Annotated[list[str], typer.Argument(metavar="CMD", help="The command and its arguments, after --.")]
DEFAULT = "lab"


def the_lab(name: str) -> Lab:
    """Return the lab of that name.

    Raises:
        NoSuchLab: there is none.
    """
    from drvs.lab.lab import Lab

    return Lab.find(name)


def number(lab: Lab, text: str) -> int:
    """Return the node that somebody meant by "1" or "node1".

    Raises:
        LabError: there is none.
    """
    from drvs.lab.errors import LabError

    digits = text.removeprefix("node")
    if not digits.isascii() or not digits.isdigit() or int(digits) >= len(lab.nodes):
        hint = f"The nodes of lab {lab.name!r} are 0 to {len(lab.nodes) - 1}."
        raise LabError(f"there is no node {text!r}", hint, exits.NOT_FOUND)
    return int(digits)
