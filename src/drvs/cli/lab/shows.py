"""drvs lab status, ps: what a lab looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from drvs.cli import exits
from drvs.cli.lab.arguments import DEFAULT, Name, the_lab
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.lab.processes import Process

_COLOURS = {"up": "ok", "starting": "warn", "killed": "fail", "failed": "fail"}


def status(name: Name = DEFAULT, json: Json = False) -> None:
    """Show a lab: its nodes and the links between them.

    The exit status is 1 if a node is not up.
    """
    from drvs.ui.table import show_json

    lab = the_lab(name)
    found = lab.status()
    for row in found["nodes"]:
        row["processes"] = len(_processes(lab.spec, row))
    if json:
        show_json(found)
    else:
        _show(found)
    raise typer.Exit(exits.OK if all(row["state"] == "up" for row in found["nodes"]) else exits.FAILED)


def _processes(spec: Any, row: dict[str, Any]) -> list[Process]:
    from drvs.lab.processes import of_node

    return of_node(spec, row["node"], row["pid"])


def _show(found: dict[str, Any]) -> None:
    from drvs.cli.node import age
    from drvs.ui.table import Column, number, plain, show

    how = "namespaces" if found["namespaces"] else "loopback"
    extra = "".join([", direct" if not found["relay"] else "", ", pinned" if found["pinned"] else ""])
    typer.echo(f"Lab '{found['lab']}' ({how}, {found['transport']}{extra}) in {found['folder']}\n")
    rows = [
        [
            row["node"], f"[{_COLOURS[row['state']]}]{row['state']}[/]", row["host"], age(row["seconds"]),
            row["pid"] or "", row["processes"],
        ]
        for row in found["nodes"]
    ]  # fmt: skip
    columns = [number("node"), Column("state"), Column("address"), Column("for"), number("pid"), number("processes")]
    show(columns, rows)
    for row in found["nodes"]:
        if row["problem"]:
            typer.echo(f"node {row['node']}: {plain(row['problem'])}")
    if found["relay"] and found["links"]:
        typer.echo()
        _show_links(found["links"])


def _show_links(links: list[dict[str, Any]]) -> None:
    from drvs.ui.table import Column, number, show

    rows = [
        [f"{link['a']} - {link['b']}", _condition(link), f"{link['passed']:,}", f"{link['lost']:,}"] for link in links
    ]
    show([Column("link"), Column("condition"), number("passed"), number("lost")], rows)


def _condition(link: dict[str, Any]) -> str:
    if link["cut"]:
        return "[fail]cut[/]"
    words = [f"{link['delay_ms']:g} ms slow"] if link["delay_ms"] else []
    words += [f"loses {link['loss_percent']:g} %"] if link["loss_percent"] else []
    return f"[warn]{', '.join(words)}[/]" if words else "[ok]whole[/]"


def ps(name: Name = DEFAULT, json: Json = False) -> None:
    """List the processes on all nodes, with the pids they have out here and there."""
    from drvs.ui.table import Column, number, plain, show, show_json

    lab = the_lab(name)
    found = [(row["node"], one) for row in lab.status()["nodes"] for one in _processes(lab.spec, row)]
    if json:
        show_json([{"node": node, **one._asdict()} for node, one in found])
        return
    columns = [number("node"), number("pid"), number("pid there"), Column("command", fold=True)]
    show(columns, [[node, one.pid, one.inner_pid, plain(one.command)] for node, one in found])
