"""drvs sim: simulate a cluster, and judge what it does."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from drvs.cli.failure import tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from drvs.sim import Options, Result


def sim(
    seed: Annotated[int, typer.Option("--seed", help="The history, or the first of them.")] = 0,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many histories, one seed after the other.")] = 1,
    nodes: Annotated[int, typer.Option("--nodes", min=2, max=1000, help="Nodes of the cluster.")] = 5,
    processes: Annotated[int, typer.Option("--processes", min=1, max=64, help="Processes of a node in a VM.")] = 5,
    events: Annotated[
        int | None, typer.Option("--events", min=0, help="Events of a history; without --messages 2000.")
    ] = None,
    messages: Annotated[int, typer.Option("--messages", min=0, help="End it after so many; 0: by events.")] = 0,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="KIND", help="loss, cut, break, slow, stall, death, proxies, node."),
    ] = None,
    fixed: Annotated[bool, typer.Option("--fixed", help="The same weather for every seed.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Print the whole history.")] = False,
    shrink: Annotated[bool, typer.Option("--shrink", help="Look for the shortest history that still fails.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each seed.")] = False,
) -> None:
    """Simulate a cluster from a seed, with accidents of all kinds, and judge every call and message.

    The real core and the real sessions run on a virtual network, in virtual time; nothing on this machine is touched. A
    seed that fails prints what was violated, the last lines of its history, and the command that repeats it. Exit
    status 0 if nothing was violated, 1 otherwise.
    """
    import msgspec

    from drvs.sim import Options, run_many
    from drvs.sim.options import ENDLESS

    if events is None:
        events = ENDLESS if messages else Options().events
    lines = 0 if trace else Options().trace_lines
    options = msgspec.structs.replace(
        Options(), nodes=nodes, processes=processes, events=events, messages=messages, trace_lines=lines
    )
    kinds = tuple(without or ())
    options.without(kinds)
    results = run_many(range(seed, seed + seeds), options, fixed=fixed, without=kinds)
    failed = _show(_watched(results, seeds), options, trace=trace, as_json=as_json)
    if failed and shrink:
        _show_shorter(failed[0], options, fixed=fixed, as_json=as_json)
    raise typer.Exit(1 if failed else 0)


def _watched(results: Iterable[Result], seeds: int) -> Iterator[Result]:
    """Show how far it is, where somebody looks."""
    if seeds < 20 or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, "Simulating", seeds, console=Console(stderr=True), transient=True)


def _show(results: Iterable[Result], options: Options, *, trace: bool, as_json: bool) -> list[Result]:
    """Show each result; return those that failed."""
    import msgspec

    failed, total, events, messages, cpu_s = [], 0, 0, 0, 0.0
    for result in results:
        total, events = total + 1, events + result.events
        messages, cpu_s = messages + result.messages, cpu_s + result.cpu_s
        if as_json:
            typer.echo(json.dumps(msgspec.to_builtins(result)))
        elif result.violation or trace:
            _show_history(result)
        if result.violation:
            failed.append(result)
    if not as_json:
        rate = f"{cpu_s / total:.3f} s each" if total else ""
        verdict = f"{len(failed)} with a violation" if failed else "no violation"
        typer.echo(f"{total} histories, {events} events, {messages} messages, {rate}: {verdict}")
    return failed


def _show_history(result: Result) -> None:
    from drvs.sim import LEGEND

    typer.echo(f"{LEGEND}\n")
    for line in result.trace:
        typer.echo(line)
    if result.violation:
        typer.echo("")
        tell(f"seed {result.seed}: {result.violation}", f"To see it again: {result.command} --trace")


def _show_shorter(failed: Result, options: Options, *, fixed: bool, as_json: bool) -> None:
    import msgspec

    from drvs.sim import shrink

    shorter = shrink(failed, options, fixed=fixed, told=lambda text: typer.echo(text, err=True))
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(shorter)))
    else:
        typer.echo(f"\nThe shortest found: {shorter.command} --trace\n{shorter.violation}")
