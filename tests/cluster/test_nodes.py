"""Programs of several nodes talk as if they sat on one: a lab of real nodes, joined by the standard proxies."""

import json
import subprocess
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


def finish(program: "subprocess.Popen[str]") -> str:
    said, _ = program.communicate(timeout=120)
    assert program.returncode == 0
    return said


def start(running: Lab, node: int, *arguments: str) -> "subprocess.Popen[str]":
    return running.node(node).popen(python(*arguments), stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def line(program: "subprocess.Popen[str]") -> str:
    assert program.stdout is not None
    said = program.stdout.readline()
    assert said, "it ended before it said anything: what it met is on stderr"
    return said.strip()


@pytest.mark.parametrize("size", [100, 300_000])
def test_blocks_are_copied_from_and_to_a_process_of_another_node(three: Lab, size: int) -> None:
    library = start(three, 2, "library", "books", str(size))
    assert say(three, 0, "reader", "books") == f"{size}\nTrue\n{size}\n"
    assert finish(library) == "True\n"


def test_a_caller_whose_server_is_killed_on_another_node_goes_on_at_once(three: Lab) -> None:
    server = start(three, 1, "hold", "silent")
    line(server)
    caller = start(three, 0, "wait_for_the_end_of", "silent")
    assert line(server) == "taken"
    server.kill()
    assert finish(caller) == "SRCDIED\n"
    server.communicate()


def test_a_link_that_is_cut_and_healed_loses_and_repeats_nothing(three: Lab) -> None:
    server = start(three, 1, "echo", "steady")
    line(server)
    worker = start(three, 0, "work", "steady", "600")
    assert line(worker) == "100"
    three.cut(0, 1)
    three.heal(0, 1)
    assert line(worker) == "200"
    three.cut(0, 1)
    three.heal(0, 1)
    assert finish(worker).endswith("done\n")
    say(three, 0, "call", "steady", "quit")
    finish(server)


def test_traffic_goes_on_while_noded_is_killed_and_started_again(three: Lab) -> None:
    server = start(three, 1, "echo", "loyal")
    line(server)
    worker = start(three, 0, "work", "loyal", "400")
    assert line(worker) == "100"
    kill_noded = "import os, signal, drvs; os.kill(drvs.connect().client.call('hello')['pid'], signal.SIGKILL)"
    three.node(0).run([sys.executable, "-c", kill_noded])
    assert finish(worker).endswith("done\n")
    three.node(0).drvs("up", "--node", "0")
    assert say(three, 0, "call", "loyal", "1") == "2\n"
    say(three, 2, "call", "loyal", "quit")
    finish(server)


def test_proxies_that_are_killed_fail_what_is_under_way_and_come_back(three: Lab) -> None:
    server = start(three, 1, "hold", "lost")
    line(server)
    caller = start(three, 0, "wait_for_the_end_of", "lost")
    assert line(server) == "taken"
    kill_proxies = "import os, signal, drvs; os.kill(drvs.connect().proxies()[0].sender.pid, signal.SIGKILL)"
    three.node(0).run([sys.executable, "-c", kill_proxies])
    assert finish(caller) == "NOPROXY\n"
    server.kill()
    server.communicate()
    echo = start(three, 1, "echo", "again")
    line(echo)
    assert say(three, 0, "call", "again", "7", "quit") == "8\n0\n"
    finish(echo)


def test_a_node_that_is_killed_and_restarted_gets_the_vm_back(three: Lab) -> None:
    server = start(three, 2, "hold", "mortal")
    before = line(server)
    caller = start(three, 0, "wait_for_the_end_of", "mortal")
    assert line(server) == "taken"
    three.node(2).kill()
    three.node(2).restart()
    assert finish(caller) == "NOTCONN\n"
    server.communicate()
    echo = start(three, 2, "echo", "reborn")
    assert line(echo) != before  # who still has the endpoint does not reach somebody else by it
    assert say(three, 0, "call", "reborn", "7", "quit") == "8\n0\n"
    finish(echo)
