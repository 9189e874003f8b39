"""The first act: a link is cut and healed, and the server dies, while eight clients fetch all files from it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable

from drvs.demo.cast import CLIENTS, Actor, Cast
from drvs.demo.stage import VM_NAME, Stage
from drvs.demo.tree import Tree
from drvs.demo.wire import SERVER_NAME
from drvs.ui.progress import Steps
from drvs.ui.table import plain
from drvs.ui.units import count

CUT_S = 1.0
"""How long the link is cut: the session survives thirty times as much."""
_PATIENCE_S = 60.0


class Play:
    """One performance.

    Attributes:
        cut_at, healed_at: when the link was cut and healed (monotonic seconds); 0.0 where there was none.
        pause_s: the longest time that a client then waited for an answer.
        killed_at: when the server was killed.
        killed_after: files fetched until then.
        seconds: how long fetching took.
    """

    def __init__(self, stage: Stage, tree: Tree, cast: Cast, bar: Steps, tell: Callable[[str, str], None]) -> None:
        self.stage = stage
        self.tree = tree
        self.cast = cast
        self.bar = bar
        self.tell = tell
        self.total = CLIENTS * len(tree.digests)
        self.clients: list[Actor] = []
        self.cut_at = self.healed_at = self.pause_s = self.killed_at = self.seconds = 0.0
        self.killed_after = 0

    def perform(self) -> None:
        """Play it all."""
        server = self.start_server("first")
        self.start_clients()
        self.until(lambda: all("bound" in client.facts for client in self.clients))
        start = time.monotonic()
        if self.stage.lab is not None:
            self.until(lambda: 4 * self.files_done() >= self.total)
            self.cut_and_heal()
        self.until(lambda: 2 * self.files_done() >= self.total)
        self.kill(server)
        self.until(lambda: all("died" in client.facts for client in self.clients))
        self.start_server("second")
        self.until(lambda: all("resumed" in client.facts for client in self.clients))
        self.tell("clients", f"looked '{SERVER_NAME}' up again, and go on where they were")
        self.until(lambda: all("gone" in client.facts for client in self.clients))
        self.seconds = time.monotonic() - start
        self.tell("clients", f"have all {count(len(self.tree.digests))} files")

    # ---- the cast ----

    def start_server(self, ordinal: str) -> Actor:
        """Start a file server and wait until it is bound."""
        node = self.stage.server_node
        server = self.cast.enter(Actor("server", "demo.server", VM_NAME, str(self.tree.folder), node=node))
        self.until(lambda: "bound" in server.facts)
        bound = server.facts["bound"]
        where = f"process {bound['pid']}" + (f" of node {node.id}" if node else "")
        self.tell("server", f"the {ordinal} one is {where}: '{SERVER_NAME}', endpoint {bound['endpoint']}")
        return server

    def start_clients(self) -> None:
        """Start the clients; each begins at another place of the list."""
        list_file = self.stage.folder / "files.json"
        list_file.write_text(json.dumps(list(self.tree.digests)))
        stride = len(self.tree.digests) // CLIENTS
        for index in range(CLIENTS):
            words = (VM_NAME, str(list_file), str(index * stride))
            actor = Actor(f"client {index + 1}", "demo.client", *words, node=self.stage.client_node(index))
            self.clients.append(self.cast.enter(actor))
        half = CLIENTS // 2
        where = f"1-{half} on node 1, {half + 1}-{CLIENTS} on node 2" if self.stage.lab else f"{CLIENTS} of them"
        self.tell("clients", f"{where}; each fetches all {count(len(self.tree.digests))} files")

    # ---- what happens to them ----

    def cut_and_heal(self) -> None:
        """Let nothing pass between the server and half of the clients, for a second.

        It has one thread. So the others pause too, once it copies a file to a client that it cannot reach.
        """
        lab = self.stage.lab
        assert lab is not None
        lab.cut(0, 1)
        self.cut_at = time.monotonic()
        self.tell("[warn]cut[/]", "the link between nodes 0 and 1: nothing passes")
        for actor, event in self.cast.events_for(CUT_S):
            self._take_in(actor, event)
        lab.heal(0, 1)
        self.healed_at = time.monotonic()
        self.tell("[ok]heal[/]", f"the link, {self.healed_at - self.cut_at:.1f} s later")
        self.until(lambda: all(map(self.went_on, self.clients)))
        self.pause_s = max(map(self.waited, self.clients))
        self.tell("clients", f"noticed a pause of up to {self.pause_s:.1f} s, and no error")

    def went_on(self, client: Actor) -> bool:
        """Whether a call of a client that began before the link was healed was answered afterwards."""
        waited = client.facts.get("waited", {"began": 0.0, "ended": 0.0})
        return bool(waited["began"] < self.healed_at <= waited["ended"])

    @staticmethod
    def waited(client: Actor) -> float:
        """Seconds of a client's last long call."""
        waited = client.facts["waited"]
        return float(waited["ended"] - waited["began"])

    def kill(self, server: Actor) -> None:
        """The sudden death."""
        self.killed_after = self.files_done()
        self.killed_at = time.monotonic()
        os.kill(server.pid, signal.SIGKILL)
        share = 100 * self.killed_after / self.total
        self.tell("[fail]SIGKILL[/]", f"to the server, after {count(self.killed_after)} files ({share:.0f} %)")

    # ---- hearing of it ----

    def files_of(self, client: Actor) -> int:
        """How many files a client has reported."""
        if "finished" in client.facts:
            return len(self.tree.digests)
        return int(client.facts.get("progress", {}).get("files", 0))

    def files_done(self) -> int:
        """How many files all clients have reported."""
        return sum(map(self.files_of, self.clients))

    def until(self, condition: Callable[[], bool]) -> None:
        """Take in events, and tell of them, until `condition` holds."""
        if condition():
            return
        for actor, event in self.cast.events(_PATIENCE_S):
            self._take_in(actor, event)
            if condition():
                return

    def _take_in(self, actor: Actor, event: dict[str, object]) -> None:
        self._hear(actor, event)
        self.bar.at(self.files_done())

    def _hear(self, actor: Actor, event: dict[str, object]) -> None:
        if event["event"] == "died":
            file = plain(str(event["file"]))
            self.tell(actor.title, f"[warn]{event['code']}[/] from its call, fetching {file}")
        elif event["event"] == "gone" and actor in self.clients and "finished" not in actor.facts:
            raise RuntimeError(f"{actor.title} ended with status {event['status']} before it was done")
