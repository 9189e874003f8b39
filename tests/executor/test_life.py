"""How an executor begins and ends, and what its workers are like."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

import drvs
from drvs.bench.dirty import private_dirty_kib
from support import children, nodes, procfs
from support import executor_calls as calls
from support.executor_gate import Gate
from support.regions import wait_until

Make = Any
FUTEX = "202 "
"""The number of the system call in which an endpoint sleeps, as /proc shows it."""


def test_nothing_is_started_before_the_first_call(make: Make, tmp_path: Path) -> None:
    before = procfs.descendants(os.getpid())
    executor = make(2)
    assert procfs.descendants(os.getpid()) == before
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(calls.echo, 1)


def test_workers_are_prepared_once_and_initialised_each(make: Make, method: str) -> None:
    executor = make(2, preload=["fractions"], warmup=lambda: calls.initialise("warm"))
    assert executor.submit(calls.noted).result() == "warm"
    assert "fractions" in executor.submit(calls.facts).result()["modules"]
    assert executor.start_method == method
    other = make(1, initializer=calls.initialise, initargs=("started",))
    assert other.submit(calls.noted).result() == "started"


def test_a_warmup_that_cannot_be_pickled_is_told_at_every_submit(nothing_left: None) -> None:
    lock = threading.Lock()
    with drvs.Executor(1, warmup=lock.acquire) as executor:
        for _ in range(2):
            with pytest.raises(TypeError, match="pickle"):
                executor.submit(calls.echo, 1)


def test_what_a_worker_is_like(make: Make, method: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THE_CALLER", "seen")
    executor = make(1)
    facts = executor.submit(calls.facts).result()
    spawner = facts["parent"]
    assert facts["group"] == facts["pid"]
    assert facts["cwd"] == str(tmp_path)
    assert facts["stdin"] == os.devnull
    assert facts["argv"] == sys.argv
    assert facts["threads"] == (2 if method == "image" else 1)  # the native thread of drvs.hooks
    assert procfs.state_and_parent(spawner)[1] == os.getpid()
    assert executor.submit(calls.environment, "OF_THE_CALLER").result() == "seen"
    assert executor.info["pids"] == [facts["pid"]]


def test_numeric_libraries_share_the_cpus_among_workers(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    executor = make(1)
    own = str(len(os.sched_getaffinity(0)))
    assert executor.submit(calls.environment, "OMP_NUM_THREADS").result() == own
    assert executor.submit(calls.environment, "MKL_NUM_THREADS").result() == "3"
    told = make(1, threads_per_worker=5)
    assert told.submit(calls.environment, "MKL_NUM_THREADS").result() == "5"
    assert "5 BLAS threads" in repr(told)


def test_shutdown_waits_for_what_was_submitted(make: Make) -> None:
    executor = make(1)
    futures = [executor.submit(calls.spin, 0.01) for _ in range(5)]
    results = executor.map(calls.add, range(1000), range(1000))
    executor.shutdown()
    assert all(future.done() for future in futures)
    assert sum(results) == 999_000
    executor.shutdown()


def test_shutdown_without_waiting_lets_calls_end(make: Make, gate: Gate) -> None:
    executor = make(1)
    running, waiting = executor.submit(calls.wait_for, gate.path), executor.submit(calls.echo, 1)
    gate.wait_started()
    executor.shutdown(wait=False)
    gate.open()
    assert running.result() == "gone on"
    assert waiting.result() == 1
    executor.shutdown()


def test_shutdown_may_cancel_what_waits(make: Make, gate: Gate) -> None:
    executor = make(1)
    running, waiting = executor.submit(calls.wait_for, gate.path), executor.submit(calls.echo, 1)
    results = executor.map(calls.echo, range(10))
    gate.wait_started()
    executor.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    with pytest.raises(CancelledError):
        list(results)
    gate.open()
    assert running.result() == "gone on"


def test_an_executor_that_is_forgotten_ends(make: Make, nothing_left: None) -> None:
    executor = drvs.Executor(1, start_method="spawn")
    future = executor.submit(calls.echo, 1)
    pool = executor._pool
    del executor
    gc.collect()
    assert future.result() == 1
    pool.join()


PROGRAM = """
import drvs, sys, threading

class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return isinstance(other, Point) and other.x == self.x

def moved(point, by=1):
    return Point(point.x + by)

def fail():
    raise Wrong("of main")

class Wrong(Exception):
    pass

def prepare():
    global prepared
    prepared = "warm"

def recall():
    return prepared

print("main runs", __name__)
executor = drvs.Executor(
    1, start_method=sys.argv[1], initializer=lambda: print("in worker", flush=True), warmup=prepare
)
assert executor.submit(recall).result() == "warm"
assert executor.submit(moved, Point(1)).result() == Point(2)
assert list(executor.map(moved, [Point(n) for n in range(3)])) == [Point(n) for n in range(1, 4)]
try:
    executor.submit(fail).result()
except Wrong as error:
    print("caught", error)
last = executor.submit(lambda: print("last call"))
print("main ends")
"""


def test_a_script_needs_no_guard_and_its_objects_travel_by_value(method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(script), method], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    for said in ("main runs __main__", "in worker", "caught of main", "main ends", "last call"):
        assert done.stdout.count(said) == 1  # perhaps in the middle of another one's line
    assert done.stderr == ""


def test_ctrl_c_in_the_terminal_reaches_the_caller_only(make: Make) -> None:
    executor = make(1)
    pid = executor.submit(calls.pid_of).result()
    assert os.getpgid(pid) != os.getpgrp() != os.getpgid(procfs.state_and_parent(pid)[1])


def test_ctrl_c_in_the_middle_loses_nothing(make: Make, gate: Gate) -> None:
    executor = make(1)
    future = executor.submit(calls.wait_for, gate.path)
    gate.wait_started()
    with pytest.raises(KeyboardInterrupt):
        interrupt_once_it_pumps(executor)
        future.result()
    gate.open()
    assert future.result() == "gone on"
    assert executor.submit(calls.echo, 2).result() == 2


def interrupt_once_it_pumps(executor: drvs.Executor) -> None:
    """Send this process SIGINT when it takes messages."""
    held = executor._pool._pump.held

    def interrupt() -> None:
        while held.acquire(blocking=False):
            held.release()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()


def test_a_forked_child_is_told_to_make_its_own(make: Make) -> None:
    executor = make(1)
    executor.submit(calls.echo, 1).result()

    def use(me: children.Me) -> str:
        with pytest.raises(RuntimeError, match="forked child"):
            executor.submit(calls.echo, 1)
        executor.shutdown()
        return "refused"

    assert children.spawn(use).result() == "refused"
    assert executor.submit(calls.echo, 2).result() == 2


def test_a_node_that_runs_is_used(node: nodes.RunningNode, method: str) -> None:
    with drvs.connect(node.runtime_dir) as connection, drvs.Executor(1, start_method=method) as executor:
        assert executor.submit(calls.echo, b"x" * 2_000_000).result() == b"x" * 2_000_000  # copy_len_max is 512 KiB
        assert [vm.name[0] for vm in connection.vms()] == ["x"]
    with drvs.connect(node.runtime_dir) as connection:
        assert connection.vms() == []


def test_images_can_be_disabled_and_one_warning_says_so(monkeypatch: pytest.MonkeyPatch, nothing_left: None) -> None:
    monkeypatch.setenv("DRVS_DISABLE", "images")
    with drvs.Executor(1) as executor:
        with pytest.warns(RuntimeWarning, match="by fork: DRVS_DISABLE names images"):
            assert executor.submit(calls.echo, 1).result() == 1
        assert executor.start_method == "fork"


def test_a_template_with_threads_is_not_forked(nothing_left: None) -> None:
    def warmup() -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    with (
        drvs.Executor(1, start_method="fork", warmup=warmup) as executor,
        pytest.warns(RuntimeWarning, match="by spawn: the prepared process has 2 threads"),
    ):
        assert executor.submit(calls.echo, 1).result() == 1
    assert executor.start_method == "spawn"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"initializer": 1}, TypeError),
        ({"preload": "numpy"}, TypeError),
        ({"max_tasks_per_child": 0}, ValueError),
        ({"max_tasks_per_child": "1"}, TypeError),
        ({"restart_max": 0}, ValueError),
        ({"start_method": "teleport"}, ValueError),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        drvs.Executor(**settings)


def test_an_image_is_kept_where_it_is_wanted_and_used_as_it_is(tmp_path: Path, nothing_left: None) -> None:
    path = tmp_path / "warm.img"
    for word in ("first", "second"):
        with drvs.Executor(
            1, image=path, warmup=lambda word=word: calls.initialise(word), initializer=calls.note, initargs=(word,)
        ) as executor:
            assert executor.submit(calls.noted).result() == "first"
            assert executor.submit(calls.noted, "own").result() == word
            assert executor.start_method == "image"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["warm.img"]


def test_an_image_that_cannot_be_used_is_named(tmp_path: Path, nothing_left: None) -> None:
    path = tmp_path / "no.img"
    path.write_bytes(b"no image at all")
    path.chmod(0o600)
    with drvs.Executor(1, image=path) as executor, pytest.raises(BrokenProcessPool, match=r"no\.img cannot be used"):
        executor.submit(calls.echo, 1).result()


def test_a_process_that_cannot_be_dumped_is_forked_instead(nothing_left: None) -> None:
    def warmup() -> None:
        import socket

        calls.initialise(socket.create_server(("localhost", 0)))

    with drvs.Executor(1, warmup=warmup) as executor, pytest.warns(RuntimeWarning, match="by fork: no image of"):
        assert executor.submit(calls.echo, 1).result() == 1
    assert executor.start_method == "fork"


def test_a_worker_has_next_to_no_memory_for_itself_before_its_first_call(nothing_left: None) -> None:
    with drvs.Executor(3, start_method="image") as executor:
        used = executor.submit(calls.pid_of).result()
        wait_until(lambda: len(executor.info["pids"]) == 3, "all workers")
        others = [pid for pid in executor.info["pids"] if pid != used]
        wait_until(lambda: all(procfs.text(pid, "syscall").startswith(FUTEX) for pid in others), "all of them wait")
        kib = [private_dirty_kib(pid) for pid in others]
    assert max(kib) <= 1024, kib
