"""Calls and futures behave as those of the standard library's executors do."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, as_completed, wait
from typing import Any

import pytest

import drvs
from support import executor_calls as calls
from support.executor_gate import Gate


def test_a_call_returns_what_it_returns(pool: drvs.Executor) -> None:
    assert pool.submit(pow, 2, 10).result(timeout=30) == 1024
    assert pool.submit(calls.add, 1, right=2).result() == 3


def test_a_call_raises_what_it_raises_with_the_remote_traceback_as_cause(pool: drvs.Executor) -> None:
    future = pool.submit(calls.raise_error, "wrong")
    with pytest.raises(ValueError, match="wrong") as caught:
        future.result()
    assert "in raise_error" in str(caught.value.__cause__)
    assert isinstance(future.exception(), ValueError)


def test_sys_exit_travels_as_an_exception(pool: drvs.Executor) -> None:
    with pytest.raises(SystemExit, match="leaving"):
        pool.submit(calls.leave).result()
    assert pool.submit(calls.echo, 1).result() == 1


@pytest.mark.parametrize("nbytes", [1, 30, 57, 1000, 65_400, 65_600, 300_000, 3_000_000])
def test_arguments_and_results_of_any_size_arrive(pool: drvs.Executor, nbytes: int) -> None:
    data = bytes(range(256)) * (nbytes // 256 + 1)
    assert pool.submit(calls.echo, data[:nbytes]).result() == data[:nbytes]


def test_arrays_travel_beside_the_pickle_and_arrive_writable(pool: drvs.Executor) -> None:
    np = pytest.importorskip("numpy")
    array = np.arange(1 << 19)
    result = pool.submit(calls.change, array).result()
    assert result[0] == 42
    assert array[0] == 0
    assert (result[1:] == array[1:]).all()
    result[1] = 7


def test_many_arrays_at_once(pool: drvs.Executor) -> None:
    np = pytest.importorskip("numpy")
    arrays = [np.full(20_000, n) for n in range(30)]
    result = pool.submit(calls.echo, arrays).result()
    assert [int(array[-1]) for array in result] == list(range(30))


def test_an_array_that_is_not_in_one_piece(pool: drvs.Executor) -> None:
    np = pytest.importorskip("numpy")
    array = np.arange(200_000).reshape(400, 500)[::2, ::3]
    assert (pool.submit(calls.echo, array).result() == array).all()


def test_lambdas_and_nested_functions_travel_by_value(pool: drvs.Executor) -> None:
    offset = 5

    def shifted(value: int) -> int:
        return value + offset

    assert pool.submit(lambda: 7).result() == 7
    assert pool.submit(shifted, 1).result() == 6


def test_an_argument_that_cannot_be_pickled_fails_its_call_only(pool: drvs.Executor) -> None:
    future = pool.submit(calls.echo, threading.Lock())
    with pytest.raises(TypeError, match="lock"):
        future.result()
    assert pool.submit(calls.echo, 1).result() == 1


def test_a_result_that_cannot_be_pickled_is_an_error_that_names_its_type(pool: drvs.Executor) -> None:
    with pytest.raises(pickle.PicklingError, match=r"executor_calls\.Unpicklable"):
        pool.submit(calls.return_unpicklable).result()
    with pytest.raises(pickle.PicklingError, match=r"executor_calls\.Unpicklable"):
        list(pool.map(lambda _: calls.Unpicklable(), range(3)))
    assert pool.submit(calls.echo, 1).result() == 1


def test_an_exception_that_cannot_be_rebuilt_is_an_error_that_names_its_type(pool: drvs.Executor) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"executor_calls\.Stubborn") as caught:
        pool.submit(calls.raise_stubborn).result()
    assert "raise_stubborn" in str(caught.value.__cause__)


def test_an_executor_does_not_travel(pool: drvs.Executor) -> None:
    with pytest.raises(TypeError, match="an Executor cannot be pickled"):
        pool.submit(calls.echo, pool).result()


def test_a_worker_may_have_an_executor_of_its_own(pool: drvs.Executor) -> None:
    assert pool.submit(calls.own_executor).result() == 3


# ---- waiting -----------------------------------------------------------------------------------------------------


def test_result_gives_up_after_its_timeout_and_the_call_goes_on(pool: drvs.Executor, gate: Gate) -> None:
    future = pool.submit(calls.wait_for, gate.path)
    gate.wait_started()
    with pytest.raises(TimeoutError):
        future.result(timeout=0.01)
    assert future.running()
    gate.open()
    assert future.result() == "gone on"


def test_callbacks_run_without_anybody_waiting(pool: drvs.Executor) -> None:
    done: Future[Any] = Future()
    pool.submit(calls.echo, 5).add_done_callback(lambda future: done.set_result(future.result()))
    assert done.result(timeout=30) == 5


def test_a_callback_may_wait_for_another_call(pool: drvs.Executor) -> None:
    done: Future[Any] = Future()

    def ask_again(future: Future[Any]) -> None:
        done.set_result(pool.submit(calls.add, future.result(), 1).result())

    pool.submit(calls.echo, 5).add_done_callback(ask_again)
    assert done.result(timeout=30) == 6


def test_a_future_is_done_although_nobody_waits(pool: drvs.Executor) -> None:
    future, other = pool.submit(calls.echo, 1), threading.Event()
    while not future.done():
        other.wait(0.001)
    assert future.result() == 1


def test_as_completed_and_wait(pool: drvs.Executor) -> None:
    futures = [pool.submit(calls.echo, n) for n in range(50)]
    assert sorted(future.result() for future in as_completed(futures, timeout=30)) == list(range(50))
    done, _ = wait([pool.submit(calls.echo, 1)], timeout=30, return_when=FIRST_COMPLETED)
    assert len(done) == 1
    done, rest = wait([pool.submit(calls.echo, n) for n in range(10)], timeout=30)
    assert len(done) == 10
    assert not rest


def test_a_call_that_waits_can_be_cancelled(pool: drvs.Executor, gate: Gate, tmp_path: Any) -> None:
    second = Gate(str(tmp_path / "second"))
    running = [pool.submit(calls.wait_for, one.path) for one in (gate, second)]
    for one in (gate, second):
        one.wait_started()
    waiting = pool.submit(calls.echo, 1)
    assert not running[0].cancel()
    assert waiting.cancel()
    assert waiting.cancel()
    assert wait([waiting]).done == {waiting}
    with pytest.raises(CancelledError):
        waiting.result()
    gate.open()
    second.open()
    assert [future.result() for future in running] == ["gone on"] * 2


def test_many_threads_submit_and_wait(pool: drvs.Executor) -> None:
    results: list[int] = []

    def work(start: int) -> None:
        results.extend(pool.submit(calls.echo, start + n).result() for n in range(100))

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(600))


def test_one_thread_waits_for_another_ones_call(pool: drvs.Executor, gate: Gate) -> None:
    future = pool.submit(calls.wait_for, gate.path)
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(future.result())) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.wait_started()
    assert pool.submit(calls.echo, 3).result() == 3  # while they wait
    gate.open()
    for thread in threads:
        thread.join()
    assert seen == ["gone on"] * 4


def test_asyncio(pool: drvs.Executor) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return list(await asyncio.gather(*(loop.run_in_executor(pool, calls.add, n, 1) for n in range(100))))

    assert asyncio.run(main()) == list(range(1, 101))


def test_ten_thousand_calls_at_once(pool: drvs.Executor) -> None:
    futures = [pool.submit(calls.echo, n) for n in range(10_000)]
    assert [future.result() for future in futures] == list(range(10_000))
