"""Table `callers`: 64 processes of one node that call a server on another at the same time, as the server sees it.

A batch is long enough for what they do to become steady.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from drvs.bench.cluster.crowd import CALLERS, ZmqCallee, ZmqMany
from drvs.bench.cluster.pairs import Pair, Program, calls_for
from drvs.bench.cluster.peers import Tcp
from drvs.bench.cluster.programs import ALL
from drvs.bench.cluster.sites import Site, labs
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, paired_ratio, timing_row
from drvs.ui.progress import Steps

if TYPE_CHECKING:
    from drvs.lab import Lab

Results = dict[str, Series]
"""By mechanism."""

ZMQ_PORT = 7790
MANY, ONE = f"{CALLERS} callers", "1 caller"


class Group:
    """A server on node 1, which measures, and its callers on node 0.

    Args:
        lab: where.
        server, clients: by the words that name them.
        number: a port of theirs; of drvs, how many callers there are.
    """

    def __init__(self, lab: Lab, server: str, clients: str, number: int) -> None:
        self.series = Series()
        self.calls = 1
        self._callee = self._callers = Program(lab, 1, "drive", server, number)
        try:
            self._callee.do("open")
            self._callers = Program(lab, 0, "serve", clients, number)
            self._callers.read()
            self._callee.do("batch", 10 * CALLERS)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def calibrate(self, seconds: float) -> None:
        """Choose how many calls fill `seconds`."""
        self.calls = max(4 * CALLERS, calls_for(self._callee, seconds))

    def round(self, clock_cost: int, most_singles: int) -> None:
        """Serve a batch."""
        self.series.means.append(self._callee.do("batch", self.calls) / self.calls)
        self.series.singles += self._callee.do("singles", most_singles, clock_cost)

    def close(self) -> None:
        """Kill all."""
        self._callers.close()
        self._callee.close()


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return settings.cluster_rounds


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    sites = (Site(), Site(spin=False))
    with ExitStack() as stack:
        found = stack.enter_context(labs(*sites))
        turns: dict[str, Group | Pair] = {}
        for site in sites:
            for callers, words in ((CALLERS, MANY), (1, ONE)):
                steps.begin(f"{words} of another node, {site.ours}")
                turns[f"{site.ours}, {words}"] = stack.enter_context(Group(found[site], "callee", "callers", callers))
        lab = found[sites[0]]
        turns[Tcp.name] = stack.enter_context(Pair(lab, "tcp"))
        if reason := ZmqMany().missing():
            settings.skipped[ZmqMany.name] = reason
        else:
            for peer in ("zmq-many", "zmq-in-order", "zmq-stream"):
                turns[ALL[peer].name] = stack.enter_context(Pair(lab, peer))
            turns[ZmqCallee.name] = stack.enter_context(Group(lab, "zmq-callee", "zmq-callers", ZMQ_PORT))
        for turn in turns.values():
            turn.calibrate(settings.cluster_s)
        for number in range(settings.cluster_rounds):
            steps.begin(f"many callers of another node, round {number + 1}")
            for turn in turns.values():
                turn.round(settings.clock_cost, settings.cluster_singles)
            steps.done()
        return {name: turn.series for name, turn in turns.items()}


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("callers", name, Site().place, series) for name, series in results.items()]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about many callers: calls a second, so the ratios are upside down."""

    def rate(ours: str, theirs: str, bound: float) -> Iterator[Target]:
        if ours in results and theirs in results:
            ratio = paired_ratio(results[theirs], results[ours])
            yield Target(f"calls a second, {ours} / {theirs}", ratio, bound, at_most=False)

    quiet = Site(spin=False).ours
    yield from rate(f"{quiet}, {MANY}", f"{quiet}, {ONE}", 5)
    for site in (Site(), Site(spin=False)):
        yield from rate(f"{site.ours}, {MANY}", Tcp.name, 4)
        yield from rate(f"{site.ours}, {MANY}", ZmqMany.name, 0.9)
