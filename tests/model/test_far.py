"""Random calls between three nodes, as a property test that shrinks and as long walks from a seed."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from drvs.core import CODES, _core
from model.far import EACH, NODES, Process, World, play

PROCESS = st.integers(0, NODES * EACH - 1)
NODE = st.integers(0, NODES - 1)


class Far(RuleBasedStateMachine):
    """Each rule is one step of one process, one link or one accident."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def process(self, number: int) -> Process:
        """The process meant."""
        return self.world.processes[number]

    def known(self, me: int, peer: int) -> tuple[Process, int]:
        """A process, and the endpoint of another that its node knows."""
        caller, other = self.process(me), self.process(peer)
        self.world.know(caller.node, other)
        return caller, other.endpoint

    @rule(me=PROCESS, peer=PROCESS, op=st.sampled_from([_core.SEND, _core.SENDREC]), nowait=st.booleans())
    def speak(self, me: int, peer: int, op: int, nowait: bool) -> None:
        caller, endpoint = self.known(me, peer)
        self.world.call(caller, op, endpoint, nowait)

    @rule(me=PROCESS, op=st.sampled_from([_core.RECEIVE, _core.RCVRQST]), nowait=st.booleans())
    def listen(self, me: int, op: int, nowait: bool) -> None:
        self.world.call(self.process(me), op, _core.ANY, nowait)

    @rule(me=PROCESS, peer=PROCESS)
    def listen_to(self, me: int, peer: int) -> None:
        caller, endpoint = self.known(me, peer)
        self.world.call(caller, _core.RECEIVE, endpoint)

    @rule(me=PROCESS, pick=st.integers(0, 9), op=st.sampled_from([_core.REPLY, _core.SEND]), nowait=st.booleans())
    def answer(self, me: int, pick: int, op: int, nowait: bool) -> None:
        server = self.process(me)
        self.world.read_end(server)
        if server.op is None and server.clients:
            client = sorted(server.clients)[pick % len(server.clients)]
            self.world.call(server, op, client, nowait, answers=server.clients[client][0])

    @rule(me=PROCESS, peer=PROCESS, value=st.integers(0, 2))
    def notify(self, me: int, peer: int, value: int) -> None:
        caller, endpoint = self.known(me, peer)
        self.world.call(caller, _core.NOTIFY, endpoint, value=value)

    @rule(me=PROCESS, source=PROCESS, destination=PROCESS, nbytes=st.sampled_from([0, 1, 64, 65, 400]))
    def copy(self, me: int, source: int, destination: int, nbytes: int) -> None:
        self.world.copy(self.process(me), self.process(source), self.process(destination), nbytes)

    @rule(me=PROCESS, code=st.sampled_from(["TIMEDOUT", "INTR"]))
    def give_up(self, me: int, code: str) -> None:
        self.world.give_up(self.process(me), CODES[code])

    @rule(node=NODE, limit=st.integers(1, 4))
    def collect(self, node: int, limit: int) -> None:
        self.world.nodes.collect(node, limit)

    @rule(node=NODE, other=NODE)
    def deliver(self, node: int, other: int) -> None:
        if node != other:
            self.world.nodes.deliver(node, other)

    @rule()
    def rest(self) -> None:
        self.world.rest()

    @rule(me=PROCESS)
    def die(self, me: int) -> None:
        self.world.die(self.process(me))

    @rule(node=NODE, other=NODE, code=st.sampled_from(["NOTCONN", "NOPROXY", "NOVMNODE"]), unbind=st.booleans())
    def lose(self, node: int, other: int, code: str, unbind: bool) -> None:
        if node != other:
            self.world.lose(node, other, CODES[code], unbind)

    @invariant()
    def all_is_sound(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.rest()
        self.world.check()


COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
    "report_multiple_bugs": False,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
}


def test_calls_between_nodes_end_as_they_should() -> None:
    run_state_machine_as_test(Far, settings=settings(max_examples=100, stateful_step_count=80, **COMMON))


@pytest.mark.slow
@pytest.mark.deadline(1800)
def test_calls_between_nodes_end_as_they_should_for_long() -> None:
    examples = int(os.environ.get("DRVS_MODEL_EXAMPLES", "4000"))
    run_state_machine_as_test(Far, settings=settings(max_examples=examples, stateful_step_count=150, **COMMON))


def walk(seeds: range, steps: int) -> None:
    """Random walks; a failure names its seed."""
    for seed in seeds:
        try:
            play(World(seed), steps)
        except Exception as error:
            raise AssertionError(f"DRVS_SEED={seed}: {error}") from error


def first_seed() -> int:
    """DRVS_SEED, or a random one."""
    return int(os.environ.get("DRVS_SEED") or int.from_bytes(os.urandom(4), "little"))


def test_random_walks_between_nodes() -> None:
    first = first_seed()
    walk(range(first, first + 100), 300)


@pytest.mark.slow
def test_many_random_walks_between_nodes() -> None:
    first = first_seed()
    walk(range(first, first + 20000), 300)
