"""The parts of `drvs bench cluster` that need no lab: simulated histories, measured once, small."""

from dataclasses import replace

import pytest

from drvs.bench.cluster import histories
from drvs.bench.footprint import Figure
from drvs.bench.pair import BenchFailed
from drvs.bench.settings import full, quick
from drvs.sim import Options
from drvs.ui.progress import steps


def test_histories_are_played_and_timed() -> None:
    settings = replace(quick(), histories=2, history_nodes=20, history_messages=200)
    with steps(histories.step_count(settings)) as bar:
        figures = histories.measure(settings, bar)
    assert not settings.skipped
    assert [row["mechanism"] for row in histories.rows(figures)] == [
        "drvs (a history of five nodes, of one core)",
        "drvs (a history of 20 nodes and 200 messages, of one core, mean of 3)",
    ]
    assert all(row["table"] == "simulation" and row["value"] > 0 for row in histories.rows(figures))


def test_promises_are_of_the_full_size_only() -> None:
    assert (full().history_nodes, full().history_messages) == (histories.NODES, histories.MESSAGES)
    (small,) = histories.targets([Figure("five nodes", 0.06, "s", 0.3), Figure("twenty nodes", 1.0, "s")])
    assert (small.reached, small.wanted) == (True, "≤ 0.3 s")


def test_a_history_with_a_violation_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def shaken(seed: int, options: Options) -> None:
        raise BenchFailed(f"drvs sim --seed {seed}: a message was received twice")

    monkeypatch.setattr(histories, "_cpu_s", shaken)
    settings = replace(quick(), histories=1)
    with steps(histories.step_count(settings)) as bar:
        assert histories.measure(settings, bar) == []
    assert "received twice" in settings.skipped["many nodes"]
