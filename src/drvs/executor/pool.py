"""What an Executor holds: its parts, started at the first call, and its end.

The executor itself only points here. So it can be forgotten without `shutdown`, and its calls still end.
"""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from drvs.executor import pickling
from drvs.executor.call import Call, Options
from drvs.executor.collector import Collector
from drvs.executor.crew import Crew
from drvs.executor.future import CallFuture
from drvs.executor.pump import Pump

if TYPE_CHECKING:
    from drvs.executor.chunks import Chunks
    from drvs.executor.settings import Settings

_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
#: Messages taken by one submit while calls queue up.
TURNS_MAX = 4


class Pool:
    """One executor's exchange, pump, collector and crew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._started = False
        self._closed = False
        self.mappings: weakref.WeakSet[Chunks] = weakref.WeakSet()
        self._crew = Crew(settings.workers, settings.restart_max, settings.tasks_max)
        self._exchange = self._crew.exchange
        self._pump = Pump(self._exchange, self._crew)
        self.collector = Collector(self._exchange, self._pump, self._crew)
        _pools.add(self)

    # ---- calls -----------------------------------------------------------------------------------------------------

    def submit(self, future: CallFuture, call: object, options: Options) -> Future[Any]:
        """Send a call of a program: refused after the end."""
        if self._closed or not self._started or self._exchange.dead or self._pid != os.getpid():
            self.check()
            self.start()
        self.send(future, call, options)
        return future

    def send(self, future: CallFuture, call: object, options: Options) -> None:
        """Send a call. One that cannot be pickled has failed."""
        try:
            stream, buffers = pickling.dumps(call)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            future.set_exception(error)
            return
        exchange = self._exchange
        if not exchange.submit(Call(future, stream, buffers, options)):
            self._look_for_results()
        self.collector.notice()

    def _look_for_results(self) -> None:
        """Calls queue up: workers may have finished some, and nobody may have looked."""
        if self._exchange.dead:
            self._crew.sweep()
        elif self._exchange.opened.is_set() and self._pump.held.acquire(blocking=False):
            try:
                for _ in range(TURNS_MAX):
                    if not self._pump.turn(0):
                        break
            finally:
                self._pump.held.release()

    def abort(self, future: Future[Any]) -> bool:
        """End a call now; see `Executor.abort`."""
        if not isinstance(future, CallFuture) or future._collector is not self.collector:
            raise ValueError("it is not a future of this executor")
        return future.cancel() or self._crew.abort(future)

    # ---- beginning -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse a call that cannot be taken.

        Raises:
            RuntimeError: it was shut down, or is another process's.
            BrokenProcessPool: it is broken.
        """
        if self._pid != os.getpid():
            raise RuntimeError(f"this executor belongs to process {self._pid}: a forked child has to make its own")
        if self._crew.reason is not None:
            raise BrokenProcessPool(self._crew.reason)
        if self._closed or _interpreter_ends:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def start(self) -> None:
        """Start everything, unless it was."""
        with self._lock:
            if self._started:
                return
            method, why = self._settings.method()
            self._crew.start(self._settings.setup(), self._settings.environment(), why)
            self.collector.start()
            self._started = True
        if why:
            warnings.warn(f"drvs.Executor starts its workers by {method}: {why}", RuntimeWarning, stacklevel=4)

    # ---- looking ---------------------------------------------------------------------------------------------------

    @property
    def start_method(self) -> str:
        """How workers are started."""
        if not self._started:
            return self._settings.start_method or self._settings.method()[0]
        self._crew.method_known.wait()
        return self._crew.method

    @property
    def state(self) -> str:
        """One word for the repr."""
        if self._crew.reason is not None:
            return "broken"
        return "shut down" if self._closed else "running" if self._started else "not started"

    def info(self) -> dict[str, Any]:
        """Return what was settled."""
        with self._exchange.lock:
            pids = sorted(worker.pid for worker in self._exchange.workers.values() if worker.pid)
        return {
            "state": self.state, "start_method": self.start_method, "why": self._crew.why,
            "workers": self._settings.workers, "pids": pids, "threads_per_worker": self._settings.threads,
        }  # fmt: skip

    # ---- ending ----------------------------------------------------------------------------------------------------

    def close(self, cancel: bool = False) -> None:
        """Take no more calls; end the workers when all is done."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._closed = True
        if cancel:
            for mapping in list(self.mappings):
                mapping.give_up()
            for call in list(self._exchange.backlog):
                call.future.cancel()
        self._exchange.closing = True
        self._exchange.bell.set()

    def join(self) -> None:
        """Wait until everything has been given back."""
        if not self._started or self._pid != os.getpid():
            return
        self.collector.watch()
        self._crew.finished.wait()
        self._crew.join()
        self.collector.join()


_interpreter_ends = False


def _at_exit() -> None:
    """Let the calls of executors that were not shut down come to their ends, as the standard library does."""
    global _interpreter_ends
    _interpreter_ends = True
    pools = list(_pools)
    for pool in pools:
        pool.close()
    for pool in pools:
        pool.join()


# Before the interpreter waits for its threads; `concurrent.futures` uses the same.
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
