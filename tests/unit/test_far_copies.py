"""Copies between nodes: every route and position of the requester; pieces, refusals, ends before their time."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from drvs.core import CODES, _core, decode_command
from support.nodes_in_one import BLOCKED, OK, USER, Node, Nodes, split

PIECE = 4096
Place = tuple[int, int]
"""A process: the node it runs on, and which one of that node's it is."""


class Party:
    """A process with some memory."""

    def __init__(self, node: Node, slot: int) -> None:
        self.node, self.slot, self.endpoint = node, slot, node.bind(slot)
        self.memory = (ctypes.c_char * (20 * PIECE))()

    @property
    def address(self) -> int:
        return ctypes.addressof(self.memory)


class Lab:
    """Three nodes with three processes each, everybody known everywhere."""

    def __init__(self) -> None:
        self.nodes = Nodes(3, copy_buf=PIECE, copy_len_max=20 * PIECE)
        self.parties = {(n, i): Party(self.nodes[n], USER + 3 * n + i) for n in range(3) for i in range(3)}
        for (home, _), party in self.parties.items():
            for node in self.nodes.nodes:
                if node.number != home:
                    assert node.bind_remote(party.endpoint, home) == OK

    def __getitem__(self, place: Place) -> Party:
        return self.parties[place]

    def wait(self, *places: Place) -> None:
        """Have processes wait in a receive, as parties must."""
        for place in places:
            assert self[place].node.receive(self[place].endpoint)[0] == BLOCKED

    def ask(self, requester: Place, source: Place, destination: Place, nbytes: int, **places: Any) -> int:
        """Ask for a copy; the code."""
        me, src, dst = self[requester], self[source], self[destination]
        addresses = {"src_address": src.address, "dst_address": dst.address, **places}
        return me.node.region.copy_far(
            me.slot, src.endpoint, addresses["src_address"], dst.endpoint, addresses["dst_address"], nbytes
        )[0]

    def end(self, requester: Place) -> int:
        """How the copy ended."""
        me = self[requester]
        return me.node.finish(me.endpoint, _core.VCOPY)[0]

    def fill(self, place: Place) -> bytes:
        """Something to copy."""
        content = bytes(range(251)) * (20 * PIECE // 251 + 1)
        self[place].memory.raw = content[: 20 * PIECE]
        return content

    def commands(self) -> list[str]:
        """What the links carry until all is quiet, but for the data beyond its first piece."""
        names = {getattr(_core, n): n[4:] for n in dir(_core) if n.startswith("CMD_") and len(n) > 9}
        said: list[str] = []
        while any(node.proxy.ready() for node in self.nodes.nodes):
            for node in self.nodes.nodes:
                for to, record in node.proxy.take():
                    said.append(f"{node.number}-{to} {names[int.from_bytes(record[4:6], 'little')]}")
                    assert self.nodes[to].proxy.put(record, node.number) == []
        return list(dict.fromkeys(said))


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.nodes.carry()
    assert lab.nodes.audit() == []


ME = (0, 0)
ROUTES = {
    "push": ((0, 0), (1, 0), ["0-1 COPYIN_DATA", "1-0 COPYIN_ACK"]),
    "push of another's": ((0, 1), (1, 0), ["0-1 COPYIN_DATA", "1-0 COPYIN_ACK"]),
    "pull": ((1, 0), (0, 0), ["0-1 COPYOUT_RQST", "1-0 COPYOUT_DATA"]),
    "pull for another": ((1, 0), (0, 1), ["0-1 COPYOUT_RQST", "1-0 COPYOUT_DATA"]),
    "both there": ((1, 0), (1, 1), ["0-1 COPYLCL_RQST", "1-0 COPYLCL_ACK"]),
    "two others": ((1, 0), (2, 0), ["0-1 COPYRMT_RQST", "1-2 COPYIN_RQST", "2-0 COPYRMT_ACK"]),
}
routes = pytest.mark.parametrize(("source", "destination", "said"), ROUTES.values(), ids=list(ROUTES))


@pytest.mark.parametrize("nbytes", [0, 1, PIECE, PIECE + 1, 20 * PIECE])
@routes
def test_bytes_go_by_every_route(lab: Lab, source: Place, destination: Place, said: list[str], nbytes: int) -> None:
    content = lab.fill(source)
    lab.wait(*{source, destination} - {ME})
    assert lab.ask(ME, source, destination, nbytes) == BLOCKED
    assert lab[ME].node.rts(lab[ME].endpoint) == _core.RTS_RMTOPER
    assert lab.commands() == said
    assert lab.end(ME) == OK
    assert lab[destination].memory.raw[:nbytes] == content[:nbytes]
    assert not any(lab[destination].memory.raw[nbytes:])


@routes
def test_parties_must_wait(lab: Lab, source: Place, destination: Place, said: list[str]) -> None:
    code = lab.ask(ME, source, destination, 100)
    if code == BLOCKED:
        lab.nodes.carry()
        code = lab.end(ME)
    assert code == CODES["PROCSTS"]


@routes
def test_memory_that_is_not_there(lab: Lab, source: Place, destination: Place, said: list[str]) -> None:
    lab.wait(*{source, destination} - {ME})
    for wrong in ("src_address", "dst_address"):
        assert lab.ask(ME, source, destination, 3 * PIECE, **{wrong: 4096}) == BLOCKED
        lab.nodes.carry()
        assert lab.end(ME) == CODES["FAULT"]
        assert lab.nodes.audit() == []


@routes
def test_a_party_that_died_is_named_and_forgotten(lab: Lab, source: Place, destination: Place, said: list[str]) -> None:
    for died, code in ((source, "SRCDIED"), (destination, "DSTDIED")):
        if died[0] == 0:
            continue
        lab.wait(
            *{source, destination}
            - {ME, died}
            - {p for p in (source, destination) if lab[p].node.blocked(lab[p].endpoint)}
        )
        assert lab[died].node.unbind(lab[died].endpoint) == OK
        assert lab.ask(ME, source, destination, 100) == BLOCKED
        lab.nodes.carry()
        assert lab.end(ME) == CODES[code]
        assert lab.nodes[0].rts(lab[died].endpoint) == _core.RTS_FREE
        return


def test_what_is_refused_at_once(lab: Lab) -> None:
    assert lab.ask(ME, ME, (1, 0), 20 * PIECE + 1) == CODES["RANGE"]
    assert lab.ask(ME, (1, 0), (1, 0), 8) == CODES["ENDPOINT"]
    assert lab.ask(ME, ME, (0, 1), 8) == CODES["LCLPROC"]
    lab.nodes[0].region.set_route(1, _core.ROUTE_VM)
    assert lab.ask(ME, ME, (1, 0), 8) == CODES["NOPROXY"]


def test_messages_pass_a_large_copy(lab: Lab) -> None:
    lab.wait((1, 0))
    assert lab.ask(ME, ME, (1, 0), 20 * PIECE) == BLOCKED
    sender, server = lab[0, 2], lab[1, 1]
    assert sender.node.step(sender.endpoint, _core.SEND, server.endpoint, b"quick") == BLOCKED
    kinds = [command["cmd"] for _, command in sender.node.take(3)]
    assert kinds == [_core.CMD_COPYIN_DATA, _core.CMD_SEND_MSG, _core.CMD_COPYIN_DATA]


def test_pieces_are_taken_together_as_far_as_was_asked_for(lab: Lab) -> None:
    content = lab.fill(ME)
    lab.wait((1, 0), (2, 0))
    assert lab.ask(ME, ME, (1, 0), 20 * PIECE) == BLOCKED
    other = lab[0, 1]
    assert lab.ask((0, 1), (0, 1), (2, 0), 3 * PIECE) == BLOCKED
    came: dict[int, bytes] = {1: b"", 2: b""}
    while runs := lab.nodes[0].proxy.take_runs(64, 5 * PIECE):
        assert sum(count for *_, count in runs) <= 5
        for to, records, _ in runs:
            came[to] += b"".join(decode_command(record)["payload"] for record in split(records))
            lab.nodes[to].arriving[0] += split(records)
    assert came == {1: content[: 20 * PIECE], 2: other.memory.raw[: 3 * PIECE]}
    lab.nodes.carry()
    assert lab.end(ME) == lab.end((0, 1)) == OK
    assert lab[1, 0].memory.raw == content[: 20 * PIECE]


def test_a_party_is_in_one_copy_at_a_time(lab: Lab) -> None:
    lab.wait((1, 0))
    assert lab.ask(ME, ME, (1, 0), 3 * PIECE) == BLOCKED
    lab.nodes.collect(0, 1)
    lab.nodes.deliver(1, 0)
    assert lab.nodes[1].rts(lab[1, 0].endpoint) == _core.RTS_RECEIVING | _core.RTS_HELD
    assert lab.nodes[1].region.copy_begin(lab[1, 1].slot, lab[1, 0].endpoint, _core.SELF, 8)[0] == CODES["BUSY"]
    assert lab.ask((2, 0), (2, 0), (1, 0), 8) == BLOCKED
    lab.nodes.collect(2)
    lab.nodes.deliver(1, 2)
    lab.nodes.carry()
    assert lab.end((2, 0)) == CODES["BUSY"]
    assert lab.end(ME) == OK


def test_the_end_of_a_partys_wait_ends_the_copy(lab: Lab) -> None:
    """A timed call ends by its deadline, whatever a link does; the copy into its memory ends then."""
    lab.wait((1, 0))
    assert lab.ask(ME, ME, (1, 0), 3 * PIECE) == BLOCKED
    lab.nodes.collect(0, 1)
    lab.nodes.deliver(1, 0)
    party = lab[1, 0]
    assert party.node.cancel(party.endpoint) == OK
    assert not party.node.blocked(party.endpoint)
    lab.wait((1, 0))  # again, with another buffer: the rest of the copy must not go there
    party.memory.raw = bytes(20 * PIECE)
    lab.nodes.carry()
    assert lab.end(ME) == CODES["PROCSTS"]
    assert not any(party.memory.raw)


def test_a_source_that_goes_on_ends_the_copy(lab: Lab) -> None:
    lab.wait((1, 0))
    assert lab.ask(ME, (1, 0), ME, 3 * PIECE) == BLOCKED
    lab.nodes.collect(0)
    lab.nodes.deliver(1, 0)
    lab.nodes.collect(1, 1)
    assert lab[1, 0].node.cancel(lab[1, 0].endpoint) == OK
    lab.nodes.carry()
    assert lab.end(ME) == CODES["PROCSTS"]


@routes
@pytest.mark.parametrize("steps", range(5))
def test_a_requester_that_dies_leaves_nobody_held(
    lab: Lab, source: Place, destination: Place, said: list[str], steps: int
) -> None:
    lab.wait(*{source, destination} - {ME})
    assert lab.ask(ME, source, destination, 3 * PIECE) == BLOCKED
    move(lab, steps)
    assert lab.nodes[0].unbind(lab[ME].endpoint) == OK
    lab.nodes.carry()
    for place in {source, destination} - {ME}:
        assert lab[place].node.rts(lab[place].endpoint) & ~_core.RTS_HELD == _core.RTS_RECEIVING
    assert lab.nodes.audit() == []


def move(lab: Lab, steps: int) -> None:
    """Move the links a few commands on."""
    for _ in range(steps):
        for node in lab.nodes.nodes:
            lab.nodes.collect(node.number, 1)
        for node in lab.nodes.nodes:
            for other in node.arriving:
                lab.nodes.deliver(node.number, other)


@routes
@pytest.mark.parametrize("steps", range(5))
def test_a_requester_that_gives_up_can_copy_again(
    lab: Lab, source: Place, destination: Place, said: list[str], steps: int
) -> None:
    content = lab.fill(source)
    lab.wait(*{source, destination} - {ME})
    assert lab.ask(ME, source, destination, 3 * PIECE) == BLOCKED
    move(lab, steps)
    if lab.nodes[0].blocked(lab[ME].endpoint):
        assert lab.nodes[0].cancel(lab[ME].endpoint) == OK
    lab.nodes.carry()
    assert lab.ask(ME, source, destination, 2 * PIECE) == BLOCKED
    lab.nodes.carry()
    assert lab.end(ME) == OK
    assert lab[destination].memory.raw[: 2 * PIECE] == content[: 2 * PIECE]


def overtake(lab: Lab) -> None:
    """What the requester sent to node 2 so far gets there after a copy from node 1."""
    lab.nodes.collect(0)
    lab.wait((1, 0), (2, 0))
    assert lab.ask(ME, (1, 0), (2, 0), PIECE) == BLOCKED
    lab.nodes.collect(0)
    lab.nodes.deliver(1, 0)
    lab.nodes.collect(1)
    lab.nodes.deliver(2, 1)
    lab.nodes.deliver(2, 0)  # before word of the copy's end has left


def assert_overtaken(lab: Lab) -> None:
    """The newer copy comes first, and is whole when what is late has come."""
    content = lab.fill((1, 0))
    overtake(lab)
    lab.nodes.carry()
    assert lab.end(ME) == OK
    assert lab[2, 0].memory.raw[:PIECE] == content[:PIECE]
    assert lab.nodes.audit() == []


@pytest.mark.parametrize("late", ["send", "call", "copy there", "copy from there", "copy to a third", "copy to there"])
def test_a_late_call_that_was_given_up_does_not_end_a_newer_copy(lab: Lab, late: str) -> None:
    ways = {"copy there": ((2, 1), (2, 2)), "copy from there": ((2, 1), ME), "copy to a third": ((2, 1), (1, 1))}
    me, other = lab[ME], lab[2, 1]
    lab.wait((2, 1), (2, 2), (1, 1))
    if late in ("send", "call"):
        assert me.node.step(me.endpoint, _core.SEND if late == "send" else _core.SENDREC, other.endpoint) == BLOCKED
    else:
        assert lab.ask(ME, *ways.get(late, (ME, (2, 1))), PIECE) == BLOCKED
    lab.nodes.collect(0)
    assert me.node.cancel(me.endpoint) == OK
    assert_overtaken(lab)
    assert other.node.rts(other.endpoint) == _core.RTS_RECEIVING, "what was given up is nobody's"


@pytest.mark.parametrize("how", ["reply", "reply at once", "call"])
def test_a_late_answer_arrives_and_does_not_end_a_newer_copy(lab: Lab, how: str) -> None:
    me, client = lab[ME], lab[2, 1]
    assert client.node.step(client.endpoint, _core.SENDREC, me.endpoint) == BLOCKED
    lab.nodes.carry()
    code, request = me.node.receive(me.endpoint)
    assert code == OK
    op, flags = _core.SENDREC if how == "call" else _core.REPLY, _core.CALL_NOWAIT if how == "reply at once" else 0
    code = me.node.step(me.endpoint, op, client.endpoint, b"answer", answers=request.call, flags=flags)
    assert code == (OK if flags else BLOCKED)
    lab.nodes.collect(0)
    assert flags or me.node.cancel(me.endpoint) == OK
    overtake(lab)
    lab.nodes.carry()
    assert lab.end(ME) == OK
    code, answer = client.node.finish(client.endpoint, _core.SENDREC)
    assert (code, answer.payload[:6]) == (OK, b"answer")
    assert lab.nodes.audit() == []


@pytest.mark.parametrize("late", ["send", "call", "notification", "copy"])
def test_late_words_of_a_dead_process_do_not_end_the_copy_of_its_successor(lab: Lab, late: str) -> None:
    node, dead, other = lab.nodes[0], lab[ME], lab[2, 1]
    lab.wait((2, 1), (2, 2))
    ops = {"send": _core.SEND, "call": _core.SENDREC, "notification": _core.NOTIFY}
    code = lab.ask(ME, (2, 1), (2, 2), PIECE) if late == "copy" else node.step(dead.endpoint, ops[late], other.endpoint)
    assert code == BLOCKED
    lab.nodes.collect(0)
    assert node.unbind(dead.endpoint) == OK
    dead.endpoint = node.bind(dead.slot)
    assert_overtaken(lab)


CUTS = [(0, 1), (0, 2), (1, 2)]


@routes
@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("lost", CUTS)
def test_a_lost_link_ends_a_copy_that_needs_it(
    lab: Lab, source: Place, destination: Place, said: list[str], steps: int, lost: tuple[int, int]
) -> None:
    lab.wait(*{source, destination} - {ME})
    assert lab.ask(ME, source, destination, 3 * PIECE) == BLOCKED
    move(lab, steps)
    lab.nodes.sever(*lost, CODES["NOTCONN"])
    assert lab.nodes.audit() == []
    lab.nodes.carry()
    assert not lab.nodes[0].blocked(lab[ME].endpoint), "it waits for ever"
    assert lab.end(ME) in (OK, CODES["NOTCONN"])
    for place in {source, destination} - {ME}:
        assert not lab[place].node.rts(lab[place].endpoint) & _core.RTS_ONCOPY


def test_data_outside_what_was_asked_for_is_refused(lab: Lab) -> None:
    lab.wait((1, 0))
    assert lab.ask(ME, (1, 0), ME, 100) == BLOCKED
    lab.nodes.collect(0)
    lab.nodes.deliver(1, 0)
    [(_, data)] = lab.nodes[1].take()
    data["v_daddr"] += 1
    assert lab.nodes[0].proxy.put(_core.encode_command(data), 1) == []
    assert lab.end(ME) == CODES["RANGE"]
    assert not any(lab[ME].memory.raw)


def test_a_pid_that_is_no_members_is_not_believed(lab: Lab) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        code, endpoint, _ = lab.nodes[1].region.bind(
            USER + 30, stranger.pid, stranger.pid, 1, _core.BIND_LOCAL, 0, "forged"
        )
        assert code == OK
        assert lab.nodes[0].bind_remote(endpoint, 1) == OK
        assert lab.nodes[1].receive(endpoint)[0] == BLOCKED
        me = lab[ME]
        assert me.node.region.copy_far(me.slot, me.endpoint, me.address, endpoint, me.address, 8)[0] == BLOCKED
        lab.nodes.carry()
        assert lab.end(ME) == CODES["BADPID"]
