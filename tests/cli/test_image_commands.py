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


RANKED = """
import ctypes, os, sys
libc = ctypes.CDLL(None); libc.getenv.restype = ctypes.c_char_p
print('ready', flush=True)
for line in sys.stdin: pass
rank = int(libc.getenv(b"BPROC_RANK"))
os.write(1, b"rank %d\\n" % rank)
sys.exit(5 if rank == 2 else 0)
"""


@pytest.fixture
def ranked(tmp_path: Path, nothing_left: None) -> Path:
    """An image of a program whose copies say their rank at the end of their input; one of them fails."""
    with images.python(RANKED, env=os.environ | {"BPROC_RANK": "XXXXXXX"}) as program:
        assert program.line() == "ready"
        return images.dumped(program.pid, tmp_path / "image")


def test_start_makes_copies_and_tells_their_ends(ranked: Path) -> None:
    done = drvs("start", ranked, "-n", 4, stdin=subprocess.DEVNULL)
    assert done.returncode == 5, done.stderr
    lines = done.stdout.splitlines()
    assert sorted(line for line in lines if line.startswith("rank ") and "pid" not in line) == [
        f"rank {rank}" for rank in range(4)
    ]
    table = [line.split() for line in lines if line.split()[0].isdigit()]
    assert [[row[0], row[2]] for row in table] == [["0", "0"], ["1", "0"], ["2", "5"], ["3", "0"]]


def test_start_gives_json(ranked: Path) -> None:
    done = drvs("start", ranked, "-n", 2, "--json", stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout[done.stdout.index("[") :])
    assert [(fact["rank"], fact["exit"]) for fact in facts] == [(0, 0), (1, 0)]


def test_signals_are_passed_on_to_all_copies(ranked: Path) -> None:
    with images.Program([*DRVS, "start", str(ranked), "-n", "3", "--json"]) as started:
        while len(children := Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()) != 3:
            assert started.process.poll() is None
        while not Path(f"/proc/{started.pid}/syscall").read_text().startswith("128 "):  # rt_sigtimedwait
            assert started.process.poll() is None
        os.kill(started.pid, signal.SIGTERM)
        assert started.process.wait(30) == 128 + signal.SIGTERM
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_detached_copies_outlive_the_command(ranked: Path) -> None:
    lines = drvs("start", ranked, "-n", 2, "-d", stdin=subprocess.DEVNULL).stdout.splitlines()  # until all have ended
    assert sorted(line for line in lines if not line.isdigit()) == ["rank 0", "rank 1"]
    assert len({line for line in lines if line.isdigit()}) == 2


def test_arguments_need_a_program_that_takes_them(ranked: Path) -> None:
    done = drvs("start", ranked, "--", "a", stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "takes no arguments" in done.stderr
