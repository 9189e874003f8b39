"""Two processes that use one mechanism: a server that answers, and a client that measures on demand.

The pair is forked, pinned, and then driven over a pipe: several pairs may be alive and take turns, which is how
interleaved rounds work. Only one measures at a time; the others sleep.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from drvs.bench.mechanisms.base import Mechanism
from drvs.bench.placement import Placement
from drvs.bench.stats import Series

_PR_SET_PDEATHSIG = 1
WARM_UP = 20
PATIENCE_S = 60.0


class BenchFailed(RuntimeError):
    """A side of a pair failed or does not answer; the text says which and why."""


def spawn(work: Callable[[], None], cpus: Iterable[int]) -> int:
    """Fork a process, pinned to `cpus`, that does `work` and dies with this one at the latest; returns its pid."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            os.sched_setaffinity(0, cpus)
            work()
            status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def end(pid: int) -> None:
    """Kill a process made by `spawn` and collect it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def obey(worker: Any, commands: Connection) -> None:
    """In the client: run the methods of `worker` that come over the pipe and send back what they return."""
    while True:
        name, arguments = commands.recv()
        try:
            answer = getattr(worker, name)(*arguments)
        except Exception as error:
            answer = BenchFailed(f"{name}: {type(error).__name__}: {error}")
        commands.send(answer)


class Worker:
    """A forked process that runs methods of an object on demand."""

    def __init__(self, worker: Any, cpus: Iterable[int], title: str) -> None:
        self.title = title
        self._ours, theirs = multiprocessing.Pipe()
        self.pid = spawn(lambda: obey(worker, theirs), cpus)
        theirs.close()

    def do(self, name: str, *arguments: object) -> Any:
        """Run `name(*arguments)` there and return the result.

        Raises:
            BenchFailed: it died (its traceback is on stderr), or says nothing for a minute.
        """
        try:
            self._ours.send((name, arguments))
            if not self._ours.poll(PATIENCE_S):
                raise BenchFailed(f"{self.title}: no answer within {PATIENCE_S:.0f} s")
            answer = self._ours.recv()
        except (EOFError, ConnectionError):
            raise BenchFailed(f"{self.title}: the measuring process died") from None
        if isinstance(answer, BenchFailed):
            raise BenchFailed(f"{self.title}: {answer}")
        return answer

    def close(self) -> None:
        """Kill it."""
        end(self.pid)
        self._ours.close()


class Pair:
    """A mechanism at work in a placement; collects what it measures in `series`."""

    def __init__(self, mechanism: Mechanism, placement: Placement) -> None:
        self.mechanism = mechanism
        self.placement = placement
        self.series = Series()
        self.calls = 1
        mechanism.prepare()
        self._server = spawn(mechanism.serve, placement.server)
        self._client = Worker(mechanism, placement.client, f"{mechanism.name}, {placement.name}")

    def __enter__(self) -> Self:
        try:
            self._client.do("open")
            self._client.do("batch", WARM_UP)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def calibrate(self, seconds: float) -> None:
        """Choose how many calls fill `seconds`."""
        wanted, took, calls = seconds * 1e9, 0, 4
        while took < wanted / 4 and calls < self.mechanism.most_calls:
            calls *= 2
            took = min(self._client.do("batch", calls) for _ in range(3))
        self.calls = min(max(5, int(calls * wanted / max(took, 1))), self.mechanism.most_calls)

    def round(self, clock_cost: int, most_singles: int) -> None:
        """Measure one batch and some single calls."""
        self.series.means.append(self._client.do("batch", self.calls) / self.calls)
        self.series.singles += self._client.do("singles", min(self.calls, most_singles), clock_cost)

    def close(self) -> None:
        """Kill both sides and remove what the mechanism made."""
        self._client.close()
        end(self._server)
        self.mechanism.close()
