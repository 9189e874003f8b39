"""`make install-c`: what it puts where, and that programs build, run and find their manual pages with it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import cprograms
from support.nodes import RunningNode

PREFIX_FILES = [
    "include/m3ipc.h",
    "include/m3ipc/codes.h",
    "include/m3ipc/compat/stub_syscall.h",
    "include/m3ipc/compat/kernel/minix/ipc.h",
    "lib/libm3ipc.so.0",
    "lib/libm3ipc.so",
    "lib/libm3ipc.a",
    "lib/pkgconfig/m3ipc.pc",
    "share/man/man3/mnx_send.3",
    "share/man/man7/m3ipc.7",
]


def make(*words: str) -> None:
    """Run make in the project."""
    done = subprocess.run(
        ["make", *words], cwd=cprograms.ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pkg-config"), reason="needs pkg-config")
def test_programs_build_and_run_with_what_is_installed(tmp_path: Path, shared_node: RunningNode) -> None:
    prefix = tmp_path / "usr"
    make("install-c", f"PREFIX={prefix}")
    assert [name for name in PREFIX_FILES if not (prefix / name).exists()] == []
    assert (prefix / "lib/libm3ipc.so").readlink() == Path("libm3ipc.so.0")
    environment = {
        **os.environ,
        "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"),
        "LD_LIBRARY_PATH": str(prefix / "lib"),
    }
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "m3ipc"], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    done = cprograms.gcc(cprograms.ROOT / "examples/c/echo.c", *flags, "-o", tmp_path / "echo")
    assert done.returncode == 0, done.stderr
    environment |= cprograms.environment(shared_node.runtime_dir)
    environment["LD_LIBRARY_PATH"] = str(prefix / "lib")
    ran = subprocess.run([tmp_path / "echo"], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "40 + 1 = 41"), ran.stderr


@pytest.mark.slow
def test_packagers_have_destdir_and_libdir(tmp_path: Path) -> None:
    make("install-c", "PREFIX=/usr", "LIBDIR=/usr/lib/some-abi", f"DESTDIR={tmp_path}")
    assert (tmp_path / "usr/lib/some-abi/libm3ipc.so.0").exists()
    assert "libdir=/usr/lib/some-abi\n" in (tmp_path / "usr/lib/some-abi/pkgconfig/m3ipc.pc").read_text()


@pytest.mark.skipif(not shutil.which("man"), reason="needs man")
@pytest.mark.parametrize("page", ["mnx_send", "mnx_wait4bind_T", "m3ipc"])
def test_manual_pages_can_be_read(page: str) -> None:
    from drvs.base import native

    shown = subprocess.run(["man", "-M", native.MAN, page], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "SYNOPSIS" in shown.stdout
    assert "#include <m3ipc.h>" in shown.stdout


def test_config_names_what_a_compiler_needs() -> None:
    from support.nodes import drvs

    done = drvs("config", "--cflags", "--libs", runtime_dir="/nonexistent")
    assert done.returncode == 0
    words = done.stdout.split()
    assert words[0].startswith("-I")
    assert words[-1] == "-lm3ipc"
    assert "kernel" in drvs("config", "--compat", runtime_dir="/nonexistent").stdout
    assert "libm3ipc.a" in drvs("config", "--static", "--libs", runtime_dir="/nonexistent").stdout
