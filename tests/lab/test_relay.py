"""What passes between two nodes of a lab, and what does not: a real echo over TCP and UDP, on both kinds of lab."""

from collections.abc import Iterator

import pytest

from drvs.lab import Lab, LabError
from lab.programs import ASK, ECHO, Program
from support import labs

SILENCE_S = 0.4


@pytest.fixture
def pair(namespaces: bool) -> Iterator[Lab]:
    """A lab of two nodes that know nothing of each other: their port is the tests'."""
    with labs.lab(2, namespaces=namespaces, cluster=False) as running:
        yield running


@pytest.fixture
def caller(pair: Lab) -> Iterator[Program]:
    """A program on node 0 that asks the echo on node 1."""
    echo = Program(pair.node(1), ECHO, *pair.node(1).address)
    asking = Program(pair.node(0), ASK, *pair.node(0).address_of(1))
    yield asking
    asking.close()
    echo.close()


def answered(caller: Program, kind: str, size: int = 100, timeout: float = 10) -> float:
    """How many seconds an echo took."""
    word = caller.ask(f"{kind} {size} {timeout}")
    try:
        return float(word)
    except ValueError:
        raise AssertionError(f"{kind}: {word}") from None


def test_whole_links_pass_what_is_sent(caller: Program) -> None:
    for kind, size in (("udp", 1), ("udp", 30_000), ("tcp", 1), ("tcp", 3_000_000)):
        answered(caller, kind, size)


def test_a_cut_link_passes_nothing_and_a_healed_one_all(pair: Lab, caller: Program) -> None:
    answered(caller, "tcp")
    pair.cut(1, 0)
    assert caller.ask(f"udp 1 {SILENCE_S}") == "silence"
    assert caller.ask(f"tcp 1 {SILENCE_S}") == "silence"
    pair.heal(0, 1)
    answered(caller, "tcp", 1)  # the byte that was lost meanwhile was sent again
    answered(caller, "udp", 1)


def test_a_slow_link_delays_in_each_direction(pair: Lab, caller: Program) -> None:
    pair.slow(0, 1, delay_ms=60)
    for kind in ("udp", "tcp"):
        assert answered(caller, kind) >= 0.12
    pair.heal()
    assert min(answered(caller, "udp") for _ in range(5)) < 0.12


def test_a_lossy_link_loses_datagrams_but_no_bytes_of_streams(pair: Lab, caller: Program) -> None:
    pair.slow(0, 1, loss_percent=50)
    words = [caller.ask("udp 1 0.05") for _ in range(30)]
    assert "silence" in words
    for _ in range(3):
        answered(caller, "tcp", 10, timeout=30)
    assert pair.status()["links"][0]["lost"] > 0


def test_connections_to_a_killed_node_break(pair: Lab, caller: Program) -> None:
    pair.node(1).kill()
    assert caller.ask("tcp 1 10").split()[0] in ("closed", "error")


@pytest.mark.root
@pytest.mark.parametrize("namespaces", [True], indirect=True)
def test_connections_to_an_unplugged_node_fall_silent(pair: Lab, caller: Program) -> None:
    pair.node(1).kill(unplug=True)
    assert caller.ask(f"tcp 1 {SILENCE_S}") == "silence"


@pytest.mark.root
@pytest.mark.parametrize("count", [2, 3])
def test_direct_labs_have_no_relay(count: int) -> None:
    with labs.lab(count, namespaces=True, direct=True, cluster=False) as running:
        running.node(0).restart()
        echo = Program(running.node(0), ECHO, *running.node(0).address)
        asking = Program(running.node(1), ASK, *running.node(1).address_of(0))
        answered(asking, "tcp", 3_000_000)
        with pytest.raises(LabError, match="no relay"):
            running.cut(0, 1)
        asking.close()
        echo.close()
