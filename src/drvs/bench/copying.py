"""Table `copy`: blocks copied out of another process by drvs, beside process_vm_readv in a bare C loop.

The other process offers one block and waits in receive, as a party of a copy must. Both sides of a row take turns.
"""

from __future__ import annotations

import time
from array import array
from itertools import repeat
from typing import Any

import drvs
from drvs.bench.mechanisms.ours import LOOKUP_S, VM_NAME
from drvs.bench.pair import Worker, end, spawn
from drvs.bench.placement import Placement, different, placements
from drvs.bench.settings import Settings
from drvs.bench.stats import Row, Series, copy_row
from drvs.core import _core
from drvs.ui.progress import Steps

SIZES = (4 << 10, 64 << 10, 512 << 10)
OURS, RAW = "drvs", "process_vm_readv"
OWNER_NAME = "bench-blocks"

Results = dict[tuple[str, str, int], Series]
"""By mechanism, placement and size."""


def offer() -> None:
    """Be the process that is copied from: tell the address of a block to whoever asks, and wait."""
    with drvs.connect().vm(VM_NAME).bind(name=OWNER_NAME) as endpoint, endpoint.block(max(SIZES)) as block:
        block.view[:] = bytes(range(256)) * (max(SIZES) // 256)
        request = endpoint.receive_request(drvs.Message())
        while True:
            request.m1_p1 = block.address
            endpoint.reply_receive(request, request)


class Copier:
    """The process that copies and measures."""

    def open(self) -> None:
        """Bind, and ask for the block."""
        vm = drvs.connect().vm(VM_NAME)
        self.owner = vm.lookup(OWNER_NAME, timeout=LOOKUP_S)
        self.owner_pid = next(process.pid for process in vm.processes() if process.endpoint == self.owner)
        self.endpoint = vm.bind()
        self.address = self.endpoint.sendrec(self.owner, drvs.Message(1)).m1_p1
        self.block = self.endpoint.block(max(SIZES))

    def check(self) -> bool:
        """Copy once with drvs and tell whether the bytes are right."""
        self.endpoint.copy((self.owner, self.address), self.block)
        return bytes(self.block.view[:512]) == bytes(range(256)) * 2

    def batch(self, mechanism: str, nbytes: int, copies: int) -> int:
        """Copy `copies` times in a row; nanoseconds of all."""
        if mechanism == RAW:
            return int(_core.raw_copy(self.owner_pid, self.address, self.block.view[:nbytes], copies))
        copy, source, block = self.endpoint.copy, (self.owner, self.address), self.block[:nbytes]
        start = time.perf_counter_ns()
        for _ in repeat(None, copies):
            copy(source, block)
        return time.perf_counter_ns() - start

    def singles(self, mechanism: str, nbytes: int, copies: int, clock_cost: int) -> list[int]:
        """Time copies one by one."""
        if mechanism == RAW:
            times = array("Q", bytes(8 * copies))
            _core.raw_copy(self.owner_pid, self.address, self.block.view[:nbytes], copies, times)
            return times.tolist()
        copy, source, block = self.endpoint.copy, (self.owner, self.address), self.block[:nbytes]
        now, taken = time.perf_counter_ns, []
        for _ in repeat(None, copies):
            start = now()
            copy(source, block)
            taken.append(now() - start - clock_cost)
        return taken


def step_count(_settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(_chosen()) * len(SIZES)


def _chosen() -> list[Placement]:
    """Where: two cores and one; unpinned says nothing new of a copy."""
    return [different(), *(place for place in placements() if place.one_core)][: 2 if len(placements()) > 2 else 1]


def measure(settings: Settings, steps: Steps) -> Results:
    """Measure the table."""
    results: Results = {}
    for placement in _chosen():
        owner = spawn(offer, placement.server)
        copier = Worker(Copier(), placement.client, f"copy, {placement.name}")
        try:
            copier.do("open")
            copier.do("check")
            for nbytes in SIZES:
                steps.begin(f"copy, {placement.name}: {nbytes >> 10} KiB")
                for mechanism, series in _size(copier, nbytes, settings).items():
                    results[mechanism, placement.name, nbytes] = series
                steps.done()
        finally:
            copier.close()
            end(owner)
    return results


def _size(copier: Worker, nbytes: int, settings: Settings) -> dict[str, Series]:
    """Measure one size with both mechanisms in turns."""
    found = {OURS: Series(), RAW: Series()}
    copies = max(5, int(settings.batch_s * 5e9 / nbytes))
    for _ in range(settings.rounds):
        for mechanism, series in found.items():
            series.means.append(copier.do("batch", mechanism, nbytes, copies) / copies)
            series.singles += copier.do(
                "singles", mechanism, nbytes, min(copies, settings.singles), settings.clock_cost
            )
    return found


def rows(results: Results) -> list[Row]:
    """Return the rows of the results."""
    return [copy_row(mechanism, place, nbytes, series) for (mechanism, place, nbytes), series in results.items()]


def gib_per_second(series: Any, nbytes: int) -> float:
    """Return the speed of a series of copies."""
    return nbytes / series.mean * 1e9 / (1 << 30) if series.mean else 0.0
