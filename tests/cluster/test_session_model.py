"""Sessions on a hostile network: whatever it does, records arrive exactly once and in order, and everything ends.

Hypothesis drives two nodes over a network in memory (`support.network`), which breaks streams, restarts nodes, and
loses, repeats, reorders, delays and forges datagrams. A failure prints the steps that led to it.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from support.certificates import credentials
from support.network import Datagrams, Letter, Streams

NODES = st.sampled_from([1, 2])
SIZES = st.lists(st.sampled_from([0, 1, 20, 700, 3000, 8000]), min_size=1, max_size=5)


class Hostile(RuleBasedStateMachine):
    """What both kinds of network allow."""

    world: Streams | Datagrams

    @rule(node=NODES)
    def dial(self, node: int) -> None:
        self.world.dial(node)

    @rule(node=NODES, sizes=SIZES)
    def send(self, node: int, sizes: list[int]) -> None:
        self.world.send(node, sizes)
        self.world.transmit()

    @rule(node=NODES, kind=st.integers(0, 65535))
    def say(self, node: int, kind: int) -> None:
        self.world.say(node, kind)
        self.world.transmit()

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.5, 6.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(node=NODES)
    def restart(self, node: int) -> None:
        self.world.restart(node)
        self.world.transmit()

    @rule()
    def calm(self) -> None:
        self.world.deliver_all()

    @rule(node=NODES)
    def connect(self, node: int) -> None:
        if not self.world.connected():
            self.world.dial(node)
            self.world.deliver_all()

    @rule(sizes=st.lists(SIZES, min_size=2, max_size=6))
    def pour(self, sizes: list[list[int]]) -> None:
        """Both send at once, over a connection if one can be had."""
        self.connect(1)
        for blob in sizes:
            self.world.send(1, blob)
            self.world.send(2, blob)
        self.world.transmit()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()


class OverStreams(Hostile):
    """Streams break, at one end first, with what was under way half lost."""

    @initialize(secure=st.booleans())
    def begin(self, secure: bool) -> None:
        self.world = Streams({1: credentials(1), 2: credentials(2)} if secure else None)

    @rule(index=st.integers(0, 3), node=NODES, size=st.sampled_from([1, 31, 33, 500, 10_000]))
    def move(self, index: int, node: int, size: int) -> None:
        assert isinstance(self.world, Streams)
        self.world.move(index, node, size)

    @rule(index=st.integers(0, 3), node=NODES)
    def cut(self, index: int, node: int) -> None:
        assert isinstance(self.world, Streams)
        self.world.cut(index, node)


class OverDatagrams(Hostile):
    """Datagrams are lost, repeated, reordered and replayed."""

    secure = False

    @initialize()
    def begin(self) -> None:
        self.world = Datagrams({1: credentials(1), 2: credentials(2)} if self.secure else None)

    @property
    def net(self) -> Datagrams:
        assert isinstance(self.world, Datagrams)
        return self.world

    @rule(index=st.integers(0, 40))
    def deliver(self, index: int) -> None:
        self.net.deliver(index)

    @rule(index=st.integers(0, 40))
    def deliver_and_keep(self, index: int) -> None:
        self.net.deliver(index, keep=True)

    @rule(index=st.integers(0, 40))
    def lose(self, index: int) -> None:
        if self.net.letters:
            self.net.letters.pop(index % len(self.net.letters))

    @rule(index=st.integers(0, 50))
    def replay(self, index: int) -> None:
        if self.net.history:
            self.net.put(self.net.history[index % len(self.net.history)])


class OverSealedDatagrams(OverDatagrams):
    """And forged: what was not sealed by the peer changes nothing."""

    secure = True

    @rule(index=st.integers(0, 50), place=st.integers(0, 2000), bit=st.integers(0, 7))
    def forge(self, index: int, place: int, bit: int) -> None:
        if self.net.history:
            letter = self.net.history[index % len(self.net.history)]
            data = bytearray(letter.data)
            if data[1] != 1:  # a changed HELLO is another HELLO
                data[place % len(data)] ^= 1 << bit
                self.net.put(Letter(letter.to, bytes(data)))


OverStreams.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
OverDatagrams.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
OverSealedDatagrams.TestCase.settings = settings(max_examples=30, stateful_step_count=40)


@pytest.mark.slow
@pytest.mark.deadline(1800)
@pytest.mark.parametrize("machine", [OverStreams, OverDatagrams, OverSealedDatagrams])
def test_many_more_histories(machine: type[Hostile]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=1500, stateful_step_count=60))


TestStreams = OverStreams.TestCase
TestDatagrams = OverDatagrams.TestCase
TestSealedDatagrams = OverSealedDatagrams.TestCase
