"""Table `fanin`: one server on one core; is as much done for sixteen callers on the other core as for one?

The server measures: it counts the requests it answers. While it does not serve, its callers are blocked, so two groups
can take turns.
"""

from __future__ import annotations

import time
from itertools import repeat

import drvs
from drvs.bench.mechanisms.ours import LOOKUP_S, VM_NAME
from drvs.bench.pair import Worker, end, spawn
from drvs.bench.placement import different
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, timing_row
from drvs.ui.progress import Steps

GROUPS = (1, 16)

Results = dict[int, Series]
"""By the number of callers."""


class Server:
    """Answers as many requests as it is asked to, and says how long that took."""

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self) -> None:
        """Bind."""
        self.endpoint = drvs.connect().vm(VM_NAME).bind(name=self.name)

    def first(self) -> None:
        """Wait for the first caller."""
        self.request = self.endpoint.receive_request(drvs.Message())

    def serve(self, requests: int) -> int:
        """Answer `requests` requests; nanoseconds of all. The next one is taken but not answered."""
        reply_receive, request = self.endpoint.reply_receive, self.request
        start = time.perf_counter_ns()
        for _ in repeat(None, requests):
            reply_receive(request, request)
        return time.perf_counter_ns() - start

    def singles(self, requests: int, clock_cost: int) -> list[int]:
        """Time from one request to the next."""
        reply_receive, request, now, times = self.endpoint.reply_receive, self.request, time.perf_counter_ns, []
        for _ in repeat(None, requests):
            start = now()
            reply_receive(request, request)
            times.append(now() - start - clock_cost)
        return times


def call_for_ever(name: str) -> None:
    """Be a caller."""
    vm = drvs.connect().vm(VM_NAME)
    server = vm.lookup(name, timeout=LOOKUP_S)
    with vm.bind() as endpoint:
        message, sendrec = drvs.Message(1), endpoint.sendrec
        while True:
            sendrec(server, message)


class Group:
    """A server and its callers."""

    def __init__(self, callers: int) -> None:
        self.name = f"fanin-{callers}"
        self.series = Series()
        self.server = Worker(Server(self.name), different().server, self.name)
        self.callers: list[int] = []
        try:
            self.server.do("open")
            self.callers = [spawn(lambda: call_for_ever(self.name), different().client) for _ in range(callers)]
            self.server.do("first")
            took = self.server.do("serve", 2000)
        except BaseException:
            self.close()
            raise
        self.per_request = took / 2000

    def round(self, settings: Settings) -> None:
        """Serve for a batch."""
        requests = max(100, int(2 * settings.batch_s * 1e9 / self.per_request))
        self.series.means.append(self.server.do("serve", requests) / requests)
        self.series.singles += self.server.do("singles", settings.singles, settings.clock_cost)

    def close(self) -> None:
        """Kill them all."""
        for pid in self.callers:
            end(pid)
        self.server.close()


def step_count(settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return settings.rounds


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    groups: dict[int, Group] = {}
    try:
        for callers in GROUPS:
            steps.begin(f"fan-in: {callers} callers bind")
            groups[callers] = Group(callers)
        for turn in range(settings.rounds):
            steps.begin(f"fan-in: round {turn + 1}")
            for group in groups.values():
                group.round(settings)
            steps.done()
        return {callers: group.series for callers, group in groups.items()}
    finally:
        for group in groups.values():
            group.close()


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [timing_row("fanin", f"drvs ({n} caller{'s' * (n > 1)})", different().name, s) for n, s in results.items()]
