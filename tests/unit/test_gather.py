"""When the proxies sleep for several commands, and when not."""

import os

from hypothesis import given
from hypothesis import strategies as st

from drvs import core
from drvs.base import limits
from drvs.cluster.proxies.gather import NEVER, Gather

MOST, WAIT_S = 16, 1e-4


class Proxies:
    """What a pair has carried, and what it asks for."""

    def __init__(self) -> None:
        self.gather = Gather(MOST, WAIT_S)
        self.taken = self.roused = 0
        self.now = 0.0

    def ask(self, *, took: int = 0, put: int = 0) -> int:
        """Carry something, then ask."""
        self.taken += took
        self.roused += put
        return self.gather.ask(self.taken, self.roused, self.now)

    def wait(self) -> None:
        """Nobody has rung."""
        assert self.gather.until != NEVER
        self.now = self.gather.until


def test_one_caller_is_never_waited_for() -> None:
    proxies = Proxies()
    for _ in range(100):
        assert proxies.ask(took=1) == 1
        assert proxies.ask(put=1) == 1
        assert proxies.gather.until == NEVER


def test_many_who_were_answered_are_expected_to_call_again() -> None:
    proxies = Proxies()
    assert proxies.ask(took=64) == 1
    assert proxies.ask(put=5) == 5
    assert proxies.gather.until == proxies.now + WAIT_S
    assert proxies.ask(put=40) == MOST
    assert proxies.ask(took=43) == 2
    assert proxies.ask(took=1) == 1


def test_a_wait_in_vain_is_not_repeated_for_a_while_that_grows() -> None:
    proxies, last = Proxies(), 0.0
    for _ in range(30):
        assert proxies.ask(put=8) == 8
        proxies.wait()
        assert proxies.ask() == 1  # whom it has roused does something else
        assert proxies.ask(put=8) == 1
        began = proxies.now
        while proxies.ask(put=8) == 1:
            proxies.now += WAIT_S
        off = proxies.now - began
        assert off >= last or off + 2 * WAIT_S >= limits.LINK_GATHER_OFF_MS / 1000
        assert off <= limits.LINK_GATHER_OFF_MS / 1000 + 2 * WAIT_S
        last = off
        proxies.wait()
        proxies.ask()
        proxies.now += 10


def test_a_wait_that_brought_several_is_repeated_at_once() -> None:
    proxies = Proxies()
    assert proxies.ask(put=8) == 8
    proxies.wait()
    assert proxies.ask(took=2) == 6


def test_none_is_a_setting() -> None:
    assert Gather(1, WAIT_S).ask(0, 100, 0.0) == 1


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.floats(0, 1e-3))))
def test_whatever_comes_the_number_is_within_its_bounds(steps: list[tuple[int, int, float]]) -> None:
    proxies = Proxies()
    for took, put, passed in steps:
        proxies.now += passed
        commands = proxies.ask(took=took, put=put)
        assert 1 <= commands <= MOST
        assert (proxies.gather.until == NEVER) == (commands == 1)


def test_dozing_ends_with_something_to_read() -> None:
    reading, writing = os.pipe()
    try:
        core.doze(reading, 1000)  # nothing comes
        os.write(writing, b"x")
        core.doze(reading, 3600 * 10**9)
    finally:
        os.close(reading)
        os.close(writing)
