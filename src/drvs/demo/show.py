"""The demo itself: what happens when, told as it happens."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import drvs
from drvs.demo import verdict
from drvs.demo.cast import CLIENTS, Actor, Cast
from drvs.demo.scratch import scratch_node
from drvs.demo.teller import teller
from drvs.demo.tree import Tree, standard_library
from drvs.demo.wire import SERVER_NAME, SERVER_SLOT
from drvs.ui.console import out
from drvs.ui.progress import Steps, steps
from drvs.ui.table import plain
from drvs.ui.units import count, size

VM_NAME = "demo"
_PATIENCE_S = 60.0


class Play:
    """One performance."""

    def __init__(self, vm: drvs.VM, tree: Tree, cast: Cast, bar: Steps, tell: Callable[..., None]) -> None:
        self.vm = vm
        self.tree = tree
        self.cast = cast
        self.bar = bar
        self.tell = tell
        self.total = CLIENTS * len(tree.digests)
        self.clients: list[Actor] = []
        self.killed_at = 0

    def start_server(self, ordinal: str) -> Actor:
        """Start a file server and wait until its name can be found."""
        server = self.cast.enter(Actor("server", "demo.server", VM_NAME, str(self.tree.folder)))
        endpoint = self.vm.lookup(SERVER_NAME, timeout=_PATIENCE_S)
        self.tell(
            "server",
            f"the {ordinal} one is bound as '{SERVER_NAME}' in system slot {SERVER_SLOT}: endpoint {endpoint}, "
            f"process {server.pid}",
        )
        return server

    def start_clients(self) -> None:
        """Start the clients; each begins at another place of the list."""
        list_file = Path(self.vm.node.runtime_dir).parent / "files.json"
        list_file.write_text(json.dumps(list(self.tree.digests)))
        stride = len(self.tree.digests) // CLIENTS
        for index in range(CLIENTS):
            actor = Actor(f"client {index + 1}", "demo.client", VM_NAME, str(list_file), str(index * stride))
            self.clients.append(self.cast.enter(actor))
        self.tell(
            "clients",
            f"{CLIENTS} of them start; each fetches all {len(self.tree.digests):,} files, by sendrec and copy",
        )

    def files_of(self, client: Actor) -> int:
        """How many files a client has reported."""
        if "finished" in client.facts:
            return len(self.tree.digests)
        return int(client.facts.get("progress", {}).get("files", 0))

    def files_done(self) -> int:
        """How many files all clients have reported."""
        return sum(map(self.files_of, self.clients))

    def halfway(self) -> bool:
        """Tell whether half of all is done."""
        return 2 * self.files_done() >= self.total

    def until(self, condition: Callable[[], bool]) -> None:
        """Take in events, and tell of them, until `condition` holds."""
        if condition():
            return
        for actor, event in self.cast.events(_PATIENCE_S):
            self._hear(actor, event)
            self.bar.at(self.files_done())
            if condition():
                return

    def _hear(self, actor: Actor, event: dict[str, object]) -> None:
        kind = event["event"]
        if kind == "died":
            file = plain(str(event["file"]))
            self.tell(
                actor.title, f"[warn]{event['code']}[/] from its call to {event['server']}, while fetching {file}"
            )
        elif kind == "resumed":
            self.tell(actor.title, f"looked '{SERVER_NAME}' up again, and goes on with the same file")
        elif kind == "finished":
            self.tell(actor.title, f"has all {len(self.tree.digests):,} files")
        elif kind == "gone" and actor in self.clients and "finished" not in actor.facts:
            raise RuntimeError(f"{actor.title} ended with status {event['status']} before it was done")

    def kill(self, server: Actor) -> None:
        """The sudden death."""
        os.kill(server.pid, signal.SIGKILL)
        self.killed_at = self.files_done()
        share = 100 * self.killed_at / self.total
        self.tell(
            "[fail]SIGKILL[/]",
            f"to the server, process {server.pid}, after {count(self.killed_at)} files ({share:.0f} %)",
        )

    def perform(self) -> float:
        """Play it all; returns the seconds that fetching took."""
        server = self.start_server("first")
        self.start_clients()
        self.until(lambda: all("bound" in client.facts for client in self.clients))
        start = time.monotonic()
        self.until(self.halfway)
        self.kill(server)
        self.until(lambda: all("died" in client.facts for client in self.clients))
        self.start_server("second")
        self.until(lambda: all("gone" in client.facts for client in self.clients))
        return time.monotonic() - start


def run() -> int:
    """Give the demo, both acts.

    Returns:
        0 if all was right.
    """
    from drvs.demo import workshop

    wrong = first_act()
    out().print()
    wrong += workshop.second_act()
    return 1 if wrong else 0


def first_act() -> list[str]:
    """Play the first act.

    Returns:
        What went wrong; nothing if the server died halfway, every client saw it once and finished, and no file differs
        or is missing.
    """
    out().print("[bold]drvs demo[/]: one file server, eight clients, and a sudden death in the middle\n")
    tree = standard_library()
    with steps(CLIENTS * len(tree.digests), out()) as bar:
        tell = teller(bar)
        with scratch_node("demo") as node, node.create_vm(VM_NAME) as vm, Cast() as cast:
            tell("node", f"started for this demo alone, in {node.runtime_dir}")
            tell(
                "files",
                f"{len(tree.digests):,} of them, {size(tree.nbytes)}: Python's library in {plain(str(tree.folder))}",
            )
            play = Play(vm, tree, cast, bar, tell)
            seconds = play.perform()
            result = verdict.judge(tree, play.clients, seconds, play.killed_at)
        tell("node", "stopped; nothing is left behind")
    verdict.show(result)
    return result.wrong
