"""The C programs of csrc/test, built for the tests that run them: the core linked in, no Python inside."""

import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "csrc" / "test"
CORE = sorted((ROOT / "csrc" / "core").glob("*.c"))
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Werror"]

SANITIZERS = {
    "plain": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"],
    "thread": ["-fsanitize=thread", "-fno-omit-frame-pointer", "-Wno-tsan"],  # it does not know fences
}

SOURCES = {
    "killer": ["killer.c", "tracer.c", "scenarios.c", "scenarios_far.c", "world.c"],
    "smoke": ["smoke.c", "world.c"],
    "threads": ["threads.c", "world.c"],
    "fuzz": ["fuzz.c", "world.c"],
    "rogue": ["rogue.c", "world.c"],
    "hostile": ["hostile.c", "world.c"],
}

DAMAGING = {"fuzz", "rogue"}
"""These make links that name one slot twice, where a word planned twice is no fault of the core's."""


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Where this run's programs are; removed when the run ends."""
    return tempfile.TemporaryDirectory(prefix="drvs-programs-")


def compile_c(sanitizer: str, *arguments: str, cwd: Path | None = None) -> None:
    """Run the compiler; a warning is an error."""
    optimise = "-O1" if sanitizer != "plain" else "-O2"
    command = ["gcc", "-std=gnu11", optimise, "-g", *WARNINGS, *SANITIZERS[sanitizer], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr


@cache
def core_objects(sanitizer: str, checked: bool) -> list[str]:
    """The core, compiled; `checked`, it aborts when a transition plans a word twice."""
    where = Path(folder().name) / f"{sanitizer}-{checked}"
    where.mkdir(exist_ok=True)
    compile_c(sanitizer, *(["-DK_CHECK_PLANS"] if checked else []), "-c", *map(str, CORE), cwd=where)
    return sorted(str(path) for path in where.glob("*.o"))


@cache
def build(name: str, sanitizer: str = "plain") -> Path:
    """Compile a program; returns its path."""
    target = Path(folder().name) / f"{name}-{sanitizer}"
    sources = [str(TESTS / source) for source in SOURCES[name]]
    compile_c(
        sanitizer,
        "-Wl,-z,now",
        "-o",
        str(target),
        *sources,
        *core_objects(sanitizer, name not in DAMAGING),
        "-lpthread",
    )
    return target


def run(name: str, *arguments: str, sanitizer: str = "plain", timeout: float = 110) -> str:
    """Run a program that must succeed and returns what it printed; a failure shows all and how to repeat it."""
    command = [str(build(name, sanitizer)), *arguments]
    environment = {
        **os.environ,
        "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1",
        "TSAN_OPTIONS": f"halt_on_error=1 suppressions={TESTS}/tsan.supp",
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            raise AssertionError(f"{name} {' '.join(arguments)} did not end in {timeout} s\n{output}") from None
    assert process.returncode == 0, (
        f"{name} {' '.join(arguments)} ({sanitizer}) ended with {process.returncode}\n{output[-8000:]}"
    )
    return output


def scenario_names() -> list[str]:
    """Of killer's scenarios, in the order of its table."""
    tables = [(TESTS / name).read_text() for name in ("scenarios.c", "scenarios_far.c")]
    return [name for table in tables for name in re.findall(r'^    \{"([\w-]+)"', table, re.MULTILINE)]
