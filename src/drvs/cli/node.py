"""drvs up, down, status, gc: the node itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drvs.cli import exits
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.daemon.gc import Collected


def _limit(text: str, least: int = 1) -> Any:
    return typer.Option(metavar="N", min=least, help=text, show_default=False)


def up(
    node: Annotated[int | None, typer.Option(metavar="N", min=0, help="Its number (default: DRVS_NODE, or 0).")] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Become noded instead of starting it.")
    ] = False,
    no_init: Annotated[bool, typer.Option("--no-init", help="Leave the drvs_init to a program.")] = False,
    vms: Annotated[int | None, _limit("VMs at most (32).")] = None,
    nodes: Annotated[int | None, _limit("Nodes of the cluster at most (32).")] = None,
    procs: Annotated[int | None, _limit("Processes of a VM at most (189).")] = None,
    tasks: Annotated[int | None, _limit("Tasks of a VM at most (67).")] = None,
    sysprocs: Annotated[int | None, _limit("System slots of a VM at most, tasks included (96).")] = None,
    notes: Annotated[int | None, _limit("Notifications from user slots that may wait in a VM.", 0)] = None,
    copy_buf: Annotated[int | None, _limit("Bytes of one piece of a copy (32768).")] = None,
    copy_len_max: Annotated[int | None, _limit("Bytes of one copy at most (524288).")] = None,
    cluster: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Join the cluster that this file describes.", show_default=False),
    ] = None,
    nats: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Join through the registry of these NATS servers.", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --nats: the node's name (default: the host's).")
    ] = None,
    cluster_name: Annotated[str, typer.Option(metavar="NAME", help="With --nats: the cluster's name.")] = "drvs",
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="With --nats: be reached at tcp://HOST:PORT, too.", show_default=False),
    ] = None,
    credentials: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --nats: what `drvs ca issue` made for the node.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="No authentication and no encryption of links.")] = False,
    spin_us: Annotated[
        int | None, typer.Option(metavar="US", min=0, help="Spin of the proxies after traffic (default: 50).")
    ] = None,
) -> None:
    """Start a node.

    When it returns, the node serves. A node that was killed is taken over with all its VMs. The limits are those of
    drvs_init; a VM may ask for less. A system-wide node is root's; any other user's is his own.
    """
    from drvs.daemon import launch

    asked = {
        "nr_vms": vms,
        "nr_nodes": nodes,
        "nr_procs": procs,
        "nr_tasks": tasks,
        "nr_sysprocs": sysprocs,
        "notes": notes,
        "copy_buf": copy_buf,
        "copy_len_max": copy_len_max,
    }
    size = {name: value for name, value in asked.items() if value is not None}
    links = None
    if cluster is not None or nats is not None:
        from drvs.cli.joining import Wish, join

        wish = Wish(cluster, nats, name, cluster_name, listen or [], credentials, insecure, spin_us)
        node, asked_of_all, links = join(wish, node)
        size = asked_of_all | size
    started = launch.up(node=node, foreground=foreground, init=not no_init, size=size, links=links)
    what = f"Node {started.node}" if started.node >= 0 else "A node (not initialised)"
    typer.echo(f"{what} is up: noded is process {started.pid}, in {started.runtime_dir}")
    if started.vms:
        typer.echo(f"It took over {started.vms} VMs with {started.endpoints} endpoints.")


def down(
    keep: Annotated[bool, typer.Option("--keep", help="End noded alone; VMs go on until the next `drvs up`.")] = False,
) -> None:
    """Stop the node.

    Its VMs end: every call in them ends with VMNOTRUN, and their processes get SIGPIPE.
    """
    from drvs.daemon import launch

    pid = launch.down(keep=keep)
    typer.echo(f"noded, process {pid}, has ended" + ("; its VMs go on." if keep else ", and the node with it."))


def status(
    limits: Annotated[bool, typer.Option("--limits", help="Show every limit, what it bounds and its value.")] = False,
    json: Json = False,
) -> None:
    """Show the node.

    Its process, its VMs, what it watches, and who holds a VM's lock while stopped (the exit status is 1 then).
    """
    from drvs.cli.reach import the_node
    from drvs.ui.table import show_json

    found = the_node().client.call("status").fields
    if json:
        show_json(found)
    elif limits:
        _show_limits(found["limits"])
    else:
        _show_status(found)
    raise typer.Exit(exits.FAILED if found["holders"] else exits.OK)


def age(seconds: float) -> str:
    """Write a span of time as people say it."""
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _show_status(found: dict[str, Any]) -> None:
    from drvs.ui.console import out
    from drvs.ui.table import plain, show_pairs

    number = found["node"] if found["initialised"] else "not initialised (a program has to do the drvs_init)"
    watched = found["watched"]
    pairs = [
        ("node", number),
        ("noded", f"process {found['pid']} of user {found['owner']}, up for {age(found['seconds'])}"),
        ("directory", plain(found["runtime_dir"])),
        ("log", plain(found["log"] or "the journal")),
        ("endpoints", f"{found['endpoints']} of {found['processes']} processes"),
        (
            "watched by",
            f"{watched['pidfds']} pidfds" + (f", {watched['scanned']} by looks at /proc" if watched["scanned"] else ""),
        ),
        ("calls waiting", found["waiting"]),
    ]
    show_pairs(pairs)
    for holder in found["holders"]:
        out().print(f"[fail]stopped:[/] {plain(holder_text(holder))}")
        out().print(f"  [name]next:[/] let it go on (kill -CONT {holder['pid']}), or kill it")
    if found["links"]:
        typer.echo()
        _show_links(found["links"])
    if found["strangers"]:
        typer.echo()
        _show_strangers(found["strangers"])
    if found["vms"]:
        typer.echo()
        _show_vms(found["vms"])
    elif found["initialised"]:
        typer.echo("\nNo VM yet. Make one: drvs vm create NAME")


def holder_text(holder: dict[str, Any]) -> str:
    """Say who holds a lock while stopped."""
    return (
        f"VM {holder['vmid']} '{holder['vm_name']}': its lock has been held for {holder['seconds']:.0f} s by process "
        f"{holder['pid']} ({holder['name']}), which is {holder['state']}"
    )


def _show_links(rows: list[dict[str, Any]]) -> None:
    """The other nodes of the cluster; of one that is not connected, why its last connection ended."""
    from drvs.ui.table import Column, number, plain, show

    styles = {"connected": "ok", "interrupted": "warn"}
    cells = [
        [
            str(row["node"]),
            plain(str(row["name"])),
            f"[{styles.get(row['state'], 'fail')}]{plain(str(row['state']))}[/]",
            plain(str(row["address"] or row["addresses"])),
            "" if row["state"] == "connected" else plain(str(row["reason"])),
        ]
        for row in rows
    ]
    columns = [number("node"), Column("name", style="name"), Column("link"), Column("address")]
    show([*columns, Column("last", fold=True)], cells)


def _show_strangers(rows: list[dict[str, Any]]) -> None:
    """Connections that were turned away, the last one first."""
    from datetime import UTC, datetime

    from drvs.ui.table import Column, plain, show

    def when(row: dict[str, Any]) -> str:
        return f"{datetime.fromtimestamp(row['at'], UTC).astimezone():%F %T}"

    cells = [[when(row), plain(str(row["address"])), plain(str(row["text"]))] for row in reversed(rows)]
    show([Column("turned away"), Column("from"), Column("why", fold=True)], cells)


def _show_vms(rows: list[dict[str, Any]]) -> None:
    from drvs.api.info import VmInfo
    from drvs.cli import vm

    vm.show_table([VmInfo.from_reply(row) for row in rows])


def _show_limits(values: dict[str, int]) -> None:
    from drvs.base.limits import TABLE
    from drvs.ui.table import Column, number, show

    rows = [
        [name, f"{values.get(name, here):,}", f"{default:,}", text] for name, (here, default, text) in TABLE.items()
    ]
    show([Column("limit", style="name"), number("value"), number("default"), Column("what it bounds", fold=True)], rows)


def gc(
    everything: Annotated[bool, typer.Option("--all", help="End kept VMs too, instead of leaving them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be removed.")] = False,
    json: Json = False,
) -> None:
    """Remove what a dead node left.

    VMs that outlived their noded are no waste: the next `drvs up` takes them over. They stay unless --all is given.
    """
    from drvs.daemon.gc import collect
    from drvs.ui.table import show_json

    found = collect(everything=everything, dry_run=dry_run)
    if json:
        show_json({"removed": found.removed, "vms": found.vms, "kept": found.kept, "dry_run": dry_run})
        return
    for line in _collected_lines(found, dry_run):
        typer.echo(line)


def _collected_lines(found: Collected, dry_run: bool) -> list[str]:
    if found.kept:
        return [f"{found.vms} VMs live on. Take them over with `drvs up`, or end them with `drvs gc --all`."]
    if not found.removed:
        return ["Nothing was left behind."]
    return [("would remove " if dry_run else "removed ") + path for path in found.removed]
