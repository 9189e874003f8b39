"""Table `stream`: 64 MiB to another node: copies of 512 KiB in a loop, each of which is waited for, or one copy of all;
beside a bare socket that sends them at once.

They take turns, and whoever had none for a second has lost more than the caches (the proxies close memory of others
that is not used): one call that does not count comes before each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from drvs.bench.cluster.pairs import STREAM_MOST, Pair
from drvs.bench.cluster.sites import Site, labs
from drvs.bench.cluster.stores import WHOLE
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, copy_row, paired_ratio
from drvs.ui.progress import Steps

Results = dict[tuple[str, str], Series]
"""By mechanism and place."""

SHARED, OTHER = "Blocks in shared memory", "other memory"
ONE = "one copy"
PEERS = {
    "store": SHARED, "other-memory": OTHER,
    "whole-store": f"{SHARED}, {ONE}", "whole-other-memory": f"{OTHER}, {ONE}",
}  # fmt: skip
"""What is copied and how, by the peer."""
BARE = {False: ("tcp-stream", "bare TCP socket"), True: ("tls-stream", "bare TLS 1.3 socket")}
_PLACES = (Site(), Site(tls=True))
_SITES = (Site(), Site(spin=False), Site(tls=True), Site(spin=False, tls=True))


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(_PLACES) * settings.stream_rounds


def _measure_place(place: Site, settings: Settings, steps: Steps) -> Results:
    quiet = Site(spin=False, tls=place.tls)
    with ExitStack() as stack:
        found = stack.enter_context(labs(place, quiet))
        pairs: dict[tuple[str, str], Pair] = {}
        for site in (place, quiet):
            for peer, memory in PEERS.items():
                pair = Pair(found[site], peer, most=STREAM_MOST)
                pairs[f"{site.ours}, {memory}", site.place] = stack.enter_context(pair)
        peer, name = BARE[place.tls]
        pairs[name, place.place] = stack.enter_context(Pair(found[place], peer, most=STREAM_MOST))
        for pair in pairs.values():
            pair.calibrate(settings.stream_s)
        for turn in range(settings.stream_rounds):
            steps.begin(f"64 MiB to another node, {place.place}, round {turn + 1}")
            for pair in pairs.values():
                pair.warm_up()
                pair.round(settings.clock_cost, 1)
            steps.done()
        return {key: pair.series for key, pair in pairs.items()}


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    for place in _PLACES:
        results |= _measure_place(place, settings, steps)
    return results


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [
        copy_row(mechanism, place, WHOLE, series) | {"table": "stream"}
        for (mechanism, place), series in results.items()
    ]


def targets(results: Results) -> Iterator[Target]:
    """Yield the promises about bytes a second."""
    for site in _SITES:
        bare = results.get((BARE[site.tls][1], site.place))
        for memory in PEERS.values():
            bound = 0.75 if site.tls else 0.85 if memory.startswith(SHARED) else 0.4
            ours = results.get((f"{site.ours}, {memory}", site.place))
            if ours and bare:
                what = f"64 MiB, {site.ours}, {memory} / {BARE[site.tls][1]}, {site.place}"
                yield Target(what, paired_ratio(bare, ours), bound, at_most=False)
