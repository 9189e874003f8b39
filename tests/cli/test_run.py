"""`drvs run`: the child is bound before it starts, status and signals are its own, a refusal starts nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import drvs as api
from support import nodes
from support.nodes import RunningNode

MEET = "import drvs, sys; ep = drvs.wait_for_bind(10); print(ep.vm.name, ep.p_nr, ep.name, ep.pid, flush=True); "


@pytest.fixture
def lab(node: RunningNode) -> Iterator[api.VM]:
    """A VM named lab."""
    with api.connect(node.runtime_dir) as connection:
        yield connection.create_vm("lab")


def run(node: RunningNode, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `drvs run --vm lab ARGUMENTS`."""
    return nodes.drvs("run", "--vm", "lab", *arguments, runtime_dir=node.runtime_dir)


def start(node: RunningNode, *arguments: str) -> "subprocess.Popen[str]":
    """Start `drvs run --vm lab ARGUMENTS` and go on."""
    command = [sys.executable, "-m", "drvs.cli", "run", "--quiet", "--vm", "lab", *arguments]
    environment = {**os.environ, "DRVS_RUNTIME_DIR": str(node.runtime_dir)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_the_child_meets_its_endpoint(node: RunningNode, lab: api.VM) -> None:
    done = run(node, "--slot", "10", "--name", "web", "--", sys.executable, "-c", MEET)
    assert done.returncode == 0
    vm, slot, name, pid = done.stdout.split()
    assert (vm, slot, name) == ("lab", "10", "web")
    assert f"process {pid} is endpoint 10 of VM 'lab'" in done.stderr
    lab.wait_unbound(10, timeout=10)


@pytest.mark.parametrize("status", [0, 1, 7, 124])
def test_the_exit_status_is_the_commands(node: RunningNode, lab: api.VM, status: int) -> None:
    assert run(node, "--", "sh", "-c", f"exit {status}").returncode == status


def test_a_command_that_dies_by_a_signal_gives_128_and_its_number(node: RunningNode, lab: api.VM) -> None:
    assert run(node, "--", "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


def test_options_of_the_command_are_its_own(node: RunningNode, lab: api.VM) -> None:
    assert run(node, "--quiet", "sh", "-c", "echo $0 $@", "--slot", "--json").stdout == "--slot --json\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_handed_on(node: RunningNode, lab: api.VM, number: signal.Signals) -> None:
    catch = f"import signal; signal.signal({int(number)}, lambda n, _: sys.exit(40 + n)); "
    program = MEET.replace("print", f"{catch}print") + "ep.receive(drvs.ANY)"
    running = start(node, "--", sys.executable, "-c", program)
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(number)
    assert running.wait(20) == 40 + number
    running.stdout.close()


@pytest.mark.parametrize(("command", "status"), [("no-such-command", 127), ("/", 126)])
def test_a_command_that_cannot_run_says_why(node: RunningNode, lab: api.VM, command: str, status: int) -> None:
    done = run(node, "--slot", "10", "--", command)
    assert done.returncode == status
    assert f"cannot run '{command}'" in done.stderr
    assert "next:" in done.stderr
    lab.wait_unbound(10, timeout=10)


def test_a_refused_binding_starts_nothing(node: RunningNode, lab: api.VM, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with lab.bind(10):
        done = run(node, "--slot", "10", "--", "touch", str(made))
    assert done.returncode == 6
    assert not made.exists()
