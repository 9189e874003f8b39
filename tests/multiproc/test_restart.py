"""noded killed and started again while processes talk: they notice nothing, and who died meanwhile is buried."""

import os
import random
import time
from typing import Any

import pytest

import drvs
from drvs.base.errors import PeerDied, TimedOut
from support import children, nodes
from support.children import Child, Me, spawn

CALL_S = 20.0


def _serve(me: Me, runtime_dir: str, name: str) -> None:
    """Answers whatever is asked."""
    with drvs.connect(runtime_dir) as node:
        endpoint = node.vm("lab").bind(name=name)
        me.say(endpoint.endpoint)
        message = endpoint.receive()
        while True:
            message.m1_i1 += 1
            message = endpoint.reply_receive(message, message)


def _ask(me: Me, runtime_dir: str, name: str) -> None:
    """Calls that server without a pause, and says now and then how often it has, until a call fails."""
    with drvs.connect(runtime_dir) as node:
        vm = node.vm("lab")
        endpoint = vm.bind()
        server = vm.lookup(name, timeout=CALL_S)
        me.say("ready")
        calls = 0
        while True:
            try:
                for _ in range(200):
                    calls += 1
                    answer = endpoint.sendrec(server, drvs.Message(1, m1_i1=calls), timeout=CALL_S)
                    assert answer.m1_i1 == calls + 1, f"asked {calls}, got {answer.m1_i1}"
            except PeerDied:
                me.say("server died")
                return
            me.say(calls)


class Pair:
    """A client and its server."""

    def __init__(self, runtime_dir: str, name: str) -> None:
        self.server = spawn(_serve, runtime_dir, name)
        self.server.wait_line()
        self.client: Child = spawn(_ask, runtime_dir, name)
        self.client.wait_line("ready")

    def make_progress(self) -> None:
        """The client's next two hundred calls have gone well."""
        assert int(self.client.wait_line(timeout=2 * CALL_S)) > 0


def restart_under_load(node: nodes.RunningNode, pairs: int, restarts: int) -> None:
    runtime_dir = str(node.runtime_dir)
    with drvs.connect(runtime_dir) as connection:
        connection.create_vm("lab")
    town = [Pair(runtime_dir, f"server{i}") for i in range(pairs)]
    for number in range(restarts):
        for pair in town:
            pair.make_progress()
        node.kill()
        for pair in town:
            pair.make_progress()
        victim = town.pop(0)
        victim.server.kill()
        restarted = nodes.start(node.runtime_dir)
        node.processes |= restarted.processes
        expect_death(victim)
        town.append(Pair(runtime_dir, f"again{number}"))
    for pair in town:
        pair.make_progress()


def expect_death(pair: Pair) -> None:
    """The client of a server that died while there was no noded learns of it from the next one."""
    deadline = time.monotonic() + 2 * CALL_S
    while pair.client.wait_line(timeout=2 * CALL_S) != "server died":
        assert time.monotonic() < deadline
    pair.client.result()


def test_ipc_goes_on_while_noded_is_killed_and_started_again(node: nodes.RunningNode) -> None:
    restart_under_load(node, pairs=2, restarts=2)


@pytest.mark.slow
def test_many_restarts(node: nodes.RunningNode) -> None:
    restart_under_load(node, pairs=12, restarts=25)


# ---- random deaths under a real noded ------------------------------------------------------------------------------


def _mingle(me: Me, runtime_dir: str, seed: int) -> None:
    """Calls whoever is there, serves whoever calls; deaths of others are expected."""
    dice = random.Random(seed)
    with drvs.connect(runtime_dir) as node:
        vm = node.vm("lab")
        endpoint = vm.bind()
        me.say(os.getpid())
        others: list[Any] = []
        while True:
            if dice.random() < 0.02 or not others:
                others = [process.endpoint for process in vm.processes() if process.endpoint != endpoint.endpoint]
            try:
                if others and dice.random() < 0.5:
                    endpoint.sendrec(dice.choice(others), drvs.Message(1), timeout=0.05)
                else:
                    request = endpoint.receive_request(timeout=0.02)
                    endpoint.reply(request, request)
            except (TimedOut, ConnectionError, RuntimeError):
                continue


def deaths_under_noded(node: nodes.RunningNode, size: int, deaths: int) -> None:
    dice = random.Random(size)
    runtime_dir = str(node.runtime_dir)
    with drvs.connect(runtime_dir) as connection:
        vm = connection.create_vm("lab")
        people = [spawn(_mingle, runtime_dir, number) for number in range(size)]
        for child in people:
            child.wait_line()
        for number in range(deaths):
            place = dice.randrange(size)
            lay_out(people[place])
            people[place] = spawn(_mingle, runtime_dir, size + number)
            people[place].wait_line()
        wait_for_burials(vm, people)
        connection.client.call("audit", vmid=vm.id)


def lay_out(child: Child) -> None:
    """Kill it, and give back what the test holds of it at once: there will be many."""
    children.live.remove(child)
    child.close()


def wait_for_burials(vm: Any, people: list[Child]) -> None:
    """Bound is who lives, and nobody else."""
    deadline = time.monotonic() + CALL_S
    living = sorted(child.pid for child in people)
    while sorted(process.pid for process in vm.processes()) != living:
        assert time.monotonic() < deadline, f"bound: {vm.processes()}, living: {living}"


def test_noded_buries_whoever_dies(node: nodes.RunningNode) -> None:
    deaths_under_noded(node, size=6, deaths=30)


@pytest.mark.slow
def test_noded_buries_hundreds(node: nodes.RunningNode) -> None:
    deaths_under_noded(node, size=32, deaths=400)
