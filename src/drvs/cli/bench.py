"""drvs bench: measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drvs.cli.failure import tell

if TYPE_CHECKING:
    from drvs.bench.run import Run, Table
    from drvs.bench.settings import Settings

group = typer.Typer(help="Measure drvs beside its peers.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the rows there, and machine and commit to FILE's .meta.json."),
]
Quick = Annotated[bool, typer.Option("--quick", help="A first look in half a minute; not figures to quote.")]
_TABLE = typer.Option("--table", "-t", help="Only this table (repeatable; default: all).")


class LocalTable(StrEnum):
    """The tables of `bench local`, by the question they answer."""

    roundtrip = "roundtrip"
    copy = "copy"
    scale = "scale"
    fanin = "fanin"
    memory = "memory"


class ImagesTable(StrEnum):
    """The tables of `bench images`."""

    cycle = "cycle"
    heap = "heap"
    copies = "copies"
    pause = "pause"
    memory = "memory"


class ExecutorTable(StrEnum):
    """The tables of `bench executor`."""

    start = "start"
    calls = "calls"
    memory = "memory"


class ClusterTable(StrEnum):
    """The tables of `bench cluster`."""

    links = "links"
    callers = "callers"
    stream = "stream"
    memory = "memory"
    simulation = "simulation"


@group.command()
def local(
    json_file: Json = None, quick: Quick = False, table: Annotated[list[LocalTable] | None, _TABLE] = None
) -> None:
    """Measure on this machine: round trips, copies, many endpoints, many callers, memory.

    Runs a node of its own in a scratch directory. Stop what else is busy first: a full run takes a few minutes and is
    only as good as the machine is quiet. Ratios within one run compare; figures of two runs do not.
    """
    _refuse_unwritable(json_file)
    from drvs.bench import local as bench

    _measure(bench.TABLES, bench.run, table, json_file, quick)


@group.command()
def images(
    json_file: Json = None, quick: Quick = False, table: Annotated[list[ImagesTable] | None, _TABLE] = None
) -> None:
    """Measure process images: dump and restore beside CRIU, speed, copies, the pause of a live fork, memory.

    Programs of its own are put aside and brought back, with images on tmpfs; CRIU takes turns where it is installed
    and this is root.
    """
    _refuse_unwritable(json_file)
    from drvs.bench.images import tables as bench

    _measure(bench.TABLES, bench.run, table, json_file, quick)


@group.command()
def executor(
    json_file: Json = None, quick: Quick = False, table: Annotated[list[ExecutorTable] | None, _TABLE] = None
) -> None:
    """Measure drvs.Executor: the start of 64 warm workers, calls, memory, beside the process pools of others.

    loky, Ray and Dask are measured where they are installed. A full run takes some minutes, most of them for peers.
    """
    _refuse_unwritable(json_file)
    from drvs.bench.executor import tables as bench

    _measure(bench.TABLES, bench.run, table, json_file, quick)


@group.command()
def cluster(
    json_file: Json = None, quick: Quick = False, table: Annotated[list[ClusterTable] | None, _TABLE] = None
) -> None:
    """Measure nodes in a lab: calls, many callers, large blocks, beside bare sockets and other packages; idle cost.

    Labs of two nodes, each on a core of its own, joined directly; this needs root and two cores. pyzmq, rpyc, gRPC and
    NATS are measured where they are installed. The table of the simulation needs none of that.
    """
    _refuse_unwritable(json_file)
    from drvs.bench.cluster import tables as bench

    _measure(bench.TABLES, bench.run, table, json_file, quick)


def _measure(
    tables: Mapping[str, Table],
    run: Callable[[Sequence[str], Settings], Run],
    chosen: Sequence[StrEnum] | None,
    json_file: Path | None,
    quick: bool,
) -> None:
    """Measure, show, and write."""
    from drvs.bench import run as runner
    from drvs.bench import settings

    names = [name.value for name in chosen] if chosen else list(tables)
    found = run(names, settings.quick() if quick else settings.full())
    runner.show(found, tables)
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
