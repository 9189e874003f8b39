"""drvs dump: the tables as the guide prints them."""

from __future__ import annotations

import typer

from drvs.cli.options import VmArgument

group = typer.Typer(
    help="Write the guide's tables to noded's log and here.", no_args_is_help=True, rich_markup_mode=None
)


@group.command()
def vm() -> None:
    """The VMs: VMID FLAGS NAME."""
    from drvs.cli.reach import the_node

    typer.echo(the_node().dump().rstrip("\n"))


@group.command()
def proc(vm: VmArgument) -> None:
    """The processes of a VM: VMID NR ENDP LPID NODE FLAGS GETF SNDT WITM."""
    from drvs.cli.reach import the_vm

    typer.echo(the_vm(vm).dump().rstrip("\n"))
