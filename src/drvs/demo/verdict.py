"""What the demo came to: whether all was right, the final table, and the picture of the latencies."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from drvs.demo.cast import CLIENTS, Actor
from drvs.demo.play import Play
from drvs.ui.console import out, unicode_ok
from drvs.ui.picture import histogram
from drvs.ui.table import show_pairs
from drvs.ui.units import count, duration, percentile, size

_PERCENTILES = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max"))
_AT_ONCE_NS = 2_000_000_000
"""What still counts as at once, on a machine that does other things too."""


@dataclass
class Verdict:
    """The figures of a demo; `wrong` says in words what should not have been, and is empty if all was right."""

    files: int = 0
    nbytes: int = 0
    calls: int = 0
    seconds: float = 0.0
    cut_s: float = 0.0
    pause_s: float = 0.0
    deaths_seen: int = 0
    news_ns: int = 0
    miscounted: int = 0
    differing: int = 0
    missing: int = 0
    latencies: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def judge(play: Play) -> Verdict:
    """Compare what the clients got with what is on disk, and what they saw with what was done to them.

    Args:
        play: one that has been performed; its clients have ended.
    """
    verdict = Verdict(seconds=play.seconds, cut_s=play.healed_at - play.cut_at, pause_s=play.pause_s)
    for client in play.clients:
        _judge_client(play, client, verdict)
    if not 0 < play.killed_after < play.total:
        verdict.wrong.append(f"the server did not die halfway but after {play.killed_after:,} of {play.total:,} files")
    if verdict.differing or verdict.missing:
        verdict.wrong.append(f"{verdict.differing} files differ, {verdict.missing} are missing")
    if verdict.miscounted:
        verdict.wrong.append(f"{verdict.miscounted} answers show that a call was lost, or came twice")
    if verdict.news_ns > _AT_ONCE_NS:
        verdict.wrong.append(f"a client learned of the server's death only after {duration(verdict.news_ns)}")
    verdict.latencies.sort()
    return verdict


def _judge_client(play: Play, client: Actor, verdict: Verdict) -> None:
    tree, finished = play.tree, client.facts.get("finished")
    if finished is None or client.process.returncode != 0:
        verdict.wrong.append(f"{client.title} did not finish (status {client.process.returncode})")
        finished = {"digests": {}, "bytes": 0, "latencies": [], "miscounted": 0}
    _judge_death(play, client, verdict)
    digests = finished["digests"]
    verdict.missing += sum(not digests.get(name) for name in tree.digests)
    verdict.differing += sum(bool(got) and got != tree.digests.get(name) for name, got in digests.items())
    verdict.files += sum(map(bool, digests.values()))
    verdict.nbytes += finished["bytes"]
    verdict.calls += len(finished["latencies"])
    verdict.latencies += finished["latencies"]
    verdict.miscounted += finished["miscounted"]


def _judge_death(play: Play, client: Actor, verdict: Verdict) -> None:
    deaths = client.counts.get("died", 0)
    verdict.deaths_seen += deaths
    if deaths != 1:
        verdict.wrong.append(f"{client.title} saw the server die {deaths} times, not once")
    if deaths:
        verdict.news_ns = max(verdict.news_ns, int(1e9 * (client.facts["died"]["at"] - play.killed_at)))


def _latency_text(verdict: Verdict) -> str:
    return "   ".join(f"{name} {duration(percentile(verdict.latencies, share))}" for share, name in _PERCENTILES)


def _good(number: int, expected: int) -> str:
    return f"[{'ok' if number == expected else 'fail'}]{number}[/]"


def show(verdict: Verdict) -> None:
    """Print the table, the picture and the last word."""
    console = out()
    console.print()
    show_pairs(_rows(verdict), "What came of it")
    cut = ", and the second without the link" if verdict.cut_s else ""
    console.print(f"\nHow long a call took, the wait behind seven other clients included{cut}", style="bold")
    width = min(100, console.width - 2)
    for line in histogram(verdict.latencies, width, 8, unicode_ok(sys.stdout)):
        console.print(line, style="name", markup=False, no_wrap=True, crop=True)
    console.print()
    for text in verdict.wrong:
        console.print(f"[fail]wrong:[/] {text}")
    if not verdict.wrong:
        pause = "every client only paused when a link was cut; " if verdict.cut_s else ""
        console.print(
            f"[ok]All is right:[/] {pause}the server died under eight calls, every client noticed and went on; "
            "no call was lost or came twice, no byte differs."
        )


def _rows(verdict: Verdict) -> list[tuple[str, str]]:
    pause = f"{verdict.pause_s:.1f} s at most  (the link was cut for {verdict.cut_s:.1f} s)"
    cut = [("paused by the cut", pause)] if verdict.cut_s else []
    news = f"(a call of each of {CLIENTS} clients; the last one knew after {duration(verdict.news_ns)})"
    return [
        ("files fetched", count(verdict.files)),
        ("bytes copied", f"{size(verdict.nbytes)}  ({size(verdict.nbytes / verdict.seconds)}/s)"),
        ("calls", f"{count(verdict.calls)}  ({count(verdict.calls / verdict.seconds)} calls/s)"),
        ("latency of a call", _latency_text(verdict)),
        *cut,
        ("failed by the death", f"{_good(verdict.deaths_seen, CLIENTS)}  {news}"),
        ("calls lost or repeated", _good(verdict.miscounted, 0)),
        ("files missing", _good(verdict.missing, 0)),
        ("files that differ", _good(verdict.differing, 0)),
    ]
