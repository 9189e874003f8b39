"""How calls between nodes end before their time: lost nodes, unbinding, giving up, newer calls; in every state."""

from collections.abc import Callable, Iterator

import pytest

from drvs.core import CODES, _core
from support.nodes_in_one import BLOCKED, OK, USER, Nodes, route

CLIENT, SERVER = USER, USER + 1
State = Callable[["Lab"], int]


class Lab:
    """A client on node 0, a server on node 1, in one of the states that a call goes through."""

    def __init__(self) -> None:
        self.nodes = Nodes(2)
        self.here, self.there = self.nodes[0], self.nodes[1]
        self.client, self.server = self.here.bind(CLIENT, "client"), self.there.bind(SERVER, "server")
        assert self.here.bind_remote(self.server, 1) == OK

    def send_queued(self) -> int:
        """The proxy has not taken the message."""
        assert self.here.step(self.client, _core.SEND, self.server, b"message") == BLOCKED
        return _core.SEND

    def send_on_its_way(self) -> int:
        """It has, and it has not arrived."""
        self.send_queued()
        assert self.nodes.collect(0) == 1
        return _core.SEND

    def send_waiting(self) -> int:
        """It waits for the server."""
        self.send_queued()
        self.nodes.carry()
        return _core.SEND

    def send_received(self) -> int:
        """The server has it, the acknowledgement is not yet on its way."""
        self.send_waiting()
        assert self.there.receive(self.server)[0] == OK
        return _core.SEND

    def request_queued(self) -> int:
        """The proxy has not taken the request."""
        assert self.here.step(self.client, _core.SENDREC, self.server, b"request") == BLOCKED
        return _core.SENDREC

    def request_on_its_way(self) -> int:
        """It has, and it has not arrived."""
        self.request_queued()
        assert self.nodes.collect(0) == 1
        return _core.SENDREC

    def request_waiting(self) -> int:
        """It waits for the server."""
        self.request_queued()
        self.nodes.carry()
        return _core.SENDREC

    def request_received(self) -> int:
        """The server works on it."""
        self.request_waiting()
        assert self.there.receive(self.server)[0] == OK
        return _core.SENDREC

    def answered(self) -> int:
        """The answer is queued at the server's node."""
        self.request_received()
        assert self.there.step(self.server, _core.REPLY, self.client, b"answer") == BLOCKED
        return _core.SENDREC

    def notify_queued(self) -> int:
        """The proxy has not taken the notification."""
        assert self.here.step(self.client, _core.NOTIFY, self.server) == BLOCKED
        return _core.NOTIFY

    def receiving(self) -> int:
        """The client waits to hear from the server."""
        assert self.here.receive(self.client, self.server)[0] == BLOCKED
        return _core.RECEIVE

    def sound(self) -> None:
        """Nothing is left of it anywhere, and another call works."""
        self.nodes.carry()
        assert self.nodes.audit() == []

    def works_again(self) -> None:
        """A fresh call from a client to the server, which has heard nothing that it did not have to."""
        if self.here.rts(self.server) & _core.RTS_FREE:
            assert self.here.bind_remote(self.server, 1) == OK
        assert self.here.step(self.client, _core.SENDREC, self.server, b"again") == BLOCKED
        self.nodes.carry()
        code, message = self.there.receive(self.server, op=_core.RCVRQST)
        assert (code, message.payload[:5]) == (OK, b"again")
        assert self.there.step(self.server, _core.REPLY, self.client, b"well") == BLOCKED
        self.nodes.carry()
        assert self.here.finish(self.client, _core.SENDREC)[1].payload[:4] == b"well"
        assert self.nodes.audit() == []


CALLS = [
    Lab.send_queued,
    Lab.send_on_its_way,
    Lab.send_waiting,
    Lab.send_received,
    Lab.request_queued,
    Lab.request_on_its_way,
]
CALLS += [Lab.request_waiting, Lab.request_received]
STATES: list[State] = [*CALLS, Lab.answered, Lab.notify_queued, Lab.receiving]


def name_of(state: State) -> str:
    """How pytest shows a state."""
    return getattr(state, "__name__", str(state))


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.sound()


def calm(lab: Lab) -> None:
    """The server's own call, if it has one, is over, and it has read how."""
    lab.nodes.carry()
    if lab.there.blocked(lab.server):
        assert lab.there.cancel(lab.server) == OK
    lab.nodes.carry()


# ---- a node is lost --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbind", [False, True])
@pytest.mark.parametrize("code", ["NOTCONN", "NOPROXY", "NOVMNODE"])
@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_a_cut_ends_the_callers_wait_with_its_code(lab: Lab, state: State, code: str, unbind: bool) -> None:
    op = state(lab)
    lab.nodes.sever(0, 1, CODES[code], unbind)
    assert lab.here.finish(lab.client, op)[0] == CODES[code]
    assert lab.nodes.audit() == []
    gone = lab.here.rts(lab.server)
    assert gone == (_core.RTS_FREE if unbind else _core.RTS_REMOTE)
    for a, b in ((0, 1), (1, 0)):
        assert lab.nodes[a].region.set_route(b, route()) == OK
    calm(lab)
    lab.works_again()


def test_a_cut_ends_the_servers_wait_for_its_acknowledgement(lab: Lab) -> None:
    lab.answered()
    lab.nodes.collect(1)
    lab.nodes.cut(1, 0)
    assert lab.there.finish(lab.server, _core.REPLY)[0] == CODES["NOTCONN"]


def test_a_cut_lets_local_waiters_of_a_lost_process_go(lab: Lab) -> None:
    waiters = [lab.here.bind(USER + 10 + i) for i in range(5)]
    for waiter in waiters:
        assert lab.here.receive(waiter, lab.server)[0] == BLOCKED
    lab.nodes.cut(0, 1, CODES["NOPROXY"])
    assert [lab.here.finish(waiter)[0] for waiter in waiters] == [CODES["NOPROXY"]] * 5


def test_a_cut_of_one_node_leaves_the_others_alone() -> None:
    nodes = Nodes(3)
    client, servers = nodes[0].bind(CLIENT), [nodes[1].bind(USER + 20), nodes[2].bind(USER + 21)]
    other = nodes[0].bind(USER + 1)
    for caller, server, node in ((client, servers[0], 1), (other, servers[1], 2)):
        assert nodes[0].bind_remote(server, node) == OK
        assert nodes[0].step(caller, _core.SEND, server) == BLOCKED
    nodes.cut(0, 1, CODES["NOTCONN"])
    assert nodes[0].finish(client, _core.SEND)[0] == CODES["NOTCONN"]
    assert nodes[0].blocked(other)
    nodes.carry()
    assert nodes[2].receive(servers[1])[0] == OK
    nodes.carry()
    assert nodes[0].finish(other, _core.SEND)[0] == OK
    assert nodes.audit() == []


# ---- somebody is unbound --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_the_server_dies(lab: Lab, state: State) -> None:
    op = state(lab)
    assert lab.there.unbind(lab.server) == OK
    lab.nodes.carry()
    if op == _core.RECEIVE:  # nobody has told this node that the server is dead: its daemon will
        assert lab.here.blocked(lab.client)
        assert lab.here.unbind(lab.server) == OK
        assert lab.here.finish(lab.client)[0] == CODES["SRCDIED"]
        return
    received = state is Lab.send_received or op == _core.NOTIFY
    died = CODES["SRCDIED"] if state in (Lab.request_received, Lab.answered) else CODES["DSTDIED"]
    assert lab.here.finish(lab.client, op)[0] == (OK if received else died)


@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_the_client_dies(lab: Lab, state: State) -> None:
    state(lab)
    assert lab.here.unbind(lab.client) == OK
    lab.nodes.carry()
    if lab.there.blocked(lab.server):
        pytest.fail("the server waits for a dead client")
    code, message = lab.there.receive(lab.server)
    assert code == BLOCKED, message
    lab.there.cancel(lab.server)
    lab.client = lab.here.bind(CLIENT)
    lab.works_again()


@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_the_daemon_declares_the_server_dead(lab: Lab, state: State) -> None:
    op = state(lab)
    assert lab.here.unbind(lab.server) == OK
    waits_for_it = op == _core.RECEIVE or (op == _core.SENDREC and state is not Lab.request_queued)
    assert lab.here.finish(lab.client, op)[0] == CODES["SRCDIED" if waits_for_it else "DSTDIED"]
    assert lab.nodes.audit() == []
    calm(lab)


@pytest.mark.parametrize("state", [Lab.send_waiting, Lab.request_waiting, Lab.request_received], ids=name_of)
def test_the_daemon_declares_the_client_dead(lab: Lab, state: State) -> None:
    op = state(lab)
    assert lab.there.unbind(lab.client) == OK
    assert lab.there.rts(lab.client) == _core.RTS_FREE
    lab.nodes.carry()
    assert lab.here.finish(lab.client, op)[0] == CODES["SHUTDOWN"]
    assert lab.there.receive(lab.server)[0] == BLOCKED


def test_a_slot_taken_again_forgets_the_last_word_of_its_owner(lab: Lab) -> None:
    lab.send_on_its_way()
    assert lab.here.unbind(lab.client) == OK
    lab.client = lab.here.bind(CLIENT)
    assert lab.here.take() == []


# ---- giving up --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES, ids=name_of)
def test_a_call_that_is_given_up_leaves_nothing_behind(lab: Lab, state: State) -> None:
    op = state(lab)
    assert lab.here.cancel(lab.client) == OK
    assert lab.here.finish(lab.client, op)[0] == CODES["TIMEDOUT"]
    assert lab.nodes.audit() == []
    lab.nodes.carry()
    if state is Lab.answered:
        assert lab.there.finish(lab.server, _core.REPLY)[0] == CODES["PROCSTS"]
    elif state not in (Lab.send_received, Lab.request_received):
        assert lab.there.receive(lab.server, flags=_core.CALL_NOWAIT)[0] == CODES["AGAIN"]
    assert lab.here.take() == lab.there.take() == []
    lab.works_again()


def test_an_answer_that_the_proxy_has_not_taken_was_never_given(lab: Lab) -> None:
    lab.answered()
    assert lab.there.cancel(lab.server) == OK
    assert lab.there.take() == []
    assert lab.there.rts(lab.client) == _core.RTS_REMOTE | _core.RTS_RECEIVING
    assert lab.there.step(lab.server, _core.REPLY, lab.client, b"second") == BLOCKED
    lab.nodes.carry()
    assert lab.here.finish(lab.client, _core.SENDREC)[1].payload[:6] == b"second"


@pytest.mark.parametrize("state", CALLS, ids=name_of)
def test_a_newer_call_takes_the_place_of_one_given_up(lab: Lab, state: State) -> None:
    """Its CANCEL is superseded before the proxy takes it: the newer call says as much."""
    state(lab)
    assert lab.here.cancel(lab.client) == OK
    calm(lab) if state in (Lab.send_received, Lab.request_received) else None
    lab.works_again()


def test_the_cancel_of_a_call_to_one_node_does_not_hold_up_a_call_to_another() -> None:
    nodes = Nodes(3)
    client, servers = nodes[0].bind(CLIENT), [nodes[1].bind(USER + 20), nodes[2].bind(USER + 21)]
    for server, node in zip(servers, (1, 2), strict=True):
        assert nodes[0].bind_remote(server, node) == OK
    nodes[0].step(client, _core.SENDREC, servers[0])
    nodes.carry()
    assert nodes[0].cancel(client) == OK
    assert nodes[0].step(client, _core.SEND, servers[1], b"now") == BLOCKED
    nodes.carry()
    assert nodes[2].receive(servers[1])[0] == OK
    code, message = nodes[1].receive(servers[0])  # best effort: this node was not told
    assert (code, message.is_request) == (OK, True)
    assert nodes[1].step(servers[0], _core.REPLY, client) == BLOCKED
    nodes.carry()
    assert nodes[1].finish(servers[0], _core.REPLY)[0] == CODES["PROCSTS"]
    assert nodes.audit() == []


def test_the_acknowledgement_of_a_call_given_up_ends_no_later_one(lab: Lab) -> None:
    lab.send_received()
    lab.nodes.collect(1)
    lab.here.cancel(lab.client)
    assert lab.here.step(lab.client, _core.SEND, lab.server, b"next") == BLOCKED
    lab.nodes.deliver(0, 1)
    lab.nodes.collect(0)
    assert lab.here.blocked(lab.client)


# ---- a process comes back --------------------------------------------------------------------------------------


def test_a_new_life_takes_the_place_of_the_old_one(lab: Lab) -> None:
    lab.request_waiting()
    old = lab.client
    assert lab.here.unbind(old) == OK
    lab.client = lab.here.bind(CLIENT)
    lab.here.proxy.take()  # the link loses what it had to say of the old one
    lab.works_again()
    assert lab.there.rts(lab.client) == _core.RTS_REMOTE


def test_a_system_process_must_be_bound_here_and_keeps_its_name(lab: Lab) -> None:
    system = lab.here.bind(70, "pm")
    assert lab.here.step(system, _core.SEND, lab.server) == BLOCKED
    lab.nodes.carry()
    assert [code for _, code in lab.there.failures] == [CODES["NOTBIND"]]
    lab.here.cancel(system)
    assert lab.there.bind_remote(system, 0, "pm") == OK
    for _ in range(2):
        assert lab.here.step(system, _core.SEND, lab.server) == BLOCKED
        lab.nodes.carry()
        assert lab.there.receive(lab.server)[0] == OK
        lab.nodes.carry()
        assert lab.there.state(system)["name"] == "pm"
        assert lab.here.unbind(system) == OK
        assert lab.here.bind(70, "pm") == system


def test_a_slot_that_is_somebody_elses(lab: Lab) -> None:
    stranger = lab.there.bind(CLIENT)
    assert stranger == lab.client  # both nodes have bound the slot: the same number
    lab.here.step(lab.client, _core.SEND, lab.server)
    lab.nodes.carry()
    assert lab.there.unbind(stranger) == OK
    assert lab.there.bind(CLIENT) != stranger
    lab.here.cancel(lab.client)
    lab.here.step(lab.client, _core.SEND, lab.server)
    lab.nodes.carry()
    assert [code for _, code in lab.there.failures] == [CODES["LCLPROC"], CODES["SLOTUSED"]]
    lab.here.cancel(lab.client)
