"""The parts of `drvs bench executor`: real pools of a few workers, and what the rows and promises say."""

from dataclasses import replace

import pytest

from drvs.bench.executor import calling, memory, start
from drvs.bench.executor.pools import Loky, Standard
from drvs.bench.footprint import Figure
from drvs.bench.settings import quick
from drvs.bench.stats import Series
from drvs.ui.progress import steps

pytest.importorskip("numpy")


def series(*milliseconds: float) -> Series:
    """A series with these times."""
    return Series([ms * 1e6 for ms in milliseconds], [int(ms * 1e6) for ms in milliseconds])


@pytest.mark.parametrize("pool", ["drvs", "forkserver", "spawn"])
def test_a_pool_is_timed_until_every_worker_has_answered(pool: str, nothing_left: None) -> None:
    assert 1e6 < int(str(start.alone("start", pool, 2)["ns"])) < 120e9


def test_a_pool_that_fails_is_skipped_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match="cannot find context for 'nonsense'"):
        start.alone("start", "nonsense", 2)


def test_the_memory_of_workers_is_read_after_their_first_call(nothing_left: None) -> None:
    found = start.alone("memory", "forkserver", 2)
    assert isinstance(found["after"], list)
    assert len(found["after"]) == 2


@pytest.mark.parametrize("pool", [Standard("fork"), Loky()], ids=lambda pool: pool.name)
def test_calls_of_a_pool_are_timed(pool: Standard, nothing_left: None) -> None:
    if reason := pool.missing():
        pytest.skip(reason)
    settings = replace(quick(), singles=3, map_calls=100)
    results: calling.Results = {}
    with calling.caller(pool, settings) as worker:
        calling._round(results, pool.name, worker, settings)
    rows = {row["placement"]: row for row in calling.rows(results)}
    assert list(rows) == [calling.CALL, calling.MAP, calling.ARRAY, calling.MAP_CHUNKS]
    assert rows[calling.ARRAY]["gib_per_second"] > 0
    assert all(row["table"] == "calls" and row["mean_us"] > 0 for row in rows.values())


def test_promises_about_the_executor() -> None:
    started = {"drvs": series(300), start.FROM_IMAGE: series(100), "forkserver": series(250), "spawn": series(4000)}
    found = {target.what: target for target in start.targets(started)}
    assert found["start: spawn / drvs"].value == pytest.approx(13.33, abs=0.01)
    assert [target.reached for target in found.values()] == [True, False, True, True]
    called: calling.Results = {}
    for name, milliseconds in (("drvs", (0.05, 0.01, 20)), (calling.STANDARD, (0.2, 0.1, 50))):
        for what, ms in zip((calling.CALL, calling.MAP, calling.ARRAY), milliseconds, strict=True):
            called[name, what] = series(ms)
    assert [target.reached for target in calling.targets(called)] == [True, True, False]
    (dirty,) = memory.targets([("drvs", Figure("a worker", 0.5, "MiB", 1.0)), ("spawn", Figure("a worker", 9, "MiB"))])
    assert dirty.reached


def test_pools_that_are_not_here_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drvs.bench.executor.pools.find_spec", lambda _name: None)
    settings = quick()
    assert [pool.name for pool in calling.in_turns(settings)] == ["drvs", "ProcessPoolExecutor (fork)"]
    assert settings.skipped == {"loky": "loky is not installed"}


def test_the_memory_table_is_measured_pool_by_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "alone", lambda *_words: {"before": [300, 400], "after": [1024, 2048]})
    with steps(1) as bar:
        rows = memory.rows(memory.measure(quick(), bar))
    assert rows[0]["mechanism"] == "drvs: a worker with numpy before its first call, the most"
    assert (rows[0]["value"], rows[0]["unit"], rows[2]["value"]) == (0.3906, "MiB", 2.0)
