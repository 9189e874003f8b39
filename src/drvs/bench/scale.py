"""Table `scale`: does a call cost more among 30,000 bound endpoints, at least 10,000 of them real threads?

Three rows, in turns: a pair alone in its VM; a pair among the crowd; and callers scattered over the crowd's slots, who
call the same server one after the other, so that hardly a line of theirs is in a cache.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice

import drvs
from drvs.bench.mechanisms.base import Mechanism
from drvs.bench.mechanisms.ours import LOOKUP_S, Ours
from drvs.bench.pair import Pair, Worker
from drvs.bench.placement import different
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, timing_row
from drvs.ui.progress import Steps

CROWD_VM = "bench-crowd"
CALLERS = 4000
FIRST_SLOT = 90
"""The free user slots below are for those who bind anywhere."""
_STACK_BYTES = 128 << 10
_CHUNK = 500

Results = dict[str, Series]


class InVm(Ours):
    """sendrec in a VM of our choice, under a name of our choice."""

    def __init__(self, name: str, vm_name: str) -> None:
        self.name = name
        self.vm_name = vm_name


class Scattered(InVm):
    """sendrec by thousands of endpoints in slots at random, each calling in its turn."""

    slots: list[int]

    def open(self) -> None:
        vm = drvs.connect().vm(self.vm_name)
        server = vm.lookup(self.server_name, timeout=LOOKUP_S)
        self.endpoints = [vm.bind(slot) for slot in self.slots]
        self.server, self.message, self.at = server, drvs.Message(1), 0
        self.calls = [endpoint.sendrec for endpoint in self.endpoints]

    def _next(self, calls: int) -> Sequence[Callable[..., object]]:
        """The callers of the next `calls` calls, going round."""
        turns = [self.calls[(self.at + i) % len(self.calls)] for i in range(min(calls, len(self.calls)))]
        self.at = (self.at + calls) % len(self.calls)
        return (turns * (calls // len(turns) + 1))[:calls]

    def batch(self, calls: int) -> int:
        turns, server, message = self._next(calls), self.server, self.message
        start = time.perf_counter_ns()
        for sendrec in turns:
            sendrec(server, message)
        return time.perf_counter_ns() - start

    def singles(self, calls: int, clock_cost: int) -> list[int]:
        now, times = time.perf_counter_ns, []
        for sendrec in self._next(calls):
            start = now()
            sendrec(self.server, self.message)
            times.append(now() - start - clock_cost)
        return times


class Crowd:
    """A process that binds thousands of endpoints, part of them by threads of their own, and does nothing else."""

    def open(self) -> None:
        """Connect."""
        self.vm = drvs.connect().vm(CROWD_VM)
        self.stay = threading.Event()
        self.endpoints: list[drvs.Endpoint] = []
        self.failures: list[str] = []
        threading.stack_size(_STACK_BYTES)

    def _member(self, slot: int, bound: threading.Semaphore) -> None:
        try:
            endpoint = self.vm.bind(slot, thread=True)
        except drvs.DrvsError as error:
            self.failures.append(str(error))
            bound.release()
            return
        bound.release()
        self.stay.wait()
        del endpoint

    def bind_threads(self, slots: list[int]) -> int:
        """Start a thread for each slot that binds there and stays; returns how many failed."""
        bound = threading.Semaphore(0)
        for slot in slots:
            threading.Thread(target=self._member, args=(slot, bound), daemon=True).start()
            bound.acquire()
        return len(self.failures)

    def bind_endpoints(self, slots: list[int]) -> int:
        """Bind each slot for this process."""
        self.endpoints += [self.vm.bind(slot) for slot in slots]
        return len(self.endpoints)


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return settings.endpoints // _CHUNK + settings.rounds


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table in the VMs `bench` and `bench-crowd`, which must have room for the crowd."""
    slots = list(range(FIRST_SLOT, FIRST_SLOT + settings.endpoints - 1))
    random.Random(0).shuffle(slots)
    callers, members = slots[: CALLERS if not settings.quick else CALLERS // 10], iter(slots[CALLERS:])
    crowd = Worker(Crowd(), different().client | different().server, "scale, the crowd")
    try:
        crowd.do("open")
        _gather(crowd, "bind_threads", list(islice(members, settings.threads)), steps)
        _gather(crowd, "bind_endpoints", list(members), steps)
        return _interleaved(callers, settings, steps)
    finally:
        crowd.close()


def _gather(crowd: Worker, how: str, slots: list[int], steps: Steps) -> None:
    """Bind a part of the crowd, piece by piece so that the bar moves."""
    for at in range(0, len(slots), _CHUNK):
        steps.begin(f"scale: {how.replace('_', 'ing ', 1)}, {at:,} of {len(slots):,}")
        crowd.do(how, slots[at : at + _CHUNK])
        steps.done()


def _interleaved(callers: list[int], settings: Settings, steps: Steps) -> Results:
    alone = InVm("drvs (2 endpoints)", "bench")
    among = InVm(f"drvs ({settings.endpoints:,} endpoints)", CROWD_VM)
    scattered = Scattered("drvs (scattered callers)", CROWD_VM)
    scattered.slots = callers
    mechanisms: list[Mechanism] = [alone, among, scattered]
    with ExitStack() as stack:
        pairs = [stack.enter_context(Pair(mechanism, different())) for mechanism in mechanisms]
        for pair in pairs:
            pair.calibrate(settings.batch_s)
        for turn in range(settings.rounds):
            steps.begin(f"scale: round {turn + 1}")
            for pair in pairs:
                pair.round(settings.clock_cost, settings.singles)
            steps.done()
        return {pair.mechanism.name: pair.series for pair in pairs}


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("scale", mechanism, different().name, series) for mechanism, series in results.items()]
