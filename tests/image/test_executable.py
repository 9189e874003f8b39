"""Image files that are programs: by a launcher line, or by a format that the kernel knows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drvs.procspace import image
from drvs.procspace.image import executable
from support import images

TELL = """
import os, sys
from drvs.procspace import image
info = image.ready()
print(os.getpid(), info.argv[1:], flush=True)
sys.exit(sys.stdin.read() == 'end' and 9)
"""


@pytest.fixture
def program(tmp_path: Path, nothing_left: None) -> Path:
    """An executable image of a program that tells its pid and arguments, and ends with 9."""
    file = tmp_path / "program"
    fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    executable.begin(fd)
    image.ready_dump(fd, [sys.executable, "-c", TELL], timeout_s=30)
    os.close(fd)
    return file


def test_an_executable_image_runs_in_place_with_its_arguments(program: Path) -> None:
    assert program.stat().st_mode & 0o777 == 0o700
    with images.Program([program, "one", "two"]) as running:
        assert running.line() == f"{running.pid} ['one', 'two']"
        assert running.process.stdin is not None
        running.process.stdin.write(b"end")
        running.process.stdin.close()
        assert running.process.wait(30) == 9


def test_an_executable_image_is_an_image_like_others(program: Path) -> None:
    with program.open("rb") as stream:
        meta, _ = image.verify(stream.fileno())
    assert meta.hooked
    with images.Restored(program) as restored:
        assert restored.line().startswith(f"{restored.real_pid} ")


def test_an_executable_image_that_does_not_fit_says_so(program: Path) -> None:
    data = program.read_bytes()
    program.write_bytes(data[:2000])
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 126
    assert "too early" in done.stderr


@pytest.mark.parametrize("line", [b"#!", b"#!" + b"x" * 300, b"#!/bin/sh\n", b"#!/bin/sh\nDRVSIMG"])
def test_what_follows_a_launcher_line_is_checked(line: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(line)
    with file.open("rb") as stream, pytest.raises(image.BadImage):
        image.read_meta(stream.fileno())


def test_a_path_that_cannot_stand_in_a_launcher_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("/a b/python", f"/{'x' * 300}/python"):
        monkeypatch.setattr(sys, "executable", path)
        with pytest.raises(image.ImageError, match="cannot stand in a launcher line"):
            executable.launcher_line()


# ---- binfmt_misc: each user namespace has its own since Linux 6.7 ----------------------------------------------------

REGISTER = """
set -e
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 77
test -w /proc/sys/fs/binfmt_misc/register || exit 77
cd "$1"
shift
"$@" image exec plain -- /bin/echo from the image
chmod u+x plain
"$@" image register
"$@" image register 2>&1 | head -n 1
./plain ignored
"$@" image register --remove
./plain 2>/dev/null || echo not any more
"$@" image register --remove 2>&1 | head -n 1
"""


def test_a_registered_format_runs_images_without_a_launcher_line(tmp_path: Path, runtime_dir: Path) -> None:
    command = ["unshare", "-Urm", "sh", "-c", REGISTER, "sh", str(tmp_path), sys.executable, "-m", "drvs.cli"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"no user namespace with a binfmt_misc of its own here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == f"drvs-image is registered; {runtime_dir}/image-launcher starts such files."
    assert "is registered" in lines[2]
    assert lines[3:6] == ["from the image", "drvs-image is no longer registered.", "not any more"]
    assert "is not registered" in lines[6]
    assert not (runtime_dir / "image-launcher").exists()


def test_where_binfmt_misc_is_missing_the_remedy_is_named(tmp_path: Path, runtime_dir: Path) -> None:
    with pytest.raises(image.ImageError, match="mount -t binfmt_misc"):
        executable.register(str(tmp_path))
    (tmp_path / "register").touch(mode=0o200)
    assert executable.register(str(tmp_path)) == str(runtime_dir / "image-launcher")
    rule = (tmp_path / "register").read_text()
    assert rule == f":drvs-image:M:0:\\x44\\x52\\x56\\x53\\x49\\x4d\\x47\\x0a::{runtime_dir}/image-launcher:"
