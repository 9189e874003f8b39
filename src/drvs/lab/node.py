"""`LabNode`: one node of a lab, and running things there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drvs.lab import place
from drvs.lab.errors import LabError
from drvs.lab.spec import PORT

if TYPE_CHECKING:
    from drvs.lab.lab import Lab


class LabNode:
    """A node of a lab.

    Attributes:
        id: its number, and its node id.
    """

    def __init__(self, lab: Lab, number: int) -> None:
        self.lab = lab
        self.id = number

    def __repr__(self) -> str:
        return f"<node {self.id} of lab {self.lab.name!r}>"

    # ---- what it is ----

    @property
    def runtime_dir(self) -> str:
        """Its runtime directory (with namespaces, only programs of the node are served there)."""
        return self.lab.spec.runtime_dir(self.id)

    @property
    def environment(self) -> dict[str, str]:
        """What its programs find in their environment beside what they inherit."""
        return self.lab.spec.environment(self.id)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port at which it waits for the others."""
        return self.lab.spec.host(self.id), PORT

    def address_of(self, peer: int) -> tuple[str, int]:
        """Return host and port at which this node finds `peer`, through the relay if there is one."""
        spec = self.lab.spec
        return (spec.host(peer), PORT) if spec.namespaces else (spec.host(self.id), spec.relay_port(self.id, peer))

    def status(self) -> dict[str, Any]:
        """Return its row of the lab's status."""
        found: dict[str, Any] = self.lab.status()["nodes"][self.id]
        return found

    def log(self) -> str:
        """Return what it said so far: its console, and the logs of its noded, older ones first."""
        home = self.lab.spec.home(self.id)
        names = (place.CONSOLE, place.OLD_LOG, "run/private/noded.log")
        return "".join(_text(os.path.join(home, name)) for name in names)

    # ---- running things there ----

    def command(self, argv: Sequence[str], *, shell: bool = False) -> list[str]:
        """Return the command that runs `argv` on this node, when it is run here.

        Args:
            argv: the program and its arguments.
            shell: it is an interactive shell, and has the terminal.
        Raises:
            LabError: the node is not up.
        """
        row = self.status()
        if not row["pid"]:
            raise LabError(f"node {self.id} is {row['state']}", f"Start it again: drvs lab restart {self.id}")
        spec, how = self.lab.spec, "shell" if shell else "run"
        return [sys.executable, "-P", "-m", "drvs.lab.enter", spec.folder, str(self.id), str(row["pid"]), how, *argv]

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on this node. Killing what is returned kills the program; options are those of Popen."""
        return subprocess.Popen(self.command(argv), **options)

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout: float | None = 60.0,
        text_in: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on this node to its end, and return what it printed.

        Args:
            argv: the program and its arguments; those of this Python's environment are found first.
            check: raise if its exit status is not 0.
            timeout: seconds until it is killed; None waits for ever.
            text_in: what it reads on stdin; None: nothing.
            env: environment variables to add.
        Raises:
            LabError: it failed, with `check`; the text has what it said on stderr.
            subprocess.TimeoutExpired: it ran too long.
        """
        done = subprocess.run(
            self.command(argv), input=text_in or "", capture_output=True, text=True, timeout=timeout, check=False,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        if check and done.returncode:
            said = (done.stderr or done.stdout).strip()[-2000:]
            raise LabError(f"{' '.join(argv)} on node {self.id} ended with status {done.returncode}: {said}")
        return done

    def drvs(self, *arguments: str, check: bool = True) -> str:
        """Run `drvs ARGUMENTS` on this node and return what it printed."""
        return self.run([sys.executable, "-m", "drvs.cli", *arguments], check=check).stdout

    # ---- dying and coming back ----

    def kill(self, *, unplug: bool = False) -> None:
        """SIGKILL everything on it; returns when it is gone.

        Args:
            unplug: cut it off first: the others see no connection close, as when a machine loses power.
        """
        self.lab.ask("kill", node=self.id, unplug=unplug)

    def restart(self) -> None:
        """Kill it if it runs, and start it anew with an empty runtime directory; returns when it is up."""
        self.lab.ask("restart", node=self.id)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
