"""`map`: results in order, exceptions at their place, chunks that grow by themselves."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

import drvs
from support import executor_calls as calls


@pytest.mark.parametrize("chunksize", [None, 1, 7, 5000])
def test_results_come_in_order(pool: drvs.Executor, chunksize: int | None) -> None:
    assert list(pool.map(calls.add, range(3000), itertools.repeat(1), chunksize=chunksize)) == list(range(1, 3001))


def test_the_shortest_iterable_ends_it(pool: drvs.Executor) -> None:
    assert list(pool.map(calls.add, range(3), range(100))) == [0, 2, 4]
    assert list(pool.map(calls.add, [])) == []


def test_an_exception_is_raised_at_its_place(pool: drvs.Executor) -> None:
    results = pool.map(lambda n: 1 // (n - 2500), range(3000))
    seen: Iterator[int] = iter(results)
    for n in range(2500):
        assert next(seen) == 1 // (n - 2500)
    with pytest.raises(ZeroDivisionError):
        next(seen)
    assert list(seen) == []


def test_small_calls_travel_in_chunks_and_long_ones_by_themselves(pool: drvs.Executor) -> None:
    from drvs.executor import chunks

    sizes: list[int] = []
    usual = chunks.ChunkFuture.__init__

    def note(self: chunks.ChunkFuture, collector: object, ended: object, count: int) -> None:
        sizes.append(count)
        usual(self, collector, ended, count)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks.ChunkFuture, "__init__", note)
        list(pool.map(calls.echo, range(20_000)))
        small, sizes[:] = max(sizes), []
        list(pool.map(calls.spin, [0.003] * 30))
    assert small > 100
    assert max(sizes) == 1


def test_the_iterator_gives_up_after_its_timeout(pool: drvs.Executor) -> None:
    results = pool.map(calls.spin, [0.0, 0.5], timeout=0.2, chunksize=1)
    assert next(results) == 0.0
    with pytest.raises(TimeoutError):
        next(results)


def test_a_chunksize_below_one_is_refused(pool: drvs.Executor) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(calls.echo, [1], chunksize=0)


def test_leaving_the_iterator_early_cancels_the_rest(pool: drvs.Executor) -> None:
    results = pool.map(calls.spin, [0.001] * 10_000, chunksize=1)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert pool.submit(os.getpid).result() > 0
