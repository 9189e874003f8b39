"""Four ways to have 32 processes go on from one point: the same work, the same answers, the time until the last one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from drvs.procspace import image
from drvs.ui.console import out, unicode_ok
from drvs.ui.table import Column, number
from drvs.ui.table import show as show_table
from drvs.ui.units import significant

_LEVELS = "▁▂▃▄▅▆▇█"


@dataclass
class Outcome:
    """What came of one way: the seconds until the last answer, and the answers by rank."""

    name: str
    state: str
    seconds: float
    errors: list[float]

    @property
    def shown(self) -> str:
        """The time as text."""
        return f"the last answer after {significant(self.seconds * 1000)} ms"


@dataclass(frozen=True)
class Way:
    """One way: its name, where its processes have the points and numpy from, and how it is done."""

    name: str
    state: str
    do: Callable[[Path, int, int, list[float], Mapping[str, str]], tuple[float, list[float]]]

    def run(self, file: Path, copies: int, step: int, weights: list[float], env: Mapping[str, str]) -> Outcome:
        """Do it."""
        return Outcome(self.name, self.state, *self.do(file, copies, step, weights, env))


def _answers(stream: IO[bytes], copies: int) -> list[float]:
    """Read the answers of all copies, by rank."""
    errors: dict[int, float] = {}
    while len(errors) < copies:
        line = stream.readline()
        if not line:
            raise image.ImageError(f"only {len(errors)} of {copies} copies answered.")
        event = json.loads(line)
        if event["event"] == "answer":
            errors[event["rank"]] = event["error"]
    return [errors[rank] for rank in range(copies)]


def _template(file: Path, copies: int, *_: object) -> tuple[float, list[float]]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with open(reader, "rb") as answers, file.open("rb") as opened:
        began = time.perf_counter()
        with image.Template(opened.fileno()) as template:
            pids = list(template.copies(copies, streams=(0, writer, 2)))
        os.close(writer)
        errors = _answers(answers, copies)
        took = time.perf_counter() - began
    for pid in pids:
        os.waitpid(pid, 0)
    return took, errors


def _command(file: Path, copies: int, *_: object) -> tuple[float, list[float]]:
    command = [sys.executable, "-m", "drvs.cli", "image", "start", str(file), "-n", str(copies), "--json"]
    began = time.perf_counter()
    none = subprocess.DEVNULL  # also for its progress bar: the demo has one
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=none, stderr=none) as running:
        assert running.stdout is not None
        errors = _answers(running.stdout, copies)
        took = time.perf_counter() - began
        running.stdout.read()
    return took, errors


def _rival(method: str) -> Callable[..., tuple[float, list[float]]]:
    def do(
        _file: Path, copies: int, step: int, weights: list[float], env: Mapping[str, str]
    ) -> tuple[float, list[float]]:
        words = [method, str(copies), str(step), json.dumps(weights)]
        command = [sys.executable, "-m", "drvs.demo.rivals", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True, env=env)
        found = json.loads(done.stdout)
        return found["seconds"], found["errors"]

    return do


WAYS = (
    Way("drvs image.Template", "in the image", _template),
    Way("drvs image start", "in the image", _command),
    Way("forkserver", "points made again", _rival("forkserver")),
    Way("spawn", "numpy, points made again", _rival("spawn")),
)


def show(outcomes: Sequence[Outcome]) -> list[str]:
    """Print the table and the answers; return what is wrong with them."""
    console = out()
    console.print()
    best = outcomes[0].seconds
    columns = [Column("way"), Column("what they need"), number("last answer"), number("times drvs")]
    rows: list[list[Any]] = [
        [f"[ours]{one.name}[/]" if one.name.startswith("drvs") else one.name, one.state,
         f"{significant(one.seconds * 1000)} ms", significant(one.seconds / best)]
        for one in outcomes
    ]  # fmt: skip
    show_table(columns, rows, f"Until {len(outcomes[0].errors)} processes have gone on and answered")
    errors = outcomes[0].errors
    picture = _picture(errors)
    console.print(f"\nTheir answers by rank: error {min(errors):.4f} {picture} {max(errors):.4f}\n")
    wrong = _judged(outcomes)
    for text in wrong:
        console.print(f"[fail]wrong:[/] {text}")
    if not wrong:
        console.print(
            f"[ok]All is right:[/] the script went on where it was, and its {len(errors)} copies gave "
            f"{len(errors)} different answers, the same in all four ways."
        )
    return wrong


def _picture(errors: Sequence[float]) -> str:
    low, high = min(errors), max(errors)
    levels = _LEVELS if unicode_ok(sys.stdout) else ".:-=+*#@"
    return "".join(levels[min(7, int(8 * (error - low) / ((high - low) or 1)))] for error in errors)


def _judged(outcomes: Sequence[Outcome]) -> list[str]:
    errors = outcomes[0].errors
    wrong = ["some copies gave the same answer"] if len(set(errors)) < len(errors) else []
    return wrong + [
        f"the answers of {other.name} are others"
        for other in outcomes[1:]
        if any(abs(ours - theirs) > 1e-9 * abs(ours) for ours, theirs in zip(errors, other.errors, strict=True))
    ]
