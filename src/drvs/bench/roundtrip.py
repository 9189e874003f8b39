"""Table `roundtrip`: 64 bytes there and back, by every mechanism, on two cores, on one, and unpinned.

Our own calls and the C ping-pong take turns, round by round, since the host moves its cores about: the ratio of two
mechanisms is the median over the rounds of the ratio within a round. The others are measured one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from drvs.bench.mechanisms.base import Mechanism
from drvs.bench.mechanisms.cface import cface
from drvs.bench.mechanisms.extras import extras
from drvs.bench.mechanisms.ours import ours
from drvs.bench.mechanisms.queues import queues
from drvs.bench.mechanisms.stdlib import stdlib
from drvs.bench.mechanisms.yardstick import yardsticks
from drvs.bench.pair import BenchFailed, Pair
from drvs.bench.placement import Placement, placements
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, timing_row
from drvs.ui.progress import Steps

Results = dict[tuple[str, str], Series]
"""By mechanism and placement."""


def interleaved(mechanisms: Sequence[Mechanism], placement: Placement, settings: Settings, steps: Steps) -> Results:
    """Measure mechanisms that take turns in every round."""
    with ExitStack() as stack:
        pairs = [stack.enter_context(Pair(mechanism, placement)) for mechanism in mechanisms]
        for pair in pairs:
            pair.calibrate(settings.batch_s)
        for turn in range(settings.rounds):
            for pair in pairs:
                steps.begin(f"round trip, {placement.name}: {pair.mechanism.name}, round {turn + 1}")
                pair.round(settings.clock_cost, settings.singles)
                steps.done(1 / settings.rounds)
        return {(pair.mechanism.name, placement.name): pair.series for pair in pairs}


def alone(mechanism: Mechanism, placement: Placement, settings: Settings, steps: Steps) -> Results:
    """Measure one mechanism by itself."""
    steps.begin(f"round trip, {placement.name}: {mechanism.name}")
    with Pair(mechanism, placement) as pair:
        pair.calibrate(settings.batch_s)
        for _ in range(settings.peer_rounds):
            pair.round(settings.clock_cost, settings.singles)
    steps.done()
    return {(mechanism.name, placement.name): pair.series}


def present(settings: Settings) -> list[Mechanism]:
    """Return the peers that can be measured here; the others are noted by name in `settings.skipped`."""
    found = []
    for mechanism in [*stdlib(), *queues(), *extras()]:
        reason = mechanism.missing()
        if reason is None:
            found.append(mechanism)
        else:
            settings.skipped[mechanism.name] = reason
    return found


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(placements()) * (len(in_turns(settings)) + len(present(settings)))


def in_turns(settings: Settings) -> list[Mechanism]:
    """Return what takes turns: our calls from Python and from C, and the yardsticks."""
    if not cface():
        settings.skipped["drvs-c"] = "this installation has no C library"
    return [*ours(), *cface(), *yardsticks()]


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    for placement in placements():
        results |= interleaved(in_turns(settings), placement, settings, steps)
        for mechanism in present(settings):
            try:
                results |= alone(mechanism, placement, settings, steps)
            except (BenchFailed, OSError) as error:
                settings.skipped[f"{mechanism.name}, {placement.name}"] = str(error)
                steps.done()
    return results


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("roundtrip", mechanism, placement, series) for (mechanism, placement), series in results.items()]
