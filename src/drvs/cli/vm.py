"""drvs vm: make, end and look at VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from drvs.cli.options import Json, VmArgument

if TYPE_CHECKING:
    from drvs.api.info import VmInfo

group = typer.Typer(help="Make, end and look at VMs.", no_args_is_help=True, rich_markup_mode=None)

Limit = Annotated[int | None, typer.Option(metavar="N", min=0, show_default="the node's")]


@group.command()
def create(
    name: Annotated[str, typer.Argument(help="At most 15 bytes, unique on the node.")],
    vmid: Annotated[
        int | None, typer.Option("--id", min=0, metavar="N", help="Its number (default: the lowest free one).")
    ] = None,
    procs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Slots for processes (default: the node's limit).")
    ] = None,
    tasks: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Slots for tasks (negative process numbers).")
    ] = None,
    sysprocs: Annotated[int | None, typer.Option(min=0, metavar="N", help="System slots, tasks included.")] = None,
    notes: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Notifications from user slots that may wait.")
    ] = None,
    nodes: Annotated[
        str, typer.Option(metavar="all|N,N", help="Nodes to create it on, too (default: this one).", show_default=False)
    ] = "",
) -> None:
    """Create a VM.

    With --nodes it is created on those nodes as well, and the command returns when it runs there.
    """
    from drvs.cli.reach import the_node

    vm = the_node().create_vm(
        name, vmid=vmid, nr_procs=procs, nr_tasks=tasks, nr_sysprocs=sysprocs, notes=notes, span=_span(nodes)
    )
    typer.echo(f"VM {vm.id} '{vm.name}' is ready. Run something in it: drvs run --vm {vm.name} -- CMD")


def _span(text: str) -> str | list[int]:
    if text in ("", "all"):
        return text or []
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise typer.BadParameter(f"{text!r}: write all, or numbers of nodes with commas between them")
    return [int(number) for number in numbers]


@group.command()
def end(vm: VmArgument) -> None:
    """End a VM.

    Every call in it ends with VMNOTRUN, and its processes get SIGPIPE.
    """
    from drvs.cli.reach import the_vm

    found = the_vm(vm)
    bound = len(found.processes())
    found.end()
    typer.echo(f"VM {found.id} '{found.name}' has ended" + (f"; {bound} endpoints were unbound." if bound else "."))


def as_json(info: VmInfo) -> dict[str, object]:
    """Return a VM as `--json` shows it."""
    return {
        "vmid": int(info.vmid),
        "name": info.name,
        "state": info.state.name.lower(),
        "bound": info.bound,
        "nr_procs": info.nr_procs,
        "nr_tasks": info.nr_tasks,
        "nr_sysprocs": info.nr_sysprocs,
        "nodes": [bit for bit in range(info.nodes.bit_length()) if info.nodes >> bit & 1],
    }


@group.command("list")
def list_(json: Json = False) -> None:
    """List the VMs of the node."""
    from drvs.cli.reach import the_node
    from drvs.ui.table import show_json

    infos = the_node().vms()
    if json:
        show_json([as_json(info) for info in infos])
    elif infos:
        show_table(infos)
    else:
        typer.echo("No VM yet. Make one: drvs vm create NAME")


def show_table(infos: list[VmInfo]) -> None:
    """Print a table of VMs."""
    from drvs.ui.table import Column, number, plain, show

    columns = [
        number("id"),
        Column("name", style="name"),
        Column("state"),
        number("bound"),
        number("procs"),
        number("tasks"),
        number("sysprocs"),
    ]
    show(
        columns,
        [[i.vmid, plain(i.name), i.state.name.lower(), i.bound, i.nr_procs, i.nr_tasks, i.nr_sysprocs] for i in infos],
    )


@group.command()
def show(vm: VmArgument, json: Json = False) -> None:
    """Show a VM and who is bound in it."""
    from drvs.cli import ps
    from drvs.cli.reach import the_vm
    from drvs.ui import table

    found = the_vm(vm)
    info, processes = found.info(), found.processes()
    if json:
        table.show_json(as_json(info) | {"processes": [ps.as_json(found.name, process) for process in processes]})
        return
    table.show_pairs((name.replace("_", " "), _listed(value)) for name, value in as_json(info).items())
    if processes:
        typer.echo()
        ps.show_table([(found.name, process) for process in processes], with_vm=False)


def _listed(value: object) -> str:
    from drvs.ui.table import plain

    return ", ".join(map(str, value)) if isinstance(value, list) else plain(str(value))
