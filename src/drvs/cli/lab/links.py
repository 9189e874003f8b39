"""drvs lab cut, heal, slow: the links between nodes."""

from __future__ import annotations

from typing import Annotated

import typer

from drvs.cli import exits
from drvs.cli.failure import fail
from drvs.cli.lab.arguments import DEFAULT, Name, Node, OtherNode, number, the_lab


def cut(a: Node, b: OtherNode, name: Name = DEFAULT) -> None:
    """Let nothing pass between two nodes, in either direction.

    Nobody is told: what is sent is lost, as with a broken cable. `drvs lab heal` mends it.
    """
    lab = the_lab(name)
    first, second = number(lab, a), number(lab, b)
    lab.cut(first, second)
    typer.echo(f"Nothing passes between nodes {first} and {second}.")


def heal(
    a: Annotated[str | None, typer.Argument(metavar="NODE", help="One end; without: all links.")] = None,
    b: Annotated[str | None, typer.Argument(metavar="NODE", help="The other end.")] = None,
    name: Name = DEFAULT,
) -> None:
    """Undo `cut` and `slow` between two nodes, or everywhere."""
    lab = the_lab(name)
    if a is None or b is None:
        if a is not None:
            fail("a link has two ends", "Name both, or none to heal all links.", exits.USAGE)
        lab.heal()
        typer.echo("All links are whole.")
        return
    first, second = number(lab, a), number(lab, b)
    lab.heal(first, second)
    typer.echo(f"The link between nodes {first} and {second} is whole.")


def slow(
    a: Node,
    b: OtherNode,
    delay: Annotated[float, typer.Option("--delay", "-d", metavar="MS", min=0, help="In each direction.")] = 0.0,
    loss: Annotated[
        float, typer.Option("--loss", "-l", metavar="PERCENT", min=0, max=100, help="How much is lost.")
    ] = 0.0,
    name: Name = DEFAULT,
) -> None:
    """Delay what passes between two nodes, and lose a part of it.

    Without namespaces, what a TCP connection would lose arrives 200 ms later.
    """
    if not delay and not loss:
        fail("neither a delay nor a loss is given", "For example: drvs lab slow 0 1 --delay 20 --loss 5", exits.USAGE)
    lab = the_lab(name)
    first, second = number(lab, a), number(lab, b)
    lab.slow(first, second, delay_ms=delay, loss_percent=loss)
    words = [f"is {delay:g} ms slow in each direction"] if delay else []
    words += [f"loses {loss:g} %"] if loss else []
    typer.echo(f"The link between nodes {first} and {second} {' and '.join(words)}.")
