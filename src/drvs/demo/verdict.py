"""What the demo came to: whether all was right, the final table, and the picture of the latencies."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from drvs.demo.cast import CLIENTS, Actor
from drvs.demo.tree import Tree
from drvs.ui.console import out, unicode_ok
from drvs.ui.picture import histogram
from drvs.ui.table import show_pairs
from drvs.ui.units import count, duration, percentile, size

_PERCENTILES = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max"))


@dataclass
class Verdict:
    """The figures of a demo; `wrong` says in words what should not have been, and is empty if all was right."""

    files: int = 0
    nbytes: int = 0
    calls: int = 0
    seconds: float = 0.0
    deaths_seen: int = 0
    differing: int = 0
    missing: int = 0
    latencies: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def judge(tree: Tree, clients: list[Actor], seconds: float, killed_at: int) -> Verdict:
    """Compare what the clients got with what is on disk.

    Args:
        tree: the files and their digests, read without drvs.
        clients: the client processes, all ended.
        seconds: how long fetching took.
        killed_at: files fetched when the server was killed.
    """
    verdict = Verdict(seconds=seconds)
    for client in clients:
        _judge_client(tree, client, verdict)
    total = CLIENTS * len(tree.digests)
    if not 0 < killed_at < total:
        verdict.wrong.append(f"the server did not die halfway but after {killed_at:,} of {total:,} files")
    if verdict.differing or verdict.missing:
        verdict.wrong.append(f"{verdict.differing} files differ, {verdict.missing} are missing")
    verdict.latencies.sort()
    return verdict


def _judge_client(tree: Tree, client: Actor, verdict: Verdict) -> None:
    finished = client.facts.get("finished")
    if finished is None or client.process.returncode != 0:
        verdict.wrong.append(f"{client.title} did not finish (status {client.process.returncode})")
    deaths = client.counts.get("died", 0)
    if deaths != 1:
        verdict.wrong.append(f"{client.title} saw the server die {deaths} times, not once")
    verdict.deaths_seen += deaths
    digests = finished["digests"] if finished else {}
    verdict.missing += sum(not digests.get(name) for name in tree.digests)
    verdict.differing += sum(bool(got) and got != tree.digests.get(name) for name, got in digests.items())
    verdict.files += sum(map(bool, digests.values()))
    if finished:
        verdict.nbytes += finished["bytes"]
        verdict.calls += len(finished["latencies"])
        verdict.latencies += finished["latencies"]


def _latency_text(verdict: Verdict) -> str:
    return "   ".join(f"{name} {duration(percentile(verdict.latencies, share))}" for share, name in _PERCENTILES)


def _good(number: int, expected: int) -> str:
    return f"[{'ok' if number == expected else 'fail'}]{number}[/]"


def show(verdict: Verdict) -> None:
    """Print the table, the picture and the last word."""
    console = out()
    console.print()
    show_pairs(
        [
            ("files fetched", count(verdict.files)),
            ("bytes copied", f"{size(verdict.nbytes)}  ({size(verdict.nbytes / verdict.seconds)}/s)"),
            ("calls", f"{count(verdict.calls)}  ({count(verdict.calls / verdict.seconds)} calls/s)"),
            ("latency of a call", _latency_text(verdict)),
            (
                "failures seen",
                f"{_good(verdict.deaths_seen, CLIENTS)}  (one server death, seen by each of {CLIENTS} clients)",
            ),
            ("files missing", _good(verdict.missing, 0)),
            ("files that differ", _good(verdict.differing, 0)),
        ],
        "What came of it",
    )
    console.print("\nHow long a call took, the wait behind seven other clients included", style="bold")
    width = min(100, console.width - 2)
    for line in histogram(verdict.latencies, width, 8, unicode_ok(sys.stdout)):
        console.print(line, style="name", markup=False, no_wrap=True, crop=True)
    console.print()
    for text in verdict.wrong:
        console.print(f"[fail]wrong:[/] {text}")
    if not verdict.wrong:
        console.print(
            "[ok]All is right:[/] the server died under eight calls, every client noticed and went on, no byte differs."
        )
