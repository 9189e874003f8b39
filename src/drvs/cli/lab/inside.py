"""drvs lab sh, run, log: what goes on inside a node."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from drvs.cli.lab.arguments import DEFAULT, Command, Name, Node, number, the_lab


def sh(
    node: Node,
    command: Annotated[list[str] | None, typer.Argument(metavar="CMD", help="A command instead of a shell.")] = None,
    name: Name = DEFAULT,
) -> None:
    """Open a shell on a node, or run CMD there."""
    lab = the_lab(name)
    which = number(lab, node)
    is_shell = not command
    if not command:
        command = [os.environ.get("SHELL") or "/bin/sh"]
        if sys.stdin.isatty():
            typer.echo(
                f"This is node {which} of lab '{lab.name}' ({lab.spec.host(which)}); leave it with exit.", err=True
            )
    _become(lab.node(which).command(_bare(command), shell=is_shell))


def run(node: Node, command: Command, name: Name = DEFAULT) -> None:
    """Run CMD on a node; its exit status is this command's.

    For example: drvs lab run 1 -- drvs ps
    """
    lab = the_lab(name)
    _become(lab.node(number(lab, node)).command(_bare(command)))


def _bare(command: list[str]) -> list[str]:
    """The command without the -- in front, which a parser that stops at the first argument leaves there."""
    return command[1:] if command[0] == "--" else command


def _become(command: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.execv(command[0], command)


def log(node: Node, name: Name = DEFAULT) -> None:
    """Show what a node said: its console, and the log of its noded, before its last restart too."""
    lab = the_lab(name)
    sys.stdout.write(lab.node(number(lab, node)).log())
