"""C programs over libm3ipc, built for the tests that run them.

    program = build(ROOT / "examples/c/echo.c", "address")
    done = run(program, runtime_dir=node.runtime_dir)

Variants: "shared" and "static" link the installation's libraries; "address" compiles library and program anew with
AddressSanitizer and UBSan; "valgrind" runs the shared one under it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from drvs.base import native

ROOT = Path(__file__).parents[2]
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
LIBRARY = [path for folder in ("core", "lib") for path in sorted((ROOT / "csrc" / folder).glob("*.c"))]
VARIANTS = ["shared", "static", "address", "valgrind"]


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Where this run's programs are; removed when the run ends."""
    return tempfile.TemporaryDirectory(prefix="drvs-c-")


def gcc(*words: str | Path, compiler: str = "gcc") -> subprocess.CompletedProcess[str]:
    """Run the compiler; output captured, status not checked."""
    return subprocess.run([compiler, *map(str, words)], capture_output=True, text=True, check=False, timeout=120)


@cache
def sanitized_library() -> list[Path]:
    """The objects of the library with sanitizers."""
    target = Path(folder().name) / "library"
    target.mkdir()
    includes = [f"-I{ROOT / 'csrc/include'}", f"-I{ROOT / 'csrc/core'}"]
    objects = [target / f"{path.parent.name}-{path.stem}.o" for path in LIBRARY]
    flags = ["-std=gnu11", "-O1", "-g", *SANITIZE, *includes]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(
            lambda pair: gcc(*flags, "-c", pair[0], "-o", pair[1]), zip(LIBRARY, objects, strict=True)
        ):
            assert done.returncode == 0, done.stderr
    return objects


def _links(variant: str) -> list[str | Path]:
    if variant == "address":
        return [*SANITIZE, *sanitized_library(), "-lpthread"]
    return [*native.libs(static=variant == "static"), "-lpthread"]


@cache
def build(source: Path, variant: str = "shared", *flags: str, std: str = "c11") -> Path:
    """Compile a program as a user would, warnings being errors; returns its path."""
    linked = "shared" if variant == "valgrind" else variant
    target = Path(folder().name) / f"{source.stem}-{linked}"
    usual = [f"-std={std}", "-D_GNU_SOURCE", "-g", "-O1", *(flags or WARNINGS), *native.cflags()]
    done = gcc(*usual, source, *_links(linked), "-o", target)
    assert done.returncode == 0, done.stderr
    return target


def command(program: Path, variant: str, *arguments: object) -> list[str]:
    """The words that run a program in its variant."""
    under = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full"] if variant == "valgrind" else []
    return [*under, str(program), *map(str, arguments)]


def run(
    program: Path, *arguments: object, runtime_dir: Path, variant: str = "shared", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program against a node, to its end; output captured, status not checked."""
    return subprocess.run(
        command(program, variant, *arguments), env=environment(runtime_dir), capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip


def environment(runtime_dir: Path) -> dict[str, str]:
    """What programs run in: the node, and sanitizers that end a program at the first finding."""
    options = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return {**os.environ, "DRVS_RUNTIME_DIR": str(runtime_dir), **options}


def missing(variant: str) -> str | None:
    """Why a variant cannot run here; None if it can."""
    return "valgrind is not installed" if variant == "valgrind" and not shutil.which("valgrind") else None
