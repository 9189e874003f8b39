"""Table `links`: 64 bytes to another node and back, one call at a time.

Ours, with and without the proxies' spin, and a bare socket take turns, round by round, between the same two nodes: the
ratio of two is the median over the rounds of the ratio within a round. Other packages take turns with them as well,
since pyzmq has a promise of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from drvs.bench.cluster.pairs import Pair
from drvs.bench.cluster.peers import PEERS
from drvs.bench.cluster.sites import Site, labs
from drvs.bench.pair import BenchFailed
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, paired_ratio, timing_row
from drvs.ui.progress import Steps

PAUSE_S = 0.001
BARE = {False: "tcp", True: "tls"}
OTHERS = ("zmq", "rpyc", "grpc", "nats")

Key = tuple[str, str]
"""A row: mechanism and place."""
Results = dict[Key, Series]

_PLACES = (Site(), Site(tls=True), Site(one_core=True))


def _key(site: Site, peer: str, more: str = "") -> Key:
    return site.ours if peer == "drvs" else PEERS[peer].name, site.place + more


def _present(settings: Settings) -> list[str]:
    """Return the packages that are installed; the others are noted in `settings.skipped`."""
    found = []
    for name in OTHERS:
        peer = PEERS[name]()
        if reason := peer.missing():
            settings.skipped[peer.name] = reason
        else:
            found.append(name)
    return found


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return (len(_PLACES) + 1) * settings.cluster_rounds


class Party:
    """All that take turns in a place."""

    def __init__(self, place: Site, others: Sequence[str], settings: Settings, stack: ExitStack) -> None:
        self.settings = settings
        self.pairs: dict[Key, Pair] = {}
        quiet = Site(spin=False, tls=place.tls, one_core=place.one_core)
        found = stack.enter_context(labs(place, quiet))
        for site in (place, quiet):
            self.pairs[_key(site, "drvs")] = stack.enter_context(Pair(found[site], "drvs"))
        for name in (BARE[place.tls], *others):
            try:
                self.pairs[_key(place, name)] = stack.enter_context(Pair(found[place], name))
            except BenchFailed as error:
                settings.skipped[f"{PEERS[name].name}, {place.place}"] = str(error)

    def measure(self, steps: Steps, place: str) -> Results:
        """Back-to-back calls."""
        for pair in self.pairs.values():
            pair.calibrate(self.settings.cluster_s)
        for turn in range(self.settings.cluster_rounds):
            steps.begin(f"calls to another node, {place}, round {turn + 1}")
            for pair in self.pairs.values():
                pair.round(self.settings.clock_cost, self.settings.cluster_singles)
            steps.done()
        return {key: pair.series for key, pair in self.pairs.items()}

    def measure_paced(self, steps: Steps) -> Results:
        """Calls with a pause before each."""
        chosen = {key: pair for key, pair in self.pairs.items() if key[0].startswith(("drvs", "bare"))}
        for pair in chosen.values():
            pair.series = Series()
        for turn in range(self.settings.cluster_rounds):
            steps.begin(f"calls to another node, 1 ms between them, round {turn + 1}")
            for pair in chosen.values():
                pair.paced(self.settings.paced_calls, PAUSE_S)
            steps.done()
        return {(name, f"{place}, 1 ms between calls"): pair.series for (name, place), pair in chosen.items()}


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    for place in _PLACES:
        with ExitStack() as stack:
            party = Party(place, () if place.tls or place.one_core else _present(settings), settings, stack)
            results |= party.measure(steps, place.place)
            if place == Site():
                results |= party.measure_paced(steps)
    return results


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("links", mechanism, place, series) for (mechanism, place), series in results.items()]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about single calls."""
    spin, quiet = Site().ours, Site(spin=False).ours
    tcp, tls, zmq = (PEERS[name].name for name in ("tcp", "tls", "zmq"))
    two, one = Site().place, Site(one_core=True).place
    secure, paced = Site(tls=True).place, f"{two}, 1 ms between calls"
    promises = (
        (spin, tcp, two, 0.8), (spin, zmq, two, 0.5), (spin, tls, secure, 0.8), (spin, tcp, paced, 1.5),
        (spin, quiet, one, 1.1), (quiet, tcp, two, 1.8), (quiet, tls, secure, 1.9),
    )  # fmt: skip
    for ours, theirs, place, bound in promises:
        if (ours, place) in results and (theirs, place) in results:
            ratio = paired_ratio(results[ours, place], results[theirs, place])
            yield Target(f"{ours} / {theirs}, {place}", ratio, bound)
