"""The second act: a script is put aside in mid-loop, brought back, and multiplied.

Putting aside and bringing back are the commands that anybody would type; the copies are made from Python too, and the
same answers come from processes of multiprocessing for comparison.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drvs.demo import compare
from drvs.demo.cast import Actor, Cast
from drvs.demo.scratch import endings_interrupt
from drvs.demo.teller import teller
from drvs.procspace.image import ImageError
from drvs.ui.console import out
from drvs.ui.progress import Steps, steps
from drvs.ui.table import plain
from drvs.ui.units import count, size

COPIES = 32
_EVENTS = 8
"""What is told before the copies are compared."""
_PATIENCE_S = 60.0
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""32 processes with a pool of threads each would only stand in each other's way."""


class Workshop:
    """One performance of the act."""

    def __init__(self, folder: str, cast: Cast, bar: Steps, tell: Callable[..., None]) -> None:
        self.image = Path(folder) / "fit.img"
        self.cast = cast
        self.bar = bar
        self._tell = tell
        self.env = os.environ | _ONE_THREAD

    def tell(self, who: str, what: str) -> None:
        """Say what happened, one event of the act."""
        self._tell(who, what)
        self.bar.done()

    def enter(self, title: str, module: str, *arguments: str) -> Actor:
        """Bring a process on stage."""
        return self.cast.enter(Actor(title, module, *arguments, env=self.env))

    def until(self, actor: Actor, kind: str, holds: Callable[[dict[str, Any]], bool] = bool) -> Any:
        """Wait until the last event of a kind, of one actor, is one for which a condition holds.

        Raises:
            ImageError: it ended before.
        """
        events = self.cast.events(_PATIENCE_S)
        while not (kind in actor.facts and holds(actor.facts[kind])):
            if "gone" in actor.facts:
                raise ImageError(f"the {actor.title} ended with status {actor.facts['gone']['status']}.")
            next(events)
        return actor.facts[kind]

    def begin(self) -> Actor:
        """Start the script, and wait until it is well under way."""
        script = self.enter("script", "demo.fit")
        begun = self.until(script, "begun")
        with_what = f"numpy {begun['numpy']}" if begun["numpy"] else "plain Python (there is no numpy)"
        self.tell(
            "script",
            f"process {script.pid} fits a curve in {count(begun['steps'])} steps, with {with_what}",
        )
        at = self.until(script, "step", lambda event: 5 * event["step"] >= begun["steps"])
        self.tell("script", f"has done {count(at['step'])} of them: error {at['error']:.4f}")
        return script

    def put_aside(self, script: Actor) -> Any:
        """Make its image and end it; returns what its hook said then."""
        facts = self._command("dump", "--stop", str(script.pid), str(self.image), "--json")
        self.until(script, "gone")
        aside = self.until(script, "aside")
        self.tell(
            "image",
            f"{size(facts['image_bytes'])}; the process has ended in mid-loop: "
            f"[ok]{count(aside['step'])} steps done[/]",
        )
        return aside

    def bring_back(self, aside: Any) -> list[str]:
        """Restore the image, and let the script finish."""
        self.tell("[name]$[/]", f"drvs image restore {self.image.name}")
        restored = self.enter("restored script", "cli", "image", "restore", str(self.image))
        back = self.until(restored, "back")
        self.tell("script", f"goes on where it was: [ok]{count(back['step'])} steps done[/]")
        answer = self.until(restored, "answer")
        self.tell("script", f"is done after {count(answer['step'])} steps: error {answer['error']:.4f}")
        self.until(restored, "gone")
        return [] if back["step"] == aside["step"] else [f"it went on at {back['step']}, not at {aside['step']}"]

    def _command(self, *words: str) -> Any:
        """Run an image command of drvs, and return what it says in JSON."""
        shown = " ".join(word for word in words if word != "--json").replace(str(self.image), self.image.name)
        self.tell("[name]$[/]", f"drvs image {shown}")
        command = [sys.executable, "-m", "drvs.cli", "image", *words]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise ImageError(done.stderr.strip().partition("\n")[0])
        return json.loads(done.stdout)

    def multiply(self, aside: Any) -> list[compare.Outcome]:
        """Have 32 processes go on from there, in four ways."""
        self.tell(
            "copies",
            f"{COPIES} go on at step {count(aside['step'])}, each with a penalty by its rank",
        )
        told = (self.image, COPIES, aside["step"], aside["weights"], self.env)
        outcomes = []
        for way in compare.WAYS:
            self.bar.begin(way.name)
            outcomes.append(way.run(*told))
            self.tell("copies", f"{way.name}: {outcomes[-1].shown}")
        return outcomes


def second_act() -> list[str]:
    """Play the second act.

    Returns:
        What went wrong; nothing if all was right, or if there are no process images here (which it says).
    """
    out().print("[bold]Second act[/]: a script is put aside in mid-loop, brought back, and multiplied\n")
    with (
        endings_interrupt(),
        tempfile.TemporaryDirectory(prefix="drvs-demo-") as folder,
        steps(_EVENTS + len(compare.WAYS), out()) as bar,
        Cast() as cast,
    ):
        tell = teller(bar)
        act = Workshop(folder, cast, bar, tell)
        try:
            aside = act.put_aside(act.begin())
            wrong = act.bring_back(aside)
            outcomes = act.multiply(aside)
        except ImageError as error:
            tell("[warn]images[/]", f"do not work here: {plain(str(error))}")
            return []
    return wrong + compare.show(outcomes)
