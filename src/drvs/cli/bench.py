"""drvs bench: measure."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from drvs.cli.failure import tell

group = typer.Typer(help="Measure drvs beside its peers.", no_args_is_help=True, rich_markup_mode=None)


class TableName(StrEnum):
    """The tables of `bench local`, by the question they answer."""

    roundtrip = "roundtrip"
    copy = "copy"
    scale = "scale"
    fanin = "fanin"
    memory = "memory"


@group.command()
def local(
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Write the rows there, and machine and commit to FILE's .meta.json."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look in half a minute; not figures to quote.")
    ] = False,
    table: Annotated[
        list[TableName] | None, typer.Option("--table", "-t", help="Only this table (repeatable; default: all).")
    ] = None,
) -> None:
    """Measure on this machine: round trips, copies, many endpoints, many callers, memory.

    Runs a node of its own in a scratch directory. Stop what else is busy first: a full run takes a few minutes and is
    only as good as the machine is quiet. Ratios within one run compare; figures of two runs do not.
    """
    from drvs.bench import local as runner
    from drvs.bench.settings import full
    from drvs.bench.settings import quick as quickly

    _refuse_unwritable(json_file)
    names = [name.value for name in table] if table else list(runner.TABLES)
    found = runner.run(names, quickly() if quick else full())
    runner.show(found)
    if json_file is not None:
        meta = runner.write(found, json_file)
        typer.echo(f"\nWrote {json_file} and {meta}.")


def _refuse_unwritable(path: Path | None) -> None:
    """Find out before minutes of measuring that the results cannot be written."""
    if path is None:
        return
    try:
        path.open("a").close()
    except OSError as error:
        tell(f"cannot write {path}: {error.strerror}", "Give --json a file in a directory that exists and is yours.")
        raise typer.Exit(1) from None
