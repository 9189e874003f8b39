"""The parts of `drvs bench images`: programs put aside and brought back once, what the rows and promises say."""

import platform
from collections.abc import Iterator
from dataclasses import replace

import pytest

from drvs.bench.images import copies, cycle, heap, pause, programs, stage
from drvs.bench.mechanisms import restorers
from drvs.bench.settings import quick
from drvs.bench.stats import Series
from drvs.ui.progress import steps

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="process images are for x86-64")


@pytest.fixture
def on_stage(nothing_left: None) -> Iterator[None]:
    """A directory for images."""
    with stage.stage():
        yield


def series(*milliseconds: float) -> Series:
    """A series with these times."""
    return Series([ms * 1e6 for ms in milliseconds], [int(ms * 1e6) for ms in milliseconds])


@pytest.mark.parametrize("way", restorers.restorers(), ids=lambda way: type(way).__name__)
def test_every_way_puts_a_program_aside_and_brings_it_back(way: restorers.Restorer, on_stage: None) -> None:
    if reason := way.missing():
        pytest.skip(reason)
    dumped, restored = cycle.once(way, programs.bare(), stage.folder() / "image")
    assert 0 < dumped < 60e9
    assert 0 < restored < 60e9
    assert not (stage.folder() / "image").exists()


@pytest.mark.parametrize("subject", [programs.numpy(), programs.heap(10_000_000)], ids=lambda subject: subject.name)
def test_other_programs_come_back_too(subject: programs.Subject, on_stage: None) -> None:
    assert cycle.once(restorers.Drvs(), subject, stage.folder() / "image")


def test_a_static_program_is_compiled_where_there_is_a_compiler(
    on_stage: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda _name: None)
    settings = quick()
    assert [subject.name for subject in cycle.subjects(stage.folder(), settings)] == ["python3", "python3 + numpy"]
    assert settings.skipped == {"static C": "there is no gcc to compile it with"}


def test_the_heap_is_timed_in_three_ways(on_stage: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "HEAP_BYTES", 4_000_000)
    with steps(1) as bar:
        results = heap.measure(replace(quick(), peer_rounds=1), bar)
    rows = heap.rows(results)
    assert [row["mechanism"] for row in rows] == [f"drvs ({step})" for step in (heap.NEW, heap.AGAIN, heap.RESTORE)]
    assert all(row["table"] == "heap" and row["gib_per_second"] > 0 for row in rows)


def test_promises_about_images() -> None:
    both = cycle.BOTH
    results: cycle.Results = {
        (cycle.OURS, both, "python3"): series(12, 11, 90),
        (cycle.HELPED, both, "python3"): series(19, 18, 90),
        (cycle.OURS, both, "static C"): series(7),
        ("CRIU 4.2 swrk", both, "python3"): series(80, 72, 400),
    }
    found = {target.what: target for target in cycle.targets(results)}
    assert found["drvs: dump + restore, python3"].reached
    assert found["drvs, forked dumper: dump + restore, python3"].value == 19
    assert not found["drvs: dump + restore, static C"].reached
    assert found["CRIU 4.2 swrk / drvs, forked dumper, dump + restore, python3"].value == pytest.approx(80 / 19)
    rates = heap.targets({heap.NEW: series(1), heap.AGAIN: series(160), heap.RESTORE: series(200)})
    assert [target.reached for target in rates] == [True, False]


def test_what_criu_is_asked_and_answers_is_protobuf() -> None:
    message = restorers.number(1, 2) + bytes([4 << 3 | 2, 3]) + restorers.number(1, 300)
    found = dict(restorers.fields(message))
    assert found[1] == 2
    assert dict(restorers.fields(found[4])) == {1: 300}


def test_copies_are_made_and_are_at_work(on_stage: None) -> None:
    settings = replace(quick(), peer_rounds=1, copies=3)
    with steps(3) as bar:
        results = copies.measure(settings, bar)
    assert {(way, "python3") for way in (copies.OURS, copies.SPAWN)} <= set(results)
    assert all(row["table"] == "copies" and row["per_second"] > 0 for row in copies.rows(results))
    if ("drvs (copy)", "static C") in results:
        (target,) = copies.targets(results)
        assert target.wanted == "≥ 2000"


def test_a_copy_has_little_for_itself(on_stage: None) -> None:
    with steps(1) as bar:
        figures = copies.measure_memory(quick(), bar)
    assert [figure.name.rpartition(", ")[2] for figure in figures][:2] == ["python3", "python3 + numpy"]
    assert all(0 < figure.value < 1024 for figure in figures)


def test_the_pause_of_a_live_fork_is_told_and_seen(on_stage: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause, "HEAP_BYTES", 4_000_000)
    with steps(2) as bar:
        results = pause.measure(replace(quick(), peer_rounds=1), bar)
    assert {subject for _, subject in results} == {"python3 + numpy", "python3 + 4 MB"}
    assert all(0 < row["mean_us"] < 60e6 for row in pause.rows(results))
    assert len(list(pause.targets(results))) == 4
