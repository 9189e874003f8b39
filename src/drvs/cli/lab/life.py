"""drvs lab up, down, kill, restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from drvs.cli.lab.arguments import DEFAULT, Name, Node, number, the_lab
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.lab.lab import Lab


def up(
    count: Annotated[int, typer.Argument(metavar="N", help="How many nodes.", show_default=True)] = 3,
    name: Name = DEFAULT,
    transport: Annotated[
        str, typer.Option("--transport", "-t", metavar="tcp|udp|tipc|nats", help="How the nodes' links talk.")
    ] = "tcp",
    nats: Annotated[str, typer.Option("--nats", metavar="URL", help="The NATS server of the cluster.")] = "",
    loopback: Annotated[bool, typer.Option("--loopback", help="No namespaces, even if they are possible.")] = False,
    direct: Annotated[
        bool, typer.Option("--direct", help="No relay between the nodes: for measurements; no cut, no slow.")
    ] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Each node on a core of its own.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Links authenticate and encrypt (default: they do not).")] = False,
    procs: Annotated[
        int | None, typer.Option("--procs", metavar="N", min=1, help="Processes of a VM at most (189).")
    ] = None,
    json: Json = False,
) -> None:
    """Start a lab of N nodes.

    When it returns, all nodes serve. They live until `drvs lab down`. For example: drvs lab up 3
    """
    from drvs.lab.lab import Lab

    options = {} if procs is None else {"procs": procs}
    lab = Lab(
        count, name=name, namespaces=False if loopback else None, transport=transport, nats=nats, direct=direct,
        pin=pin, insecure=not tls, options=options,
    )  # fmt: skip
    lab.stay()
    if json:
        from drvs.ui.table import show_json

        show_json(lab.status())
    else:
        _tell(lab)


def _tell(lab: Lab) -> None:
    from drvs.lab.kernel import namespaces_allowed

    spec = lab.spec
    how = "each with namespaces of its own" if spec.namespaces else "on loopback addresses"
    between = ", nothing between them" if spec.direct else ", a relay between each two"
    nodes = f"{spec.count} nodes" if spec.count > 1 else "one node"
    typer.echo(f"Lab '{lab.name}' is up: {nodes}, {how}{between if spec.count > 1 else ''}.")
    if not spec.namespaces and (why := namespaces_allowed()):
        typer.echo(f"(Namespaces would make them machines of their own: {why}.)")
    last = spec.count - 1
    tries = [f"drvs lab status{_named(lab)}", f"drvs lab sh{_named(lab)} {last}"]
    tries += [f"drvs lab cut{_named(lab)} 0 {last}"] if last and not spec.direct else []
    typer.echo("Now try: " + ", ".join(tries) + f". End it with drvs lab down{_named(lab)}")


def _named(lab: Lab) -> str:
    return "" if lab.name == DEFAULT else f" -n {lab.name}"


def down(
    name: Name = DEFAULT, everything: Annotated[bool, typer.Option("--all", help="All of this user's labs.")] = False
) -> None:
    """End a lab.

    All that runs on its nodes is killed, and nothing of it is left: also where its supervisor was killed before.
    """
    from drvs.lab import place
    from drvs.lab.errors import NoSuchLab
    from drvs.lab.launch import down as end

    names = place.names() if everything else [name]
    for one in names:
        if not end(place.folder_of(one)):
            raise NoSuchLab(f"there is no lab {one!r}", _others())
        typer.echo(f"Lab '{one}' has ended.")
    if not names:
        typer.echo("There is no lab.")


def _others() -> str:
    from drvs.lab import place

    names = place.names()
    return f"There is {', '.join(names)}: name it with --name." if names else "Nothing needs to be done."


def kill(
    node: Node,
    unplug: Annotated[
        bool, typer.Option("--unplug", help="Cut it off first: the others see no connection close.")
    ] = False,
    name: Name = DEFAULT,
) -> None:
    """Kill everything on a node, with SIGKILL and at once."""
    lab = the_lab(name)
    which = number(lab, node)
    lab.node(which).kill(unplug=unplug)
    typer.echo(f"Node {which} is dead. Bring it back: drvs lab restart{_named(lab)} {which}")


def restart(node: Node, name: Name = DEFAULT) -> None:
    """Start a node again, with nothing of what it had; a living one is killed first."""
    lab = the_lab(name)
    which = number(lab, node)
    lab.node(which).restart()
    typer.echo(f"Node {which} is up.")
