"""The demo and the benchmarks, run for real: what they print, their exit status, and that nothing is left behind."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import nodes


@pytest.fixture
def no_traces(nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if a process is left, or anything in the directory for temporary files, which is the test's own."""
    folder = tempfile.mkdtemp(prefix="drvs-t-")
    monkeypatch.setenv("TMPDIR", folder)
    yield
    left = os.listdir(folder)
    shutil.rmtree(folder)
    assert not left


def start(*arguments: str) -> "subprocess.Popen[str]":
    """Start Python in a session of its own."""
    command = [sys.executable, *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip


def start_demo() -> "subprocess.Popen[str]":
    """Start `drvs demo`."""
    return start("-m", "drvs.cli", "demo")


def output(running: "subprocess.Popen[str]") -> str:
    """What it printed, in 280 seconds at most; it has to end well."""
    text, _ = running.communicate(timeout=280)
    assert running.returncode == 0, text
    return text


def check_for(text: str, *words: str) -> None:
    """All of these regular expressions are found."""
    for word in words:
        assert re.search(word, text), f"{word!r} is missing in:\n{text}"


def check_the_first_act(text: str) -> None:
    """Every client saw the server die once, and nothing was lost."""
    assert len(re.findall(r"client \d +EMOL(?:DST|SRC)DIED from its call", text)) == 8
    check_for(text, r"SIGKILL +to the server", r"files that differ +0\n", r"lost or repeated +0\n", "p99.9", "█")
    check_for(text, r"failed by the death +8 ", "All is right: ")


def check_the_lab(text: str, kind: str) -> None:
    """It was played on a lab, whose link was cut."""
    check_for(text, rf"lab +3 nodes {kind}", "cut +the link", "heal +the link", r"paused by the cut +\d")
    check_for(text, "All is right: every client only paused")


@pytest.mark.deadline(300)
def test_the_demo_loses_nothing_when_a_link_breaks_and_its_server_dies(no_traces: None) -> None:
    text = output(start_demo())
    check_the_first_act(text)
    check_the_lab(text, "(in namespaces|on loopback)")
    if platform.machine() == "x86_64":
        check_the_second_act(text)


def check_the_second_act(text: str) -> None:
    """The script went on where it was, and its copies gave the answers they should."""
    text = " ".join(text.split())  # lines break where the terminal ends
    aside = re.search(r"in mid-loop: ([\d,]+) steps done", text)
    back = re.search(r"goes on where it was: ([\d,]+) steps done", text)
    assert aside, text
    assert back, text
    assert aside[1] == back[1]
    check_for(text, r"image\.Template +in the image", r"forkserver ", r"spawn ", "32 different answers")


FIRST_ACT = """
import functools, sys
from drvs.demo import show, stage
from drvs.lab import Lab, LabError

def no_lab(*_):
    raise LabError("there is no room for one")

stage.Lab = {lab}
sys.exit(bool(show.first_act()))
"""


@pytest.mark.deadline(300)
def test_the_first_act_without_namespaces(no_traces: None) -> None:
    text = output(start("-c", FIRST_ACT.format(lab="functools.partial(Lab, namespaces=False)")))
    check_the_first_act(text)
    check_the_lab(text, "on loopback")


@pytest.mark.deadline(300)
def test_the_first_act_where_there_can_be_no_lab(no_traces: None) -> None:
    text = output(start("-c", FIRST_ACT.format(lab="no_lab")))
    check_the_first_act(text)
    check_for(text, "lab +cannot be had here, so it all happens on one node: there is no room for one")
    assert "the link" not in text


@pytest.mark.deadline(300)
@pytest.mark.parametrize(
    ("number", "when"),
    [
        (signal.SIGINT, "s  clients "),
        (signal.SIGTERM, "s  clients "),
        (signal.SIGHUP, "s  clients "),
        (signal.SIGTERM, "s  script "),
    ],
)
def test_a_demo_that_is_interrupted_cleans_up(number: signal.Signals, when: str, no_traces: None) -> None:
    running = start_demo()
    assert running.stdout is not None
    for line in running.stdout:
        if when in line:
            break
    os.killpg(running.pid, number)
    text, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in text


@pytest.mark.deadline(150)
def test_a_quick_benchmark_prints_and_writes_its_rows(tmp_path: Path, no_traces: None) -> None:
    path = tmp_path / "rows.json"
    arguments = ("bench", "local", "--quick", "--table", "fanin", "--table", "copy", "--json", str(path))
    done = nodes.drvs(*arguments, runtime_dir="/nonexistent", timeout=140)
    assert done.returncode == 0, done.stderr
    rows = json.loads(path.read_text())
    assert {row["table"] for row in rows} == {"fanin", "copy"}
    assert {row["mechanism"] for row in rows if row["table"] == "copy"} == {"drvs", "process_vm_readv"}
    assert all(row["mean_us"] > 0 for row in rows)
    assert "Against the promises" in done.stdout
    assert "commit" in json.loads(path.with_suffix(".meta.json").read_text())


@pytest.mark.deadline(150)
def test_a_quick_benchmark_of_images_writes_rows_of_the_same_kind(tmp_path: Path, no_traces: None) -> None:
    path = tmp_path / "rows.json"
    done = nodes.drvs("bench", "images", "--quick", "-t", "heap", "--json", str(path), runtime_dir="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert {row["table"] for row in json.loads(path.read_text())} == {"heap"}
    assert "Against the promises" in done.stdout
    assert json.loads(path.with_suffix(".meta.json").read_text())["targets"]


def test_results_that_cannot_be_written_are_refused_at_once(tmp_path: Path, no_traces: None) -> None:
    done = nodes.drvs("bench", "local", "--json", str(tmp_path / "missing" / "rows.json"), runtime_dir="/nonexistent")
    assert done.returncode == 1
    assert "cannot write" in done.stderr


@pytest.mark.slow
@pytest.mark.deadline(600)
@pytest.mark.parametrize(
    ("benchmark", "tables"),
    [("images", {"cycle", "heap", "copies", "pause", "memory"}), ("executor", {"start", "calls", "memory"})],
)
def test_the_other_benchmarks_in_whole(benchmark: str, tables: set[str], tmp_path: Path, no_traces: None) -> None:
    path = tmp_path / "rows.json"
    done = nodes.drvs("bench", benchmark, "--quick", "--json", str(path), runtime_dir="/nonexistent", timeout=580)
    assert done.returncode == 0, done.stderr
    assert {row["table"] for row in json.loads(path.read_text())} == tables


@pytest.mark.slow
@pytest.mark.deadline(600)
def test_a_whole_quick_benchmark(tmp_path: Path, no_traces: None) -> None:
    path = tmp_path / "rows.json"
    done = nodes.drvs("bench", "local", "--quick", "--json", str(path), runtime_dir="/nonexistent", timeout=580)
    assert done.returncode == 0, done.stderr
    assert {row["table"] for row in json.loads(path.read_text())} == {"roundtrip", "copy", "scale", "fanin", "memory"}
