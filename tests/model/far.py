"""Several nodes, random calls between their processes, links that are moved a bit at a time, and what must hold then.

There is no second implementation here to compare with: what is checked is what a user relies on. Every VM passes its
audit after every step; a message is received once at most, and in the order of its source; a send that ended well was
received, and an answer belongs to the request. Once everything has arrived nobody waits without a reason that shows at
the other node.
"""

from __future__ import annotations

import ctypes
import random
from dataclasses import dataclass
from typing import Any

from drvs.core import CODES, Message, _core
from support.nodes_in_one import BLOCKED, OK, USER, Node, Nodes, route

NODES, EACH = 3, 3
LIMITS = {
    "nr_procs": 48,
    "nr_tasks": 67,
    "nr_sysprocs": 96,
    "notes": 16,
    "nr_nodes": 4,
    "nr_proxies": 2,
    "copy_buf": 64,
}
SENDING, RECEIVING, RMTOPER = _core.RTS_SENDING, _core.RTS_RECEIVING, _core.RTS_RMTOPER
BYTES = 400  # of each process's memory


class Process:
    """A process of one of the nodes, as its program knows it."""

    def __init__(self, node: Node, slot: int) -> None:
        self.node, self.slot = node, slot
        self.memory = (ctypes.c_char * BYTES)()
        self.bind()

    def bind(self) -> None:
        """Become a fresh process in the slot."""
        self.endpoint = self.node.bind(self.slot)
        self.op: int | None = None  # of the call that blocks it
        self.sent: int | None = None  # number of the message in that call
        self.peer: int | None = None
        self.clients: dict[
            int, tuple[int, int]
        ] = {}  # endpoint -> (call, number of its message), of requests not answered
        self.hurries = False  # its call is not to wait

    @property
    def address(self) -> int:
        return ctypes.addressof(self.memory)

    def state(self) -> dict[str, Any]:
        return self.node.state(self.endpoint)


@dataclass
class Sent:
    """One message: who sent what to whom, and what became of it."""

    source: int
    destination: int
    answers: int = 0
    received: bool = False
    must_arrive: bool = False


class World:
    """The nodes, the processes, all messages so far."""

    def __init__(self, seed: int = 0) -> None:
        self.dice = random.Random(seed)
        self.nodes = Nodes(NODES, **LIMITS)
        self.processes = [Process(self.nodes[n], USER + n * EACH + i) for n in range(NODES) for i in range(EACH)]
        self.messages: list[Sent] = []
        self.newest: dict[tuple[int, int], int] = {}
        self.copies: dict[int, tuple[Process, Process, int, bytes]] = {}
        self.given_up: list[Process] = []  # parties of copies that failed, and may still be written to
        self.trouble = False  # a node was cut or a process died: calls may end in any way

    # ---- who ------------------------------------------------------------------------------------------------------

    def know(self, node: Node, other: Process) -> None:
        """As the directory of names does it: the process can be called from there."""
        if other.node is not node and node.region.snapshot(other.slot)["endpoint"] != other.endpoint:  # type: ignore[index]
            node.region.unbind(other.slot, 0, CODES["SHUTDOWN"], True)
            assert node.bind_remote(other.endpoint, other.node.number) == OK
        elif other.node is not node and node.region.snapshot(other.slot)["rts_all"] & _core.RTS_FREE:  # type: ignore[index]
            assert node.bind_remote(other.endpoint, other.node.number) == OK

    def message(self, source: Process, destination: int, answers: int = 0) -> bytes:
        self.messages.append(Sent(source.endpoint, destination, answers))
        return len(self.messages).to_bytes(4, "little")

    # ---- calls ----------------------------------------------------------------------------------------------------

    def call(self, me: Process, op: int, peer: int, nowait: bool = False, value: int = 0, answers: int = 0) -> int:
        """Make a call, if the process can; what is done at once is accounted for at once."""
        self.read_end(me)
        if me.op is not None:
            return BLOCKED
        sends = op in (_core.SEND, _core.SENDREC, _core.REPLY)
        body = self.message(me, peer, me.clients.get(peer, (0, 0))[1] if op == _core.REPLY else 0) if sends else b""
        message = Message(payload=body.ljust(56, b"\0"))
        flags = _core.CALL_NOWAIT if nowait else 0
        code, _ = me.node.region.step(me.slot, op, peer, message, flags=flags, value=value, answers=answers)
        me.op, me.sent, me.peer, me.hurries = op, len(self.messages) if sends else None, peer, nowait
        if code != BLOCKED:
            self.ended(me, code, message)
        return code

    def read_end(self, me: Process) -> None:
        """See whether a blocked call has ended."""
        if me.op is None or me.node.blocked(me.endpoint):
            return
        code, message = me.node.finish(me.endpoint, me.op)
        self.ended(me, code, message)

    def ended(self, me: Process, code: int, message: Message) -> None:
        """A call is over."""
        op, sent, peer = me.op, me.sent, me.peer
        me.op = me.sent = me.peer = None
        if op == _core.VCOPY:
            self.copy_ended(me, code)
        elif code == OK and op in (_core.RECEIVE, _core.RCVRQST):
            self.received(me, message, 0)
        elif code == OK and op == _core.SENDREC:
            self.received(me, message, sent or 0)
        if op in (_core.SEND, _core.REPLY) and code == OK and sent:
            me.clients.pop(peer, None)  # type: ignore[arg-type]
            self.messages[
                sent - 1
            ].must_arrive = not me.hurries  # an answer that waits for no acknowledgement may come too late

    def received(self, me: Process, message: Message, request: int) -> None:
        """A message was received: for the first time, in its order, by whom it was for, and it is the right answer."""
        if message.is_notify:
            return
        number = int.from_bytes(message.payload[:4], "little")
        sent = self.messages[number - 1]
        assert not sent.received, f"message {number} was received twice"
        assert (sent.source, sent.destination) == (message.source, me.endpoint), (
            f"message {number} of {sent} came from {message.source}"
        )
        assert number > self.newest.get((sent.source, me.endpoint), 0), f"message {number} came after a later one"
        assert not request or not sent.answers or sent.answers == request, (
            f"message {number} answers {sent.answers}, not {request}"
        )
        sent.received = True
        self.newest[sent.source, me.endpoint] = number
        if message.is_request:
            me.clients[message.source] = (message.call, number)

    # ---- copies ---------------------------------------------------------------------------------------------------

    def copy(self, me: Process, source: Process, destination: Process, nbytes: int) -> int:
        """Ask for a copy between nodes."""
        self.read_end(me)
        if me.op is not None:
            return BLOCKED
        for party in (source, destination):
            self.know(me.node, party)
        involved = [parties for parties in self.copies.values() if {source, destination} & set(parties[:2])]
        if not involved:
            source.memory.raw = self.dice.randbytes(BYTES)
        content = source.memory.raw
        code, _ = me.node.region.copy_far(
            me.slot, source.endpoint, source.address, destination.endpoint, destination.address, nbytes
        )
        if code == BLOCKED:
            me.op, me.sent, me.peer = _core.VCOPY, None, source.endpoint
            self.copies[me.endpoint] = (source, destination, 0 if involved else nbytes, content)
            for requester, parties in self.copies.items():  # what they copy is no longer what it was
                if parties in involved:
                    self.copies[requester] = (*parties[:2], 0, content)
        return code

    def copy_ended(self, me: Process, code: int) -> None:
        """A copy that went well has copied."""
        source, destination, nbytes, content = self.copies.pop(me.endpoint)
        if code != OK:
            self.given_up += [source, destination]
        elif source not in self.given_up and destination not in self.given_up:
            assert destination.memory.raw[:nbytes] == content[:nbytes], "a copy that went well has not copied"

    # ---- trouble --------------------------------------------------------------------------------------------------

    def give_up(self, me: Process, code: int) -> None:
        """A time limit, or a signal."""
        if me.op is not None and me.node.blocked(me.endpoint):
            me.node.cancel(me.endpoint, code)
            self.read_end(me)

    def die(self, me: Process) -> None:
        """A process ends, and another begins in its slot."""
        self.trouble = True
        assert me.node.unbind(me.endpoint) == OK
        self.given_up += self.copies.pop(me.endpoint, ())[:2]  # type: ignore[arg-type]
        me.bind()

    def lose(self, here: int, there: int, code: int, unbind: bool) -> None:
        """Two nodes lose each other, and find each other again: nothing is left of what was under way."""
        self.trouble = True
        self.nodes.sever(here, there, code, unbind)
        for a, b in ((here, there), (there, here)):
            for process in self.processes:
                self.read_end(process)
                if process.node.number == a and process.op is not None:
                    self.waits_elsewhere(process, b)
            assert self.nodes[a].region.set_route(b, route()) == OK

    def waits_elsewhere(self, me: Process, lost: int) -> None:
        """After the cut nobody waits for a process of the lost node."""
        state = me.state()
        peer = state["sendto"] if state["rts_all"] & (SENDING | RMTOPER) else state["getfrom"]
        slot = me.node.region.decode(peer) if peer != _core.ANY else None
        if slot is not None:
            other = me.node.region.snapshot(slot)
            assert isinstance(other, dict)
            assert not (other["rts_all"] & _core.RTS_REMOTE and other["node"] == lost), (
                f"{me.endpoint} waits for a lost node"
            )

    # ---- at rest --------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Let everything arrive. Whoever waits then has a reason."""
        self.nodes.carry()
        for process in self.processes:
            self.read_end(process)
        self.nodes.carry()
        self.given_up.clear()
        for process in self.processes:
            self.explain(process)
        for number, sent in enumerate(self.messages, 1):
            assert sent.received or not sent.must_arrive or self.trouble, (
                f"message {number} was sent well, and not received"
            )

    def explain(self, me: Process) -> None:
        """Why a process waits: for a copy, never; for a remote process, because that has not done its part."""
        if me.op is None:
            return
        state = me.state()
        rts = state["rts_all"]
        assert not rts & RMTOPER, f"{me.endpoint} waits for a copy that is nowhere"
        called = rts & SENDING or state["call"]
        peer = state["sendto"] if rts & SENDING else state["getfrom"]
        other = next((p for p in self.processes if p.endpoint == peer and p.node is not me.node), None)
        if not called or other is None:
            return
        there = other.node.state(me.endpoint)
        assert there["endpoint"] == me.endpoint, f"{me.endpoint} waits for {peer}, which does not know it"
        assert there["rts_all"] & (SENDING | RECEIVING), (
            f"{me.endpoint} waits for {peer}, where nothing of it waits ({rts:#x})"
        )
        waits_for = there["sendto"] if there["rts_all"] & SENDING else there["getfrom"]
        assert waits_for == peer, f"{me.endpoint} waits for {peer}, but there for {waits_for}"

    def check(self) -> None:
        """All VMs are sound."""
        assert self.nodes.audit() == []


# ---- random steps ------------------------------------------------------------------------------------------------


def speak(world: World, me: Process, other: Process, nowait: bool) -> None:
    """A message or a request to somebody."""
    world.know(me.node, other)
    world.call(me, world.dice.choice([_core.SEND, _core.SENDREC]), other.endpoint, nowait)


def listen(world: World, me: Process, other: Process, nowait: bool) -> None:
    """A receive from anybody, mostly."""
    if world.dice.random() < 0.2:
        world.know(me.node, other)
        world.call(me, _core.RECEIVE, other.endpoint, nowait)
    else:
        world.call(me, world.dice.choice([_core.RECEIVE, _core.RECEIVE, _core.RCVRQST]), _core.ANY, nowait)


def answer(world: World, me: Process, other: Process, nowait: bool) -> None:
    """The answer to some request."""
    world.read_end(me)
    if me.op is None and me.clients:
        client = world.dice.choice(list(me.clients))
        op = world.dice.choice([_core.REPLY, _core.REPLY, _core.SEND])
        world.call(me, op, client, nowait, answers=me.clients[client][0])


def notify(world: World, me: Process, other: Process, nowait: bool) -> None:
    """A notification."""
    world.know(me.node, other)
    world.call(me, _core.NOTIFY, other.endpoint, value=world.dice.randrange(3))


def give_up(world: World, me: Process, other: Process, nowait: bool) -> None:
    """Time is up, or a signal comes."""
    world.give_up(me, world.dice.choice([CODES["TIMEDOUT"], CODES["INTR"]]))


def copy(world: World, me: Process, other: Process, nowait: bool) -> None:
    """A copy to, from, or between others."""
    third = world.dice.choice(world.processes)
    if me is not other:
        world.copy(me, *world.dice.choice([(me, other), (other, me), (other, third)]), world.dice.randrange(BYTES))


def collect(world: World, me: Process, other: Process, nowait: bool) -> None:
    """A sender proxy takes some commands."""
    world.nodes.collect(me.node.number, world.dice.randrange(1, 4))


def deliver(world: World, me: Process, other: Process, nowait: bool) -> None:
    """What has come by one link is put."""
    if me.node is not other.node:
        world.nodes.deliver(me.node.number, other.node.number)


def rest(world: World, me: Process, other: Process, nowait: bool) -> None:
    """Everything arrives."""
    world.rest()


def die(world: World, me: Process, other: Process, nowait: bool) -> None:
    """A process dies."""
    world.die(me)


def lose(world: World, me: Process, other: Process, nowait: bool) -> None:
    """A link is lost."""
    if me.node is not other.node:
        code = world.dice.choice(["NOTCONN", "NOPROXY", "NOVMNODE"])
        world.lose(me.node.number, other.node.number, CODES[code], world.dice.random() < 0.5)


WEIGHTS = {
    speak: 26,
    listen: 24,
    answer: 12,
    notify: 4,
    give_up: 4,
    copy: 8,
    collect: 8,
    deliver: 10,
    rest: 3,
    die: 1,
    lose: 1,
}


def play(world: World, steps: int) -> None:
    """Random steps, all VMs looked at after each."""
    dice = world.dice
    for act in dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=steps):
        act(world, dice.choice(world.processes), dice.choice(world.processes), dice.random() < 0.1)
        world.check()
    world.rest()
    world.check()
