"""What processes do: calls of every kind, to whom and in what order the dice say.

A process that has requests to answer mostly answers them, or copies from and to those who wait; one that has none makes
calls of its own, or waits for some. A few wait without a limit, so that forgotten wake-ups show.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from drvs.core import CODES
from drvs.core._core import ANY, NOTIFY, RCVRQST, RECEIVE, REPLY, SEND, SENDREC, VCOPY
from drvs.daemon.refusal import Refused
from drvs.sim.dice import soon

if TYPE_CHECKING:
    from drvs.sim.history import Call
    from drvs.sim.process import Process, Request
    from drvs.sim.world import World

#: What a process without requests does: with which weight, as a server, and as a client.
SERVER = {"receive": 60, "receive_request": 15, "receive_from": 6, "send": 6, "sendrec": 6, "notify": 5, "copy": 2}
CLIENT = {"receive": 12, "receive_request": 2, "receive_from": 6, "send": 22, "sendrec": 44, "notify": 10, "copy": 4}
#: What it does with a request: answer it, answer by a plain send, copy first, or let it lie.
ANSWERING = {"reply": 55, "send": 10, "copy": 20, "later": 15}

OPS = {"sendrec": SENDREC, "send": SEND, "notify": NOTIFY}

TIMEDOUT, INTR = CODES["TIMEDOUT"], CODES["INTR"]


def _mix(weights: dict[str, int]) -> tuple[list[str], list[int]]:
    """Return what there is to choose from, and the sums of the weights up to each."""
    return [*weights], [*itertools.accumulate(weights.values())]


class Program:
    """The program of all processes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._options = world.options
        self._history = world.history
        self._ways = {**{name: getattr(self, f"_{name}") for name in SERVER}}
        self._mixes = {True: _mix(SERVER), False: _mix(CLIENT)}
        self._answers = _mix(ANSWERING)
        self._requests = _mix({way: CLIENT[way] for way in ("sendrec", "send", "notify")})
        self._think_s = self._options.hurry_s if self._options.messages else self._options.think_s

    def think(self, process: Process) -> None:
        """Let a process do something later."""
        self._world.agenda.after(soon(process.dice, self._think_s), self.act, process)

    def act(self, process: Process) -> None:
        """Let a process do something now."""
        if not process.alive or process.call is not None or self._world.resting:
            return
        dice = process.dice
        diligent = self._options.messages > 0 and dice.random() < self._options.diligence
        if process.requests and dice.random() < 0.8 and self._answer_one(process, diligent=diligent):
            return
        server = self._is_server(process)
        if diligent:
            self._work(process, server=server)
            return
        names, sums = self._mixes[server]
        self._ways[dice.choices(names, cum_weights=sums)[0]](process)

    def _answer_one(self, process: Process, *, diligent: bool) -> bool:
        """Do something about a request. False: it is left for later."""
        request = process.dice.choice([*process.requests.values()])
        ways, sums = self._answers
        what = "reply" if diligent else process.dice.choices(ways, cum_weights=sums)[0]
        if what == "copy":
            self._copy_for(process, request)
        elif what != "later":
            self._answer(process, request, REPLY if what == "reply" else SEND, at_once=diligent)
        return what != "later"

    def _is_server(self, process: Process) -> bool:
        """Every other one is."""
        return process.slot % 2 == 0

    def _work(self, process: Process, *, server: bool) -> None:
        """Serve; or call a server."""
        if server:
            self._receive(process)
            return
        world, vmid = self._world, process.space.vmid
        at_home = process.dice.random() < self._options.home
        name = world.some_server(process.dice, vmid, process.node.number if at_home else None)
        ways, sums = self._requests
        self._to(process, OPS[process.dice.choices(ways, cum_weights=sums)[0]], name)

    # ---- whom ----

    def _find(self, process: Process, name: str) -> int | None:
        """Return the endpoint of a name, as the process knows it or finds it."""
        endpoint = process.known.get(name)
        if endpoint is None or process.dice.random() < self._options.lookup:
            endpoint = self._look_up(process, name)
        return endpoint

    def _look_up(self, process: Process, name: str) -> int | None:
        """Ask noded for a name."""
        space = process.space
        here = space.names.get(name)
        if here is not None:
            return here.endpoint
        try:
            mirror = process.node.noded.directory.find(space.vm, name)
        except Refused:
            mirror = None
        space.look()
        if mirror is None:
            process.known.pop(name, None)
            return None
        process.known[name] = mirror.endpoint
        return mirror.endpoint

    # ---- calls ----

    def _call(
        self, process: Process, op: int, peer: int, node: int, *, may_not_wait: bool = True, at_once: bool = False
    ) -> Call:
        """Return a call, with its time limit set; `at_once`: one that does not wait."""
        dice, options = process.dice, self._options
        call = self._history.begin(process, op, peer, node)
        if at_once or (may_not_wait and dice.random() < options.nowait):
            call.nowait = True
        elif dice.random() < options.timed:
            verdict = INTR if dice.random() < 0.2 else TIMEDOUT
            limit = soon(dice, options.timeout_s)
            limit = min(limit, options.patience_s) if options.messages else limit
            self._world.agenda.after(limit, process.give_up, call, verdict)
        elif options.messages and op != VCOPY:
            self._world.agenda.after(options.patience_s * (1 - dice.random() / 2), process.give_up, call, INTR)
        return call

    def _to_somebody(self, process: Process, op: int) -> None:
        self._to(process, op, self._world.some_name(process.dice, process.space.vmid, process.name))

    def _to(self, process: Process, op: int, name: str) -> None:
        endpoint = self._find(process, name)
        if endpoint is None:
            self._world.agenda.after(soon(process.dice, self._options.think_s), self.act, process)
            return
        call = self._call(process, op, endpoint, self._world.node_of(name))
        if op == NOTIFY:
            call.value = 1 << process.dice.randrange(31)
        process.step(call)

    def _send(self, process: Process) -> None:
        self._to_somebody(process, SEND)

    def _sendrec(self, process: Process) -> None:
        self._to_somebody(process, SENDREC)

    def _notify(self, process: Process) -> None:
        self._to_somebody(process, NOTIFY)

    def _receive_from(self, process: Process) -> None:
        self._to_somebody(process, RECEIVE)

    def _receive(self, process: Process) -> None:
        process.step(self._call(process, RECEIVE, ANY, -1))

    def _receive_request(self, process: Process) -> None:
        process.step(self._call(process, RCVRQST, ANY, -1))

    def collect_all(self) -> None:
        """Have everybody give up what he waits for, and receive the notifications that wait for him."""
        processes = [*self._world.processes]
        for process in processes:
            if process.call is not None:
                process.give_up(process.call, TIMEDOUT)
        for process in processes:
            self._collect(process)

    def _collect(self, process: Process) -> None:
        while process.alive and process.call is None:
            call = self._history.begin(process, RECEIVE, ANY, -1)
            call.nowait = True
            process.step(call)
            if call.code:
                return

    # ---- with requests ----

    def _answer(self, process: Process, request: Request, op: int, *, at_once: bool) -> None:
        """Answer; `at_once` as `reply_receive` does, which waits for no acknowledgement."""
        node = self._history.calls[request.number - 1].process.node.number
        call = self._call(process, op, request.endpoint, node, at_once=at_once)
        call.answers = request.number
        del process.requests[request.endpoint]
        process.step(call, answers=request.call)

    def _copy_for(self, process: Process, request: Request) -> None:
        """Copy from or to a client, or from one to another."""
        clients = [self._client(r) for r in process.requests.values()]
        client = self._client(request)
        other = process.dice.choice([process, *clients])
        if other is client:
            other = process
        if client.life != client.node.lives or other.life != other.node.lives:
            process.requests.clear()  # of a node that was restarted: their endpoints may be others' by now
            self.think(process)
            return
        self._copy_between(process, *process.dice.choice([(client, other), (other, client)]))

    def _client(self, request: Request) -> Process:
        """Whose request it is."""
        return self._history.calls[request.number - 1].process

    def _copy(self, process: Process) -> None:
        """Try to copy between any two: most are not waiting, which is told."""
        dice, world = process.dice, self._world
        parties = [world.somebody(dice, process), dice.choice([process, world.somebody(dice, process)])]
        if any(party is None for party in parties) or parties[0] is parties[1]:
            self.think(process)
            return
        dice.shuffle(parties)
        source, target = parties
        assert source is not None
        assert target is not None
        if all(party is process or self._look_up(process, party.name) == party.endpoint for party in (source, target)):
            self._copy_between(process, source, target)
        else:
            self.think(process)

    def _copy_between(self, process: Process, source: Process, target: Process) -> None:
        nbytes = process.dice.randrange(self._options.memory_bytes + 1)
        first = target if source is process else source
        call = self._call(process, VCOPY, first.endpoint, first.node.number, may_not_wait=False)
        self._world.copies.plan(call, source, target, nbytes)
        process.copy(call, source, target, nbytes)
