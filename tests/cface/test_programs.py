"""What only C programs show: bad pointers, signals, threads, forks; plain, under valgrind, with sanitizers."""

import re
import subprocess
from pathlib import Path

import pytest

from support import cprograms
from support.nodes import RunningNode

FOLDER = Path(__file__).parent / "programs"
CASES = re.findall(r"CASE\((\w+)\)[,;]", (FOLDER / "behaviour.c").read_text())
QUICK = {"shared"}


def variants() -> list[object]:
    """All of them; only the plain one is quick."""
    return [pytest.param(v, marks=() if v in QUICK else pytest.mark.slow) for v in cprograms.VARIANTS]


def check(name: str, variant: str, runtime_dir: Path, *arguments: str) -> None:
    """Run a test program that must find nothing to complain about."""
    if reason := cprograms.missing(variant):
        pytest.skip(reason)
    program = cprograms.build(FOLDER / f"{name}.c", variant)
    done = cprograms.run(program, *arguments, runtime_dir=runtime_dir, variant=variant)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr


@pytest.mark.parametrize("variant", ["shared", "address", pytest.param("valgrind", marks=pytest.mark.slow)])
def test_a_bad_pointer_gives_a_code(variant: str, shared_node: RunningNode) -> None:
    check("bad_input", variant, shared_node.runtime_dir, *(["without-copies"] if variant == "valgrind" else []))


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("case", CASES)
def test_behaviour(case: str, variant: str, shared_node: RunningNode) -> None:
    check("behaviour", variant, shared_node.runtime_dir, case)


def test_every_case_is_listed() -> None:
    assert len(CASES) > 10


def test_no_python_is_in_the_process(shared_node: RunningNode) -> None:
    program = cprograms.build(cprograms.ROOT / "examples/c/echo.c", "shared")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    assert "libm3ipc.so.0" in listed
    assert "python" not in listed.lower()


@pytest.mark.parametrize("limits", ["", "spin_us=0", "spin_us=0,idle_connections=0", "connect_tries=1,  spin_us=1000"])
def test_limits_of_the_environment_are_obeyed(
    limits: str, shared_node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRVS_LIMITS", limits)
    monkeypatch.setenv("DRVS_DISABLE", "pidfd_thread")
    program = cprograms.build(cprograms.ROOT / "examples/c/threads.c")
    assert cprograms.run(program, runtime_dir=shared_node.runtime_dir).returncode == 0


def test_noded_may_be_restarted_between_calls(node, shared_node: RunningNode) -> None:
    program = cprograms.build(FOLDER / "restart.c")
    environment = cprograms.environment(shared_node.runtime_dir)
    with subprocess.Popen(
        [program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stdout.readline() == "bound\n"
        shared_node.kill()
        running.stdin.write("\n")
        running.stdin.flush()
        assert running.stdout.readline() == "asking\n"
        shared_node.restart()
        assert running.stdout.read() == "still 10\n"
        assert running.wait(10) == 0
