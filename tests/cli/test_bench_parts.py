"""The parts of `drvs bench local` that need no node: statistics, promises, rows, pairs of processes, the report."""

import json
import os
from pathlib import Path

import pytest

from drvs.bench import copying, fanin, roundtrip, scale, stats, targets
from drvs.bench.footprint import Figure
from drvs.bench.machine import describe
from drvs.bench.mechanisms.queues import queues
from drvs.bench.mechanisms.stdlib import OsPipe, stdlib
from drvs.bench.mechanisms.yardstick import PingPong
from drvs.bench.pair import BenchFailed, Pair, Worker, end, spawn
from drvs.bench.placement import Placement, placements
from drvs.bench.run import Run, write
from drvs.bench.stats import Series

ROW_KEYS = ["table", "mechanism", "placement", "p50_us", "mean_us", "p99_us", "per_second"]


def series(*means: float) -> Series:
    """A series with these means, in nanoseconds, and single calls to match."""
    return Series(list(means), [int(mean) for mean in means])


def anywhere() -> Placement:
    """Both sides wherever the scheduler puts them."""
    return next(place for place in placements() if place.name == "unpinned")


def test_a_disturbed_round_does_not_count() -> None:
    row = stats.timing_row("roundtrip", "drvs", "same", series(250, 240, 99_000))
    assert list(row) == ROW_KEYS
    assert (row["mean_us"], row["per_second"]) == (0.25, 4_000_000)


def test_a_copy_has_its_size_and_speed() -> None:
    row = stats.copy_row("drvs", "different", 1 << 16, series(6_000))
    assert list(row) == [*ROW_KEYS, "size", "gib_per_second"]
    assert (row["table"], row["size"], row["gib_per_second"]) == ("copy", 65_536, 10.173)


def test_ratios_are_taken_within_a_round() -> None:
    """The machine got three times slower in the middle: the ratio does not notice."""
    assert stats.paired_ratio(series(300, 300, 900), series(200, 200, 600)) == 1.5


def test_promises_about_round_trips() -> None:
    results: roundtrip.Results = {
        ("drvs", "different"): series(300),
        ("c-pingpong", "different"): series(200),
        ("multiprocessing.Pipe", "different"): series(12_000),
        ("drvs", "same"): series(4_000),
        ("c-pingpong", "same"): series(3_900),
        ("os.pipe", "same"): series(3_800),
    }
    found = {target.what: target for target in targets.of_roundtrip(results)}
    assert found["sendrec / c-pingpong, different cores"].value == 1.5
    assert found["sendrec / c-pingpong, different cores"].reached
    assert found["multiprocessing.Pipe / sendrec, different cores"].value == 40
    assert not found["multiprocessing.Pipe / sendrec, different cores"].reached
    assert not found["fastest peer (os.pipe) / sendrec, same core"].reached


def test_promises_about_copies_scale_fan_in_and_memory() -> None:
    copies: copying.Results = {
        ("drvs", "different", 1 << 16): series(6_300),
        ("process_vm_readv", "different", 1 << 16): series(6_000),
    }
    (copy,) = targets.of_copy(copies)
    assert copy.value == pytest.approx(0.952, abs=0.001)
    assert copy.reached
    crowd: scale.Results = {
        "drvs (2 endpoints)": series(300),
        "drvs (30,000 endpoints)": series(320),
        "drvs (scattered)": series(500),
    }
    assert [target.reached for target in targets.of_scale(crowd)] == [True, False]
    calls: fanin.Results = {1: series(300), 16: series(330)}
    assert next(targets.of_fanin(calls)).value == pytest.approx(0.909, abs=0.001)
    (memory,) = targets.of_memory([Figure("noded", 25.0, "MiB", 40), Figure("other", 9, "MiB")])
    assert (memory.reached, memory.wanted, memory.shown) == (True, "≤ 40 MiB", "25.0 MiB")


def test_results_are_written_with_the_machine_beside_them(tmp_path: Path) -> None:
    run = Run(describe(), [stats.timing_row("roundtrip", "drvs", "same", series(250))])
    meta = write(run, tmp_path / "results.json")
    assert meta == tmp_path / "results.meta.json"
    assert [list(row) for row in json.loads((tmp_path / "results.json").read_text())] == [ROW_KEYS]
    assert {"cpu", "kernel", "python", "commit", "at", "targets"} <= set(json.loads(meta.read_text()))


@pytest.mark.parametrize("mechanism", [*stdlib(), *queues(), PingPong()], ids=lambda mechanism: mechanism.name)
def test_a_pair_measures_real_round_trips(mechanism: OsPipe, nothing_left: None) -> None:
    if reason := mechanism.missing():
        pytest.skip(reason)
    with Pair(mechanism, anywhere()) as pair:
        pair.calibrate(0.002)
        pair.round(clock_cost=0, most_singles=50)
    assert pair.calls >= 5
    assert 50 < pair.series.mean < 1e9
    assert len(pair.series.singles) == min(pair.calls, 50)


def test_the_other_side_may_fail_and_says_how(nothing_left: None) -> None:
    class Broken(OsPipe):
        def open(self) -> None:
            raise ValueError("no such luck")

    with (
        pytest.raises(BenchFailed, match=r"os\.pipe, unpinned: open: ValueError: no such luck"),
        Pair(Broken(), anywhere()),
    ):
        pass


def test_a_worker_that_dies_is_noticed(nothing_left: None) -> None:
    class Mortal:
        def die(self) -> None:
            os._exit(3)

    worker = Worker(Mortal(), os.sched_getaffinity(0), "mortal")
    with pytest.raises(BenchFailed, match="mortal: the measuring process died"):
        worker.do("die")
    worker.close()


def test_spawned_processes_are_pinned(nothing_left: None) -> None:
    cpu = min(os.sched_getaffinity(0))
    reading, writing = os.pipe()
    pid = spawn(lambda: os.write(writing, repr(os.sched_getaffinity(0)).encode()), {cpu})
    assert os.read(reading, 100) == repr({cpu}).encode()
    end(pid)
    os.close(reading)
    os.close(writing)
