"""Histories of five simulated nodes, each from one seed: what the nodes promise holds in all of them.

A seed that fails prints the command that repeats it.
"""

import pytest

from drvs.sim.options import ENDLESS, Options
from drvs.sim.run import run


@pytest.mark.parametrize("seed", range(24))
def test_a_history_keeps_every_promise(seed: int) -> None:
    result = run(seed, Options())
    assert not result.violation, f"{result.violation}\nrepeat it: drvs sim --seed {seed} --trace"
    assert result.messages > 0


@pytest.mark.parametrize(
    "seed",
    [
        300529,  # a copy given up with a part of it taken was never cancelled, and held its party for good
        200440,  # calls went to a node of a fresh session before what had gone there was forgotten
        200458,  # what could not be told to a node whose session had just ended is no fault
        100265, 100014,  # a message of one's own answers a request before the reply does
        502876,  # an answer takes the place of a copy's cancellation, and is given up before it leaves
        100496, 100605,  # a copy that another node has a part in takes the place of a cancellation
        100944, 100551,  # bytes of a copy that was given up come while its target waits in its next call
        503484,  # calls given up came late and ended a newer copy, which came by way of a third node
        301184,  # two notifications with the same bit
        6000244,  # a copy asked for before a node was restarted went to who had the endpoint in its next life
        5007880,  # a session that was due to speak, on a connection that took nothing, was due again at once
    ],
)  # fmt: skip
def test_what_was_found_once_stays_mended(seed: int) -> None:
    result = run(seed, Options())
    assert not result.violation, f"{result.violation}\nrepeat it: drvs sim --seed {seed} --trace"


def test_a_seed_is_the_same_history_each_time() -> None:
    one, other = run(5, Options()), run(5, Options())
    assert (one.events, one.messages, one.violation) == (other.events, other.messages, other.violation)


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_cluster_in_a_hurry_keeps_every_promise_and_repeats_itself(seed: int) -> None:
    options = Options(nodes=40, messages=1000, events=ENDLESS)
    one, other = run(seed, options), run(seed, options)
    assert not one.violation, f"{one.violation}\nrepeat it: {one.command} --trace"
    assert one.messages >= options.messages
    assert (one.events, one.calls, one.messages, one.virtual_s) == (
        other.events, other.calls, other.messages, other.virtual_s
    )  # fmt: skip


@pytest.mark.slow
def test_a_thousand_nodes_keep_every_promise() -> None:
    result = run(0, Options(nodes=1000, messages=100_000, events=ENDLESS))
    assert not result.violation, f"{result.violation}\nrepeat it: {result.command} --trace"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1300, 20))
def test_more_histories_keep_every_promise(first: int) -> None:
    for seed in range(first, first + 20):
        result = run(seed, Options())
        assert not result.violation, f"{result.violation}\nrepeat it: drvs sim --seed {seed} --trace"
