"""The processes of the demo, and the events they report over their stdout.

In the first act:

bound       endpoint, pid           the server has its endpoint; a client: endpoint alone
progress    files                   so many files done
waited      file, began, ended      a call took long
died        code, server, file, at  a call ended because the server died
resumed     server                  the client found the server's name again
finished    digests, bytes, latencies, miscounted
gone        status                  the process ended (made up here, when its pipe closes)

In the second:

begun       points, steps       the script has begun to fit
step        step, error         so many steps done
aside       step, weights       its image is about to be made
back        step                it goes on, restored
answer      rank, error, step   it is done
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drvs.demo.scratch import interruptions_wait

if TYPE_CHECKING:
    from drvs.lab import LabNode

CLIENTS = 8
_PATIENCE_S = 10.0


class Actor:
    """One process of the demo; `node`: of a lab, on which it runs."""

    def __init__(
        self,
        title: str,
        module: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        node: LabNode | None = None,
    ) -> None:
        self.title = title
        self.node = node
        command = [sys.executable, "-m", f"drvs.{module}", *arguments]
        if node is not None:
            command = node.command(command)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, process_group=0, env=env
        )
        self.facts: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, int] = {}
        self._rest = b""

    @property
    def pid(self) -> int:
        """Its process id, as it is known here; with namespaces, it is a child of what was started."""
        started = self.process.pid
        try:
            children = Path(f"/proc/{started}/task/{started}/children").read_text().split()
        except OSError:  # a kernel without this file; killing the parent does as well
            children = []
        return int(children[0]) if self.node and children else started

    def fileno(self) -> int:
        """The pipe that its events come through."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def read(self) -> list[dict[str, Any]]:
        """Return the events that have come; the last one of a process that ended is `gone`."""
        chunk = os.read(self.fileno(), 1 << 20)
        if not chunk:
            return [self._note({"event": "gone", "status": self.process.wait()})]
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [self._note(json.loads(line)) for line in lines]

    def _note(self, event: dict[str, Any]) -> dict[str, Any]:
        """Remember the last event of each kind, and how many there were."""
        kind = event["event"]
        self.facts[kind] = event
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return event

    def end(self) -> None:
        """End it if it lives, and collect it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Cast:
    """All processes of the demo; leaving it ends them."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Cast:
        return self

    def __exit__(self, *_: object) -> None:
        with interruptions_wait():
            for actor in self.actors:
                actor.end()
        self._selector.close()

    def enter(self, actor: Actor) -> Actor:
        """Bring a process on stage."""
        self.actors.append(actor)
        self._selector.register(actor, selectors.EVENT_READ)
        return actor

    def events(self, patience_s: float) -> Iterator[tuple[Actor, dict[str, Any]]]:
        """Yield events as they come, until the caller stops asking.

        Raises:
            TimeoutError: nothing came for `patience_s` seconds.
        """
        while True:
            began, heard = time.monotonic(), False
            for actor, event in self._heard(patience_s):
                heard = True
                yield actor, event
            if not heard and time.monotonic() - began >= patience_s:
                raise TimeoutError(f"nothing happened for {patience_s:.0f} s")

    def events_for(self, seconds: float) -> Iterator[tuple[Actor, dict[str, Any]]]:
        """Yield the events of so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            yield from self._heard(left)

    def _heard(self, timeout_s: float) -> Iterator[tuple[Actor, dict[str, Any]]]:
        for key, _ in self._selector.select(timeout_s):
            actor: Actor = key.fileobj  # type: ignore[assignment]
            for event in actor.read():
                if event["event"] == "gone":
                    self._selector.unregister(actor)
                yield actor, event
