"""Runs of the simulation: one seed, many, and the shortest history that still fails."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from drvs.sim.options import KINDS, Options
from drvs.sim.violation import Violation
from drvs.sim.world import World


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a seed."""

    seed: int
    #: What was violated; "" if nothing was.
    violation: str
    #: Events, calls, messages received, and virtual seconds of the history.
    events: int
    calls: int
    messages: int
    virtual_s: float
    #: Seconds of CPU time that it took.
    cpu_s: float
    #: The command that repeats it.
    command: str
    #: The last lines of the trace, if there was a violation.
    trace: list[str] = []


def run(seed: int, options: Options, *, fixed: bool = False, without: tuple[str, ...] = ()) -> Result:
    """Play one history, and judge it.

    Args:
        seed: Which.
        options: How large, and how rough.
        fixed: Take the options as they are, and let the seed draw no weather of its own.
        without: Kinds of accidents that do not happen.
    """
    drawn = (options if fixed else options.drawn(seed)).without(without)
    with _no_collector():
        return _played(seed, drawn, command_for(seed, options, fixed=fixed, without=without))


def _played(seed: int, drawn: Options, command: str) -> Result:
    began = time.process_time()
    world = World(seed, drawn)
    violation = ""
    try:
        world.play()
    except Violation as error:
        violation = str(error)
    except Exception as error:
        violation = f"{type(error).__name__}: {error}"
    result = Result(
        seed=seed,
        violation=violation,
        events=world.agenda.events,
        calls=len(world.history.calls),
        messages=world.history.received_messages,
        virtual_s=round(world.agenda.now, 3),
        cpu_s=round(time.process_time() - began, 4),
        command=command,
        trace=world.trace.lines() if violation or drawn.trace_lines == 0 else [],
    )
    world.close()
    return result


@contextmanager
def _no_collector() -> Iterator[None]:
    """Leave cycles alone meanwhile: a history keeps what has happened in it, and looking through that takes long."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def run_many(seeds: range, options: Options, *, fixed: bool = False, without: tuple[str, ...] = ()) -> Iterator[Result]:
    """Play one after the other."""
    for seed in seeds:
        yield run(seed, options, fixed=fixed, without=without)


def command_for(seed: int, options: Options, *, fixed: bool = False, without: tuple[str, ...] = ()) -> str:
    """Return the command that repeats a history."""
    words = [f"drvs sim --seed {seed}"]
    default = Options()
    sized = ("nodes", "processes", "events", "messages")
    changed = [name for name in sized if getattr(options, name) != getattr(default, name)]
    words += [f"--{name} {getattr(options, name)}" for name in changed]
    words += [f"--without {kind}" for kind in without]
    if fixed:
        words.append("--fixed")
    return " ".join(words)


def shrink(
    failed: Result, options: Options, *, fixed: bool = False, told: Callable[[str], None] = lambda _: None
) -> Result:
    """Return the shortest history found in which the same seed still fails: fewer events, then fewer kinds of
    accidents.
    """
    without: tuple[str, ...] = ()
    best = _shorten(failed, options, fixed, without, told)
    for kind in KINDS:
        tried = run(failed.seed, _with_events(options, best.events), fixed=fixed, without=(*without, kind))
        if tried.violation:
            told(f"without {kind}: {tried.violation}")
            best, without = tried, (*without, kind)
    return _shorten(best, options, fixed, without, told)


def _shorten(
    failed: Result, options: Options, fixed: bool, without: tuple[str, ...], told: Callable[[str], None]
) -> Result:
    """Halve the distance to the fewest events with which it does not fail."""
    best, low, high = failed, 0, min(failed.events, options.events)
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        tried = run(failed.seed, _with_events(options, middle), fixed=fixed, without=without)
        if tried.violation:
            told(f"{middle} events: {tried.violation}")
            best, high = tried, middle
        else:
            low = middle
    return best


def _with_events(options: Options, events: int) -> Options:
    return msgspec.structs.replace(options, events=min(events, options.events))
