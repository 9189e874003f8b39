"""The rows drvs-c of `drvs bench local`: two C programs at work, what was promised, what is printed beside them."""

import pytest

import drvs
from drvs.bench import report, targets
from drvs.bench.mechanisms.cface import cface
from drvs.bench.mechanisms.ours import VM_NAME
from drvs.bench.pair import Pair
from drvs.bench.placement import placements
from drvs.bench.stats import Series, timing_row


@pytest.mark.parametrize("index", [0, 1, 2], ids=["sendrec", "send", "notify"])
def test_two_c_programs_are_timed(index: int, node: drvs.Node) -> None:
    with node.create_vm(VM_NAME), Pair(cface()[index], placements()[-1]) as pair:
        pair.calls = 50
        pair.round(0, 20)
        assert len(pair.series.means) == 1
        assert len(pair.series.singles) == 20
        assert 0 < min(pair.series.singles) < 1e9


def series(mean: float) -> Series:
    """One round with this mean, in nanoseconds."""
    return Series([mean], [int(mean)])


def test_the_promises_of_the_c_library() -> None:
    results = {
        ("drvs-c", "different"): series(220),
        ("c-pingpong", "different"): series(200),
        ("drvs-c", "same"): series(2500),
        ("c-pingpong", "same"): series(2000),
    }
    found = {target.what: target for target in targets.of_roundtrip(results)}
    assert found["C sendrec / c-pingpong, different cores"].reached
    assert not found["C sendrec / c-pingpong, same core"].reached
    assert found["C messages a second, different cores"].value == pytest.approx(2e9 / 220)


def test_messages_a_second_stand_beside_those_published(capsys: pytest.CaptureFixture[str]) -> None:
    report.published_table([timing_row("roundtrip", "drvs-c", place, series(500)) for place in ("different", "same")])
    shown = capsys.readouterr().out
    for text in ("on two cores", "4,000,000", "740,000", "925,000"):
        assert text in shown
