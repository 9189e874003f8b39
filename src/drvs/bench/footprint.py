"""Table `memory`: what noded, a binding, an import and a waiting process cost."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import drvs
from drvs.bench.mechanisms.ours import VM_NAME
from drvs.bench.pair import BenchFailed, end, spawn
from drvs.bench.placement import different
from drvs.bench.promise import Target
from drvs.bench.settings import Settings
from drvs.bench.stats import Row
from drvs.ui.progress import Steps

_IMPORT_ROUNDS = 15

_BIND_SCRIPT = """
import re, sys
def private():
    text = open("/proc/self/smaps_rollup").read()
    return sum(int(kib) for kib in re.findall(r"^Private_\\w+:\\s+(\\d+) kB", text, re.M)) / 1024
bare = private()
import drvs
node = drvs.connect()
vm = node.vm(sys.argv[1])
ready = private()
endpoint = vm.bind()
bound = private()
print(bound - ready, bound - bare)
"""


@dataclass(frozen=True)
class Figure:
    """One cost: what, how much, in which unit, and what it may be at most (None: published only)."""

    name: str
    value: float
    unit: str
    most: float | None = None


def private_mib(pid: int) -> float:
    """Return the private memory of a process in MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M)) / 1024


def _noded(_settings: Settings) -> list[Figure]:
    return [Figure("noded, private memory", private_mib(drvs.connect().client.call("hello")["pid"]), "MiB", 40)]


def _binding(_settings: Settings) -> list[Figure]:
    script = [sys.executable, "-c", _BIND_SCRIPT, VM_NAME]
    pairs = [subprocess.run(script, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    return [
        Figure("binding, private memory of the process", median(float(bound) for bound, _ in pairs), "MiB", 2),
        Figure("import, connect and bind together", median(float(whole) for _, whole in pairs), "MiB"),
    ]


def _wall_ms(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return (time.perf_counter() - start) * 1000


def _importing(_settings: Settings) -> list[Figure]:
    _wall_ms("import drvs")
    extra = [_wall_ms("import drvs") - _wall_ms("pass") for _ in range(_IMPORT_ROUNDS)]
    return [Figure("import drvs, above a bare interpreter", median(extra), "ms", 20)]


def _cpu_ns(pid: int) -> int:
    """CPU time of a process so far, exact to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _wait_for_ever() -> None:
    with drvs.connect().vm(VM_NAME).bind(name="bench-waiter") as endpoint:
        endpoint.receive(drvs.ANY)


def _waiting(settings: Settings) -> list[Figure]:
    pid = spawn(_wait_for_ever, different().client)
    try:
        drvs.connect().vm(VM_NAME).lookup("bench-waiter", timeout=10)
        time.sleep(0.5)
        before = _cpu_ns(pid)
        time.sleep(settings.idle_s)
        share = (_cpu_ns(pid) - before) / (settings.idle_s * 1e9)
    finally:
        end(pid)
    return [Figure("a process waiting in receive, of one core", share * 100, "%", 0.1)]


Part = tuple[str, Callable[[Settings], list[Figure]]]
"""What some costs are of, and how they are measured."""

_PARTS: tuple[Part, ...] = (
    ("noded", _noded),
    ("binding", _binding),
    ("import", _importing),
    ("waiting", _waiting),
)


def step_count(_settings: Settings) -> int:
    """Return how many steps of progress this table takes."""
    return len(_PARTS)


def measure(settings: Settings, steps: Steps) -> list[Figure]:
    """Measure the table."""
    figures = []
    for what, part in _PARTS:
        steps.begin(f"memory: {what}")
        figures += part(settings)
        steps.done()
    return figures


def measure_parts(parts: Sequence[Part], title: str, settings: Settings, steps: Steps) -> list[Figure]:
    """Measure one part after the other; what cannot be measured is noted in `settings.skipped`."""
    figures: list[Figure] = []
    for what, part in parts:
        steps.begin(f"{title}: {what}")
        try:
            figures += part(settings)
        except BenchFailed as error:
            settings.skipped[what] = str(error)
        steps.done()
    return figures


def promises(figures: list[Figure]) -> Iterator[Target]:
    """Yield what was promised of costs."""
    for figure in figures:
        if figure.most is not None:
            yield Target(figure.name, figure.value, figure.most, unit=f" {figure.unit}")


def rows(figures: list[Figure]) -> list[Row]:
    """Return the rows of the results."""
    return [
        {
            "table": "memory",
            "mechanism": f"drvs ({f.name})",
            "placement": "",
            "value": round(f.value, 4),
            "unit": f.unit,
        }
        for f in figures
    ]
