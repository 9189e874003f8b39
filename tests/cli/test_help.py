"""The command line without a node: help, speed, completion, versions, wrong usage, and how a missing node shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.nodes import drvs

NOWHERE = "/nonexistent/drvs-without-a-node"
GROUPS = [
    "up", "down", "status", "vm", "run", "ps", "dump", "cat", "ls", "mount", "umount", "ca", "gc", "doctor", "demo",
    "lab", "bench", "config", "completion", "version",
]  # fmt: skip


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `drvs` where there is no node."""
    return drvs(*arguments, runtime_dir=NOWHERE, **environment)


def test_help_names_every_command_and_the_exit_statuses() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line[:3].strip()][
        :0
    ] == []
    for name in GROUPS:
        assert f"\n  {name} " in done.stdout
    for text in ("Exit status:", "124  the time given was over", "no node is running"):
        assert text in done.stdout


MORE = [
    "vm create",
    "vm end",
    "vm list",
    "vm show",
    "dump vm",
    "dump proc",
    "up", "down", "status", "vm", "run", "ps", "dump", "ca", "gc", "doctor", "demo",
    "lab", "bench", "config", "completion", "version",
    "bench local",
    "bench images",
    "bench executor",
    "completion show",
    "completion install",
]


@pytest.mark.parametrize("command", [*GROUPS, *MORE])
def test_every_command_explains_itself(command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage: drvs " + command.split()[0] in done.stdout


def test_help_imports_nothing_slow() -> None:
    program = (
        "import sys; sys.argv = ['drvs', '--help']\n"
        "import drvs.cli.main as cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = shown.partition("LOADED")[2].split()
    assert not {"rich", "msgspec", "asyncio", "multiprocessing", "numpy", "hashlib"} & set(loaded)


def test_help_is_little_work() -> None:
    """CPU time, which a busy machine stretches far less than the clock; the best of five."""
    assert min(_cpu_seconds("--help") for _ in range(5)) < 0.5


def _cpu_seconds(*arguments: str) -> float:
    before = os.times()
    run(*arguments)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize("arguments", [("nonsense",), ("vm", "create"), ("run", "--vm", "lab"), ("ps", "--bogus")])
def test_wrong_usage_is_status_2_and_says_so(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("vm", "list"),
        ("vm", "create", "lab"),
        ("ps",),
        ("ps", "--waits"),
        ("dump", "vm"),
        ("run", "--vm", "a", "true"),
    ],
)
def test_without_a_node_it_is_status_3_and_the_next_step(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 3
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("drvs: ")
    assert NOWHERE in first
    assert second.strip().startswith("next:")
    assert "drvs up" in second


def test_runtime_dir_can_be_given_as_an_option() -> None:
    done = run("--runtime-dir", "/nonexistent/another", "ps")
    assert done.returncode == 3
    assert "/nonexistent/another" in done.stderr


def test_version_names_what_a_bug_report_needs() -> None:
    shown = json.loads(run("version", "--json").stdout)
    assert {"drvs", "core", "region layout", "python", "kernel", "machine"} <= set(shown)
    assert run("version").stdout.startswith(f"drvs {shown['drvs']}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown_and_installed_where_the_shell_looks(shell: str, tmp_path: Path) -> None:
    homes = {"HOME": str(tmp_path), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "ZDOTDIR": "", "SHELL": f"/bin/{shell}"}
    script = run("completion", "show", **homes).stdout
    assert "_DRVS_COMPLETE" in script
    done = run("completion", "install", **homes)
    assert done.returncode == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.read_text() for path in written] == [script]
    assert str(written[0]) in done.stdout


def test_completion_for_an_unknown_shell_says_which_there_are() -> None:
    done = run("completion", "show", SHELL="/bin/tcsh")
    assert done.returncode == 2
    assert "bash|zsh|fish" in done.stderr


def test_bash_completes_commands_and_options() -> None:
    """What bash asks through the installed script."""

    def offered(words: str, cursor: int) -> list[str]:
        environment = {"_DRVS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(cursor)}
        return run(**environment).stdout.split()

    assert offered("drvs ", 1)[:3] == ["up", "down", "status"]
    assert offered("drvs vm c", 2) == ["create"]
    assert "--waits" in offered("drvs ps --w", 2)


def test_a_closed_pipe_is_no_error_message() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-m", "drvs.cli", "version", "--json"]
    done = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""
