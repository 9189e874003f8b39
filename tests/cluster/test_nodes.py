"""Programs of several nodes talk as if they sat on one: a lab of real nodes, joined by the standard proxies."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drvs.lab import Lab
from support.labs import lab

PEOPLE = Path(__file__).parent / "people.py"


@pytest.fixture(scope="module")
def three() -> Iterator[Lab]:
    with lab(3) as running:
        running.node(0).drvs("vm", "create", "work", "--nodes", "all")
        yield running


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-P", str(PEOPLE), *arguments]


def say(running: Lab, node: int, *arguments: str) -> str:
    return running.node(node).run(python(*arguments)).stdout


def test_a_vm_for_all_nodes_runs_on_each_of_them(three: Lab) -> None:
    for node in range(3):
        (row,) = json.loads(three.node(node).drvs("vm", "list", "--json"))
        assert row["name"] == "work"
        assert row["nodes"] == [0, 1, 2]


def test_a_call_to_a_name_on_another_node_is_answered(three: Lab) -> None:
    server = three.node(1).popen(python("echo", "far"))
    for node in (0, 1, 2):
        assert say(three, node, "call", "far", "41") == "42\n"
    assert say(three, 2, "call", "far", "quit") == "0\n"
    assert server.wait(timeout=30) == 0
