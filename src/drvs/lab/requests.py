"""What each request to a lab's supervisor does: one method for each verb."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from drvs.lab.box import Box
from drvs.lab.errors import LabError
from drvs.lab.links import Link

if TYPE_CHECKING:
    from drvs.lab.supervisor import Supervisor

_DELAY_MS_MAX = 60_000


class Requests:
    """Answers requests, some of them later."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._lab = supervisor

    def serve(self, conn: socket.socket, request: dict[str, Any]) -> None:
        """Do what a request asks for, and answer it."""
        action = getattr(self, f"_do_{request.pop('verb', '')}", None)
        try:
            if action is None:
                raise LabError("the supervisor knows no such request", "Is it of another version? drvs lab down")
            answer = action(conn, **request)
        except LabError as error:
            answer = {"error": str(error), "hint": error.hint}
        except TypeError as error:
            answer = {"error": f"wrong request: {error}"}
        if answer is not None:
            self.answer(conn, answer)

    def answer(self, conn: socket.socket, answer: dict[str, Any]) -> None:
        """Send an answer and hang up."""
        try:
            conn.send(msgspec.json.encode(answer))
        except OSError:
            pass
        conn.close()

    # ---- verbs; those that return None have answered, or will ----

    def _do_status(self, _conn: socket.socket) -> dict[str, Any]:
        spec = self._lab.spec
        return {
            "lab": spec.name,
            "folder": spec.folder,
            "supervisor": os.getpid(),
            "namespaces": spec.namespaces,
            "transport": spec.transport,
            "relay": not spec.direct,
            "pinned": spec.pin,
            "nodes": [box.as_json() for box in self._lab.boxes],
            "links": [_link_as_json(link) for link in self._lab.links],
        }

    def _do_stay(self, _conn: socket.socket) -> dict[str, Any]:
        self._lab.stay()
        return {"ok": True}

    def _do_down(self, conn: socket.socket) -> None:
        self._lab.end(conn)

    def _do_cut(self, _conn: socket.socket, a: int, b: int) -> dict[str, Any]:
        link = self._link(a, b)
        link.cut = True
        self._lab.wiring.changed(link)
        return _link_as_json(link)

    def _do_heal(self, _conn: socket.socket, a: int | None = None, b: int | None = None) -> dict[str, Any]:
        healed = list(self._lab.links) if a is None or b is None else [self._link(a, b)]
        for link in healed:
            link.heal()
            self._lab.wiring.changed(link)
        return {"ok": True}

    def _do_slow(
        self, _conn: socket.socket, a: int, b: int, delay_ms: float = 0.0, loss_percent: float = 0.0
    ) -> dict[str, Any]:
        link = self._link(a, b)
        if not 0 <= delay_ms <= _DELAY_MS_MAX or not 0 <= loss_percent <= 100:
            raise LabError(
                f"a link cannot be {delay_ms:g} ms slow and lose {loss_percent:g} %",
                f"The delay is from 0 to {_DELAY_MS_MAX} ms, the loss from 0 to 100 percent.",
            )
        link.delay_ms, link.loss_percent = delay_ms, loss_percent
        return _link_as_json(link)

    def _do_kill(self, conn: socket.socket, node: int, unplug: bool = False) -> None:
        box = self._box(node)
        if unplug and not self._lab.spec.namespaces:
            raise LabError("without namespaces the kernel closes what a dead process had open", "Cut its links first.")
        box.kill(unplug=unplug)
        box.when(lambda box: self._when_settled(conn, box, ("killed", "failed"), not box.pid))

    def _do_restart(self, conn: socket.socket, node: int) -> None:
        box = self._box(node)
        box.kill()
        box.when(lambda box: self._start_again(conn, box))

    # ---- parts ----

    def _start_again(self, conn: socket.socket, box: Box) -> bool:
        if box.pid:
            return False
        box.start()
        box.when(lambda box: self._when_settled(conn, box, ("up",), box.state != "starting"))
        return True

    def _when_settled(self, conn: socket.socket, box: Box, wanted: tuple[str, ...], settled: bool) -> bool:
        if settled and box.state in wanted:
            self.answer(conn, box.as_json())
        elif settled:
            problem = box.problem or "it was killed"
            self.answer(conn, {"error": f"node {box.node} did not come up: {problem}", "hint": "See `drvs lab log`."})
        return settled

    def _box(self, node: int) -> Box:
        if not 0 <= node < len(self._lab.boxes):
            raise LabError(f"there is no node {node}", f"The nodes are 0 to {len(self._lab.boxes) - 1}.")
        return self._lab.boxes[node]

    def _link(self, a: int, b: int) -> Link:
        self._box(a), self._box(b)
        if a == b:
            raise LabError(f"node {a} has no link to itself", "Name two different nodes.")
        if self._lab.spec.direct:
            raise LabError("this lab has no relay: it was started with --direct", "Start it without --direct.")
        return self._lab.links.between(a, b)


def _link_as_json(link: Link) -> dict[str, Any]:
    return {
        "a": link.a, "b": link.b, "cut": link.cut, "delay_ms": link.delay_ms, "loss_percent": link.loss_percent,
        "passed": link.passed, "lost": link.lost,
    }  # fmt: skip
