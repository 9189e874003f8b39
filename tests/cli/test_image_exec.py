"""drvs image exec and register: images of programs that have not begun, or are ready."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="process images are for x86-64")
DRVS = [sys.executable, "-m", "drvs.cli", "image"]
READY = """
import os
from drvs.procspace import image
info = image.ready()
os.write(1, f"{info.rank} {info.size} {' '.join(info.argv[1:])}\\n".encode())  # at once: copies share the stream
"""


def drvs(*words: object) -> "subprocess.CompletedProcess[str]":
    """Run `drvs image` to its end."""
    return subprocess.run([*DRVS, *map(str, words)], capture_output=True, text=True, check=False, timeout=60)


def test_exec_takes_a_program_before_its_first_instruction(tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    done = drvs("exec", file, "--dump-flags", 7, "--json", "--", "echo", "-e", "two\\twords")
    assert json.loads(done.stdout)["image_bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o777 == 0o600
    assert drvs("restore", file).stdout == "two\twords\n"
    assert json.loads(drvs("show", file, "--json").stdout)["files"] == []


def test_exec_ready_takes_a_program_where_it_waits(tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    done = drvs("exec", file, "--ready", "--executable", "--", sys.executable, "-c", READY, "own")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{file}: ")
    assert drvs("restore", file).stdout == "0 1 own\n"
    started = drvs("start", file, "-n", 2, "--", "given")
    assert {"0 2 given", "1 2 given"} <= {*started.stdout.splitlines()}
    own = subprocess.run([file, "mine"], capture_output=True, text=True, check=True, timeout=60)
    assert own.stdout == "0 1 mine\n"


def test_exec_names_what_cannot_be_executed(tmp_path: Path, nothing_left: None) -> None:
    done = drvs("exec", tmp_path / "image", "--", "/nowhere")
    assert done.returncode != 0
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr
    ended = drvs("exec", tmp_path / "image", "--ready", "--", "true")
    assert "image.ready()" in ended.stderr
    assert os.listdir(tmp_path) == []


def test_exec_writes_to_standard_output_what_can_go_there(tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    with file.open("wb") as out:
        file.chmod(0o600)
        command = [*DRVS, "exec", "-", "--", "/bin/echo", "hello"]
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True, timeout=60)
    assert drvs("restore", file).stdout == "hello\n"
    for option in ("--ready", "--executable"):
        assert option in drvs("exec", option, "-", "--", "/bin/true").stderr


def test_register_says_what_is_missing(tmp_path: Path, runtime_dir: Path, nothing_left: None) -> None:
    if os.path.exists("/proc/sys/fs/binfmt_misc/register"):
        pytest.skip("this machine has a binfmt_misc, which is not a test's to change")
    done = drvs("register")
    assert done.returncode != 0
    assert "binfmt_misc" in done.stderr
    assert "next: " in done.stderr
    assert "is not registered" in drvs("register", "--remove").stderr
