"""What dies, and what goes on: workers, initializers, the spawner, the caller."""

from __future__ import annotations

import os
import select
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

import drvs
from support import children, procfs
from support import executor_calls as calls
from support.executor_gate import Gate

Make = Any


@pytest.mark.parametrize(
    ("call", "status"), [(lambda: os._exit(3), 3), (calls.kill_self, -signal.SIGKILL), (calls.crash, -signal.SIGSEGV)]
)
def test_a_worker_that_dies_fails_its_own_call_only(make: Make, call: Any, status: int) -> None:
    executor = make(1)
    pid = executor.submit(calls.pid_of).result()
    doomed = executor.submit(call)
    later = [executor.submit(calls.echo, n) for n in range(5)]
    with pytest.raises(drvs.WorkerDiedError, match=f"process {pid}") as caught:
        doomed.result()
    assert (caught.value.pid, caught.value.status) == (pid, status)
    assert isinstance(caught.value, BrokenProcessPool)
    assert [future.result() for future in later] == list(range(5))
    assert executor.submit(calls.pid_of).result() != pid


def test_its_last_words_are_told_and_passed_on(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    executor = make(1)
    with pytest.raises(drvs.WorkerDiedError, match=r"exit status 3.*\n.*alas, poor worker"):
        executor.submit(calls.die_complaining, "x" * 5000 + "alas, poor worker").result()
    executor.shutdown()
    assert capfd.readouterr().err.endswith("alas, poor worker")


def test_workers_that_die_in_a_row_break_the_executor(make: Make) -> None:
    executor = make(1, restart_max=2)
    futures = [executor.submit(calls.die, 7) for _ in range(2)] + [executor.submit(calls.echo, 1)]
    for future in futures[:2]:
        with pytest.raises(drvs.WorkerDiedError):
            future.result()
    with pytest.raises(BrokenProcessPool, match="2 workers in a row"):
        futures[2].result()
    with pytest.raises(BrokenProcessPool, match="2 workers in a row"):
        executor.submit(calls.echo, 1)


def test_a_finished_call_between_two_deaths_counts(make: Make) -> None:
    executor = make(1, restart_max=2)
    for _ in range(3):
        with pytest.raises(drvs.WorkerDiedError):
            executor.submit(calls.die, 7).result()
        assert executor.submit(calls.echo, 1).result() == 1


def test_an_idle_worker_that_is_killed_is_replaced(make: Make) -> None:
    executor = make(1)
    pid = executor.submit(calls.pid_of).result()
    os.kill(pid, signal.SIGKILL)
    while executor.info["pids"] == [pid]:
        time.monotonic()
    assert executor.submit(calls.pid_of).result() != pid


def test_every_call_resolves_while_workers_are_killed(make: Make) -> None:
    under_fire(make(2, restart_max=1000), 1000)


@pytest.mark.slow
def test_ten_thousand_calls_resolve_while_workers_are_killed(make: Make) -> None:
    under_fire(make(4, restart_max=10_000), 10_000)


def under_fire(executor: drvs.Executor, count: int) -> None:
    """Make calls, about one in fifty of which kills its worker."""
    futures = [executor.submit(calls.mostly_harmless, n) for n in range(count)]
    ends = [future.exception() or future.result() for future in futures]
    died = [end for end in ends if isinstance(end, drvs.WorkerDiedError)]
    assert {error.status for error in died} == {-signal.SIGKILL}
    assert all(end == n for n, end in enumerate(ends) if end not in died)
    assert len(died) < count / 10


def test_an_initializer_that_fails_breaks_the_executor_and_says_why(make: Make) -> None:
    executor = make(1, initializer=calls.fail_to_initialise)
    with pytest.raises(BrokenProcessPool, match="ZeroDivisionError: this initializer never works"):
        executor.submit(calls.echo, 1).result()
    with pytest.raises(BrokenProcessPool):
        executor.submit(calls.echo, 1)


def test_a_preload_that_fails_breaks_the_executor_and_says_why(make: Make) -> None:
    executor = make(1, preload=["no.such.module"])
    with pytest.raises(BrokenProcessPool, match="No module named 'no'"):
        executor.submit(calls.echo, 1).result()


def test_a_call_that_takes_too_long_is_ended(make: Make) -> None:
    executor = make(1)
    executor.submit(calls.echo, 1).result()
    hanging = executor.options(timeout=0.05).submit(calls.hang)
    with pytest.raises(TimeoutError, match="out of time"):
        hanging.result()
    assert executor.options(timeout=30).submit(calls.echo, 2).result() == 2


def test_a_call_that_may_run_twice_does(make: Make, tmp_path: Path) -> None:
    executor = make(1)
    patient = executor.options(idempotent=True, retries=1)
    assert patient.submit(calls.die_once, str(tmp_path / "once")).result() == "second"
    with pytest.raises(drvs.WorkerDiedError):
        patient.submit(calls.kill_self).result()
    with pytest.raises(ValueError, match="idempotent"):
        executor.options(retries=1)


def test_abort_ends_a_call_whether_it_runs_or_waits(make: Make, gate: Gate) -> None:
    executor = make(1)
    running, waiting = executor.submit(calls.wait_for, gate.path), executor.submit(calls.echo, 1)
    gate.wait_started()
    assert executor.abort(waiting)
    assert waiting.cancelled()
    assert executor.abort(running)
    with pytest.raises(drvs.WorkerDiedError, match="abort"):
        running.result()
    assert not executor.abort(running)
    assert executor.submit(calls.echo, 3).result() == 3


def test_a_worker_is_replaced_after_so_many_calls(make: Make) -> None:
    executor = make(1, max_tasks_per_child=2)
    pids = [executor.submit(calls.pid_of).result() for _ in range(6)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4] == pids[5]


def test_seats_of_the_dead_are_given_to_others(nothing_left: None) -> None:
    with drvs.Executor(1, restart_max=1000, start_method="fork") as executor:  # 64 seats to spare
        for _ in range(70):
            with pytest.raises(drvs.WorkerDiedError):
                executor.submit(os._exit, 3).result()
        assert executor.submit(calls.echo, 1).result() == 1


# ---- the spawner and the caller ----------------------------------------------------------------------------------


def test_a_spawner_that_is_killed_breaks_the_executor_and_leaves_nobody(make: Make, gate: Gate) -> None:
    executor = make(2)
    running = executor.submit(calls.wait_for, gate.path)
    pid = gate.wait_started()
    os.kill(procfs.state_and_parent(pid)[1], signal.SIGKILL)
    with pytest.raises(BrokenProcessPool, match="the process that starts the workers has ended"):
        running.result()
    with pytest.raises(BrokenProcessPool):  # at once, or when it is noticed a moment later
        executor.submit(calls.echo, 1).result()


CALLER = """
import drvs, os, sys, threading
from support import executor_calls as calls
executor = drvs.Executor(3, start_method=args[0])
pids = set()
while len(pids) < 3:
    pids |= set(executor.map(calls.pid_of, range(6), chunksize=1))
executor.submit(calls.hang)
me.say(" ".join(map(str, sorted(pids))))
threading.Event().wait()
"""


GONE_S = 1.0
"""Promised: no process is left a second after the caller has gone. It takes some ten milliseconds."""


def test_nothing_stays_when_the_caller_is_killed(
    method: str, nothing_left: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    child = children.spawn(CALLER, method)
    child.wait_line()
    caller = os.pidfd_open(child.pid)
    everybody = [os.pidfd_open(pid) for pid in procfs.descendants(child.pid)]
    assert len(everybody) >= 4
    os.kill(child.pid, signal.SIGKILL)
    select.select([caller], [], [])
    deadline = time.monotonic() + GONE_S
    for pidfd in (caller, *everybody):
        assert select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))[0], "somebody stayed"
        os.close(pidfd)
    assert list(tmp_path.iterdir()) == []
