"""drvs ca: the authority of a cluster and the certificates of its nodes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drvs.cli import exits
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.cluster.ca.authority import Authority

group = typer.Typer(
    help="Make and show the certificates by which the nodes of a cluster know each other.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Days = Annotated[int, typer.Option("--days", min=1, max=36500, metavar="N", help="Days until it expires.")]


def _authority(folder: Path) -> Authority:
    from drvs.cluster.ca.files import need_cryptography

    need_cryptography()
    from drvs.cluster.ca.authority import Authority

    found = Authority(folder)
    found.check_usable(time.time())
    return found


@group.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to keep the authority.")],
    cluster: Annotated[str, typer.Option("--cluster", "-c", metavar="NAME", help="Name of the cluster.")],
    days: Days = 3650,
) -> None:
    """Make the authority of a cluster.

    Keep DIR/ca.key to yourself: whoever has it can make nodes. The nodes do not need it.
    """
    from drvs.cluster.ca.files import need_cryptography

    need_cryptography()
    from drvs.cluster.ca.authority import Authority

    made = Authority.create(folder, cluster, days)
    typer.echo(f"The authority of cluster {made.cluster} is in {folder}. Make a node: drvs ca issue 1 --ca {folder}")


@group.command()
def issue(
    node: Annotated[int, typer.Argument(min=0, max=4095, metavar="NODE", help="The node's number.")],
    ca: Annotated[Path, typer.Option("--ca", metavar="DIR", help="The authority's folder.")] = Path(),
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The node's name.", show_default="nodeN")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder to make.", show_default="DIR/node-N")
    ] = None,
    days: Days = 365,
) -> None:
    """Make a node's certificate and key.

    Copy the whole folder to the node's machine, and keep it private there.
    """
    folder = _authority(ca).issue(node, name or f"node{node}", days=days, folder=out)
    typer.echo(f"Node {node} finds what it needs in {folder}. Copy that folder to its machine.")


@group.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A folder, or a certificate.")] = Path(),
    json: Json = False,
) -> None:
    """Show certificates: whose they are, and until when they are valid. The exit status is 1 if one is not."""
    from drvs.cluster.ca.files import need_cryptography

    need_cryptography()
    from drvs.cluster.ca.show import describe
    from drvs.ui.table import show_json

    rows = describe(path, time.time())
    if json:
        show_json(rows)
    else:
        _show(rows)
    raise typer.Exit(exits.FAILED if any(row["problem"] for row in rows) else exits.OK)


def _show(rows: list[dict[str, Any]]) -> None:
    from drvs.ui.table import Column, number, plain, show

    titles = ("CLUSTER", "NODE", "NAME", "VALID UNTIL", "FILE", "PROBLEM")
    columns = [number(t) if t == "NODE" else Column(t, fold=t in ("FILE", "PROBLEM")) for t in titles]
    lines = []
    for row in rows:
        node = "authority" if row["node"] is None else str(row["node"])
        texts = (row["cluster"], node, row["name"] or "", row["not_after"][:10], row["file"], row["problem"] or "")
        lines.append([plain(text) for text in texts])
    show(columns, lines)
