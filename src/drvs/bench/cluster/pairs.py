"""A server on one node of a lab and a client on another, which measures on demand; pairs take turns."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from drvs.bench.cluster.programs import ALL
from drvs.bench.pair import PATIENCE_S, WARM_UP, BenchFailed
from drvs.bench.stats import Series

if TYPE_CHECKING:
    from drvs.lab import Lab

BASE_PORT = 7700
STREAM_MOST = 64
"""Calls of a batch at most, where each is 64 MiB."""


class Program:
    """A program of the benchmark on a node."""

    def __init__(self, lab: Lab, node: int, role: str, peer: str, port: int) -> None:
        self.title = f"{peer} ({role}) on node {node}"
        words = [role, peer, lab.node(1).address[0], str(port), os.path.join(lab.folder, "ca")]
        self._process = lab.node(node).popen(
            [sys.executable, "-P", "-m", "drvs.bench.cluster.programs", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def read(self) -> str:
        """Return the next line that it says.

        Raises:
            BenchFailed: it died (its traceback is on stderr), or says nothing for a minute.
        """
        said = self._process.stdout
        assert said is not None
        if not select.select([said], [], [], PATIENCE_S)[0]:
            raise BenchFailed(f"{self.title}: no answer within {PATIENCE_S:.0f} s")
        line = said.readline()
        if not line:
            raise BenchFailed(f"{self.title}: it died")
        return str(line)

    def do(self, name: str, *arguments: object) -> Any:
        """Run a method there and return the result.

        Raises:
            BenchFailed: as above, or the method raised.
        """
        asks = self._process.stdin
        assert asks is not None
        try:
            asks.write(json.dumps([name, *arguments]) + "\n")
            asks.flush()
        except OSError:
            raise BenchFailed(f"{self.title}: it died") from None
        answer = json.loads(self.read())
        if "error" in answer:
            raise BenchFailed(f"{self.title}: {answer['error']}")
        return answer["value"]

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what it was asked last
                    pipe.close()


class Pair:
    """A way to call, between node 0, which calls, and node 1; what it measures is in `series`.

    Args:
        lab: where.
        peer: by the word that names it.
        name: what its rows are called; "": as the peer says.
        most: calls of a batch at most.
    """

    def __init__(self, lab: Lab, peer: str, name: str = "", most: int = 1 << 20) -> None:
        self.name = name or ALL[peer].name
        self.series = Series()
        self.calls = 1
        self._most = most
        port = BASE_PORT + list(ALL).index(peer)
        self._server = self._client = Program(lab, 1, "serve", peer, port)
        try:
            self._server.read()
            self._client = Program(lab, 0, "drive", peer, port)
            self._client.do("open")
            self._client.do("batch", WARM_UP if most > STREAM_MOST else 1)
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
        self.calls = calls_for(self._client, seconds, self._most)

    def warm_up(self) -> None:
        """Make one call that does not count."""
        self._client.do("batch", 1)

    def round(self, clock_cost: int, most_singles: int) -> None:
        """Measure one batch and some single calls."""
        self.series.means.append(self._client.do("batch", self.calls) / self.calls)
        self.series.singles += self._client.do("singles", min(self.calls, most_singles), clock_cost)

    def paced(self, calls: int, pause_s: float) -> None:
        """Measure calls with pauses between them."""
        times = self._client.do("paced", calls, pause_s)
        self.series.means.append(sum(times) / len(times))
        self.series.singles += times

    def close(self) -> None:
        """Kill both sides."""
        self._client.close()
        self._server.close()


def calls_for(program: Program, seconds: float, most: int = 1 << 20) -> int:
    """Return how many calls fill `seconds`, but for what may disturb the best of three tries."""
    wanted, took, calls = seconds * 1e9, 0, 4 if most > STREAM_MOST else 1
    while took < wanted / 4 and calls < most:
        calls = min(2 * calls, most)
        took = min(program.do("batch", calls) for _ in range(3 if calls > 1 else 1))
    return min(max(1, int(calls * wanted / max(took, 1))), most)
