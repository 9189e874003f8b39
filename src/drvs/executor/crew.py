"""The workers of one executor: started, counted, killed in time, replaced, and ended.

A thread of the caller talks with the spawner and looks at deadlines. It sleeps until one of the two has something.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import marshal
import os
import select
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from drvs.base.errors import DrvsError
from drvs.core import Message
from drvs.executor import place
from drvs.executor.call import WAITING, Call, WorkerState
from drvs.executor.errors import WorkerDiedError, how_it_ended
from drvs.executor.exchange import Exchange
from drvs.executor.future import CallFuture
from drvs.executor.setup import BOOT, Setup, store

PACKET_BYTES = 1 << 17
ORPHANS_S = 1.0


class Crew:
    """See above.

    Attributes:
        deaths: workers that have died since a call was last finished.
        method: how workers are started; "" until the spawner has told.
        why: why not in the way that was asked for.
        reason: why the executor is broken, None while it is not.
        finished: set when everything has been given back.
    """

    def __init__(self, workers: int, restart_max: int, tasks_max: int | None) -> None:
        self.exchange = Exchange(self._timed)
        self._count = workers
        self._restart_max = restart_max
        self._tasks_max = tasks_max
        self.deaths = 0
        self.method, self.why = "", ""
        self.reason: str | None = None
        self.finished = threading.Event()
        self.method_known = threading.Event()
        self._place: place.AnyPlace | None = None
        self._spawner: subprocess.Popen[bytes] | None = None
        self._ranks = itertools.count()
        self._pids: dict[int, int] = {}  # of all workers, by rank
        self._deadlines: list[tuple[float, int, WorkerState, Call]] = []
        self._ticket = itertools.count()
        self._retired = False
        self._thread = threading.Thread(target=self._run, name="drvs-crew", daemon=True)

    # ---- starting --------------------------------------------------------------------------------------------------

    def start(self, setup: Setup, env: dict[str, str], why: str) -> None:
        """Start the spawner, and the thread that listens to it.

        Args:
            setup: for all processes.
            env: their environment.
            why: why workers are not started in the way that was asked for, if so.
        """
        self.why = why
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._place = place.found(self._count)
            self._spawn(setup._replace(address=self._place.address), env, theirs, self._place.region)
            self.exchange.open(self._place.inlet, self._place.outlet)
            self._start_workers(self._count)
        except (DrvsError, OSError) as problem:
            self.break_down(f"the executor cannot start its workers: {problem}")
        finally:
            theirs.close()
            self._thread.start()

    def _spawn(self, setup: Setup, env: dict[str, str], control: socket.socket, region: int | None) -> None:
        setup_fd = store(setup)
        inherited = [setup_fd, control.fileno(), *([] if region is None else [region])]
        command = [setup.python, "-I", "-S", "-c", BOOT.format("spawner")]
        try:
            self._spawner = subprocess.Popen(
                [*command, str(setup_fd), str(control.fileno()), str(os.getpid())], stdin=subprocess.DEVNULL,
                env=env, pass_fds=inherited, process_group=0,
            )  # fmt: skip
        finally:
            os.close(setup_fd)

    def _run(self) -> None:
        try:
            while self._spawner is not None and self._listen():
                pass
        except Exception as problem:
            self.break_down(f"the executor cannot look after its workers: {problem}")
        finally:
            self._give_back()

    def _start_workers(self, count: int) -> None:
        ranks = []
        with self.exchange.lock:
            for rank in itertools.islice(self._ranks, count):
                self.exchange.workers[rank] = WorkerState(rank)
                ranks.append(rank)
        self._tell("start", ranks)

    def _tell(self, *words: Any) -> None:
        try:
            self._control.send(marshal.dumps(words))
        except OSError:
            pass  # it has ended, and the thread is about to find that out

    # ---- what the spawner says ---------------------------------------------------------------------------------------

    def _listen(self) -> bool:
        """Wait for one event; False at the end."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._bell, select.POLLIN)
        ready = dict(poller.poll(self._patience_ms()))
        if self._bell in ready:
            os.eventfd_read(self._bell)
        self._kill_overdue()
        return self._control.fileno() not in ready or self._hear()

    def _hear(self) -> bool:
        try:
            packet = self._control.recv(PACKET_BYTES)
        except ConnectionError:
            packet = b""
        if not packet:
            if not self._retired:
                self.break_down("the process that starts the workers has ended")
            return False
        word, *rest = marshal.loads(packet)
        getattr(self, f"_on_{word}")(*rest)
        return True

    def _on_method(self, name: str, why: str) -> None:
        self.method, self.why = name, why or self.why
        self.method_known.set()
        if why:
            with contextlib.suppress(Warning):  # where warnings are errors: nobody could catch it here
                warnings.warn(f"drvs.Executor starts its workers by {name}: {why}", RuntimeWarning, stacklevel=1)

    def _on_failed(self, why: str) -> None:
        self.break_down(why)

    def _on_started(self, started: list[tuple[int, int]]) -> None:
        self._pids.update(started)
        for rank, pid in started:
            worker = self.exchange.workers.get(rank)
            if worker is not None:
                worker.pid = pid

    def _on_died(self, rank: int, pid: int, status: int, words: str) -> None:
        self._pids.pop(rank, None)
        worker, call = self._strike_off(rank)
        if worker is None:
            return  # it was told to stop
        if worker.verdict is None:
            self.deaths += 1
        if call is not None:
            call.future.fail(_verdict(worker, pid, status, words))
            self.exchange.kick()
        self.exchange.dispatch()
        if self.deaths >= self._restart_max:
            self.break_down(_gave_up(self.deaths, pid, status, words))
        elif not self._retired:
            self._start_workers(1)

    def _strike_off(self, rank: int) -> tuple[WorkerState | None, Call | None]:
        """Forget a dead worker; returns it, and the call that failed with it."""
        exchange = self.exchange
        with exchange.lock:
            worker = exchange.workers.pop(rank, None)
            if worker is None:
                return None, None
            exchange.by_endpoint.pop(worker.endpoint, None)
            if worker in exchange.idle:
                exchange.idle.remove(worker)
            call, worker.call = worker.call, None
            if call is not None:
                exchange.running -= 1
                if worker.state == WAITING or (worker.verdict is None and call.tries < call.options.retries):
                    call.tries += worker.state != WAITING
                    exchange.backlog.appendleft(call)
                    call = None
        return worker, call

    # ---- for the pump ------------------------------------------------------------------------------------------------

    def arrived(self, message: Message) -> WorkerState | None:
        """Enter a worker that asks for the first time; None if it is not wanted any more."""
        rank, pid, inbox, _, _, _ = message.get_m8()
        with self.exchange.lock:
            worker = self.exchange.workers.get(rank)
            if worker is not None:
                worker.pid, worker.inbox, worker.endpoint = pid, inbox, message.source
                self.exchange.by_endpoint[message.source] = worker
        return worker

    def has_worked_enough(self, worker: WorkerState) -> bool:
        """Whether it has finished as many calls as one may (max_tasks_per_child)."""
        return self._tasks_max is not None and worker.done >= self._tasks_max and worker.call is None

    def replace(self, worker: WorkerState) -> None:
        """Start another in place of one that was told to stop."""
        with self.exchange.lock:
            self.exchange.workers.pop(worker.rank, None)
            self.exchange.by_endpoint.pop(worker.endpoint, None)
        if not self._retired and not (self.exchange.closing and not self.exchange.backlog):
            self._start_workers(1)

    # ---- killing -----------------------------------------------------------------------------------------------------

    def kill(self, worker: WorkerState, call: Call, verdict: str) -> bool:
        """Kill the worker that runs a call, if it still does; the call ends as `verdict` says."""
        with self.exchange.lock:
            if worker.call is not call or worker.verdict is not None:
                return False
            worker.verdict = verdict
        self._tell("kill", worker.rank)
        return True

    def abort(self, future: CallFuture) -> bool:
        """Kill the worker that runs a future's call; False if none does."""
        with self.exchange.lock:
            found = [w for w in self.exchange.workers.values() if w.call is not None and w.call.future is future]
        return any(self.kill(w, w.call, "abort") for w in found if w.call is not None)

    def _timed(self, worker: WorkerState, call: Call) -> None:
        deadline = time.monotonic() + (call.options.timeout or 0)
        entry = (deadline, next(self._ticket), worker, call)
        heapq.heappush(self._deadlines, entry)
        if self._deadlines[0] is entry:
            os.eventfd_write(self._bell, 1)

    def _patience_ms(self) -> float | None:
        if not self._deadlines:
            return None
        return max(0.0, (self._deadlines[0][0] - time.monotonic()) * 1000 + 1)

    def _kill_overdue(self) -> None:
        while self._deadlines and self._deadlines[0][0] <= time.monotonic():
            _, _, worker, call = heapq.heappop(self._deadlines)
            self.kill(worker, call, "timeout")

    # ---- ending ------------------------------------------------------------------------------------------------------

    def retire(self) -> None:
        """End all workers; no call is out. Those that wait end by themselves, those that still start are killed."""
        with self.exchange.lock:
            if self._retired:
                return
            self._retired = True
            leaving, self.exchange.idle = self.exchange.idle, []
            self.exchange.workers.clear()
        self._tell("end", [worker.rank for worker in leaving])
        for worker in leaving:
            self.exchange.stop(worker)

    def break_down(self, why: str) -> None:
        """Nothing can go on: tell every future why, and end all workers."""
        exchange = self.exchange
        with exchange.lock:
            if exchange.dead:
                return
            self.reason = why
        self.sweep()
        exchange.kick()
        exchange.dead = True
        self.sweep()  # of what was submitted meanwhile
        exchange.opened.set()
        exchange.bell.set()
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)

    def sweep(self) -> None:
        """Fail every call that has not ended: the executor is broken."""
        exchange = self.exchange
        with exchange.lock:
            calls = [worker.call for worker in exchange.workers.values() if worker.call is not None]
            calls += exchange.backlog
            exchange.backlog.clear()
            exchange.workers.clear()
            exchange.running = 0
        for call in calls:
            call.future.fail(BrokenProcessPool(self.reason or "the executor has ended"))

    def join(self) -> None:
        """Wait for the thread, which has given everything back."""
        self._thread.join()

    def _give_back(self) -> None:
        self._control.close()
        if self._spawner is not None:
            self._spawner.wait()
            _await_ends(self._pids.values())
        self.exchange.kick()
        self.exchange.dead = True
        self.exchange.bell.set()
        self.method_known.set()
        if self._place is not None:
            self._place.end()
        os.close(self._bell)
        self.finished.set()


def _await_ends(pids: Iterable[int]) -> None:
    """Wait until these have ended: workers whose spawner was killed die a moment after it."""
    until = time.monotonic() + ORPHANS_S
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            select.select([pidfd], (), (), max(0.0, until - time.monotonic()))
            os.close(pidfd)


def _verdict(worker: WorkerState, pid: int, status: int, words: str) -> BaseException:
    if worker.verdict == "timeout":
        return TimeoutError(f"the call ran out of time; its worker (process {pid}) was killed")
    return WorkerDiedError(pid, status, words, aborted=worker.verdict == "abort")


def _gave_up(deaths: int, pid: int, status: int, words: str) -> str:
    said = f"; its last words on stderr:\n{words}" if words else ""
    return (
        f"{deaths} workers in a row died without finishing a call, the last (process {pid}) with "
        f"{how_it_ended(status)}{said}"
    )
