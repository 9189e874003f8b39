"""Histories of five simulated nodes, each from one seed: what the nodes promise holds in all of them.

A seed that fails prints the command that repeats it.
"""

import pytest

from drvs.sim.options import Options
from drvs.sim.run import run


@pytest.mark.parametrize("seed", range(24))
def test_a_history_keeps_every_promise(seed: int) -> None:
    result = run(seed, Options())
    assert not result.violation, f"{result.violation}\nrepeat it: drvs sim --seed {seed} --trace"
    assert result.messages > 0


def test_a_seed_is_the_same_history_each_time() -> None:
    one, other = run(5, Options()), run(5, Options())
    assert (one.events, one.messages, one.violation) == (other.events, other.messages, other.violation)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1300, 20))
def test_more_histories_keep_every_promise(first: int) -> None:
    for seed in range(first, first + 20):
        result = run(seed, Options())
        assert not result.violation, f"{result.violation}\nrepeat it: drvs sim --seed {seed} --trace"
