"""drvs image: what the commands print, the files they leave, and how a restored program is followed."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drvs.procspace.image.tracer import PATIENCE_S
from support import images

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="process images are for x86-64")
DRVS = [sys.executable, "-m", "drvs.cli", "image"]
SOURCE = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin: print(line, end='', flush=True)\nsys.exit(3)"


def drvs(*words: object, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run `drvs image` to its end."""
    command = [*DRVS, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, **options)  # type: ignore[call-overload, no-any-return]


def test_dump_show_verify_and_restore(tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    with images.python(SOURCE) as program:
        assert program.line() == "ready"
        facts = json.loads(drvs("dump", program.pid, file, "--json").stdout)
        assert facts["threads"] == 1
        assert facts["image_bytes"] == file.stat().st_size
        assert file.stat().st_mode & 0o777 == 0o600
        shown = json.loads(drvs("show", file, "--json").stdout)
        assert shown["command"][-1] == SOURCE
        assert shown["descriptors"] == {"0": "stream", "1": "stream", "2": "stream"}
        assert json.loads(drvs("verify", file, "--json").stdout)["fits"]
        with images.Program([*DRVS, "restore", str(file)]) as restored:
            assert restored.ask("hello") == "hello"
            restored.process.stdin.close()
            assert restored.process.wait(30) == 3
        assert drvs("dump", program.pid, file, "--stop").returncode == 0
        assert program.process.wait(30) == -signal.SIGKILL


def test_a_program_of_several_threads_is_stopped_without_delay(tmp_path: Path, nothing_left: None) -> None:
    """The command is not its parent: it sees the first thread end only when it has seen the others end."""
    threaded = f"import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n{SOURCE}"
    with images.python(threaded) as program:
        assert program.line() == "ready"
        started = time.monotonic()
        assert drvs("dump", program.pid, tmp_path / "image", "--stop").returncode == 0
        assert time.monotonic() - started < PATIENCE_S
        assert program.process.wait(30) == -signal.SIGKILL


def test_signals_are_passed_on_and_their_end_is_told(tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    with images.python(SOURCE) as program:
        assert program.line() == "ready"
        assert drvs("dump", program.pid, file).returncode == 0
    with images.Program([*DRVS, "restore", str(file)]) as restored:
        assert restored.ask("hello") == "hello"
        restored.process.send_signal(signal.SIGTERM)
        assert restored.process.wait(30) == 128 + signal.SIGTERM


def test_a_detached_program_lives_on(tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    with images.python(SOURCE) as program:
        assert program.line() == "ready"
        assert drvs("dump", program.pid, file).returncode == 0
    with images.Program([*DRVS, "restore", "-d", str(file)]) as restored:
        pid = int(restored.line())
        assert restored.process.wait(30) == 0
        assert os.getsid(pid) == pid
        assert restored.ask("hello") == "hello"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)  # it is ours now: this process adopts orphans


def test_failures_are_two_lines_and_leave_no_file(tmp_path: Path) -> None:
    done = drvs("dump", os.getpid(), tmp_path / "image")
    assert done.returncode == 1
    assert "has running children" in done.stderr
    assert "next:" in done.stderr
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "other").write_text("something else")
    assert "no process image" in drvs("verify", tmp_path / "other").stderr
