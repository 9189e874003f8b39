"""Calls between nodes: every one of them in both directions and both orders, and the refusals before they set out."""

from collections.abc import Iterator

import pytest

from drvs.core import CODES, Message, _core
from support.nodes_in_one import BLOCKED, OK, USER, Nodes, route

CLIENT, SERVER = USER, USER + 1


class Lab:
    """A client on node 0, a server on node 1, each known to the other node."""

    def __init__(self) -> None:
        self.nodes = Nodes(2)
        self.here, self.there = self.nodes[0], self.nodes[1]
        self.client, self.server = self.here.bind(CLIENT, "client"), self.there.bind(SERVER, "server")
        assert self.here.bind_remote(self.server, 1) == OK

    def request(self) -> Message:
        """The client's request, received by the server."""
        assert self.here.step(self.client, _core.SENDREC, self.server, b"request") == BLOCKED
        self.nodes.carry()
        code, message = self.there.receive(self.server)
        assert code == OK
        return message


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.nodes.carry()
    assert lab.nodes.audit() == []


def text(message: Message) -> bytes:
    """What a message says."""
    return message.payload.rstrip(b"\0")


# ---- rendezvous --------------------------------------------------------------------------------------


def test_a_send_to_one_who_receives(lab: Lab) -> None:
    assert lab.there.receive(lab.server)[0] == BLOCKED
    assert lab.here.step(lab.client, _core.SEND, lab.server, b"hello") == BLOCKED
    assert lab.here.rts(lab.client) == _core.RTS_SENDING
    lab.nodes.carry()
    code, message = lab.there.finish(lab.server)
    assert (code, message.source, text(message)) == (OK, lab.client, b"hello")
    assert lab.here.finish(lab.client, _core.SEND)[0] == OK
    assert lab.there.state(lab.client)["name"] == "remote"
    assert lab.here.state(lab.client)["sent_remote"] == 1


def test_a_sender_waits_for_the_receiver_across_nodes(lab: Lab) -> None:
    assert lab.here.step(lab.client, _core.SEND, lab.server, b"hello") == BLOCKED
    lab.nodes.carry()
    assert lab.here.blocked(lab.client)
    assert lab.there.rts(lab.client) == _core.RTS_REMOTE | _core.RTS_SENDING
    code, message = lab.there.receive(lab.server, lab.client)
    assert (code, text(message)) == (OK, b"hello")
    assert lab.here.blocked(lab.client)
    lab.nodes.carry()
    assert lab.here.finish(lab.client, _core.SEND)[0] == OK


def test_a_receive_from_one_remote_process(lab: Lab) -> None:
    lab.here.bind(USER + 5)
    assert lab.there.bind_remote(lab.client, 0) == OK
    assert lab.there.receive(lab.server, lab.client)[0] == BLOCKED
    lab.here.step(lab.client, _core.SEND, lab.server, b"me")
    lab.nodes.carry()
    assert text(lab.there.finish(lab.server)[1]) == b"me"


@pytest.mark.parametrize("receives_first", [True, False])
@pytest.mark.parametrize("receive", [_core.RECEIVE, _core.RCVRQST])
def test_a_request_and_its_answer(lab: Lab, receives_first: bool, receive: int) -> None:
    if receives_first:
        assert lab.there.receive(lab.server, op=receive)[0] == BLOCKED
    assert lab.here.step(lab.client, _core.SENDREC, lab.server, b"request") == BLOCKED
    assert lab.here.rts(lab.client) == _core.RTS_SENDING | _core.RTS_RECEIVING
    lab.nodes.carry()
    assert lab.here.rts(lab.client) == _core.RTS_RECEIVING
    code, message = lab.there.finish(lab.server) if receives_first else lab.there.receive(lab.server, op=receive)
    assert (code, message.is_request, message.call, text(message)) == (
        OK,
        True,
        lab.here.state(lab.client)["call"],
        b"request",
    )
    assert lab.there.step(lab.server, _core.REPLY, lab.client, b"answer") == BLOCKED
    lab.nodes.carry()
    assert lab.there.finish(lab.server, _core.REPLY)[0] == OK
    code, message = lab.here.finish(lab.client, _core.SENDREC)
    assert (code, message.source, text(message)) == (OK, lab.server, b"answer")


def test_a_send_to_one_who_waits_for_an_answer_is_the_answer(lab: Lab) -> None:
    lab.request()
    assert lab.there.step(lab.server, _core.SEND, lab.client, b"answer") == BLOCKED
    [(_, command)] = lab.there.take()
    assert command["cmd"] == _core.CMD_REPLY_MSG
    assert lab.there.rts(lab.client) == _core.RTS_REMOTE


def test_a_request_to_one_who_waits_for_an_answer_is_the_answer(lab: Lab) -> None:
    lab.request()
    assert lab.there.step(lab.server, _core.SENDREC, lab.client, b"and you?") == BLOCKED
    lab.nodes.carry()
    code, message = lab.here.finish(lab.client, _core.SENDREC)
    assert (code, message.is_request, text(message)) == (OK, True, b"and you?")
    assert lab.there.rts(lab.server) == _core.RTS_RECEIVING
    assert lab.here.step(lab.client, _core.REPLY, lab.server, b"fine") == BLOCKED
    lab.nodes.carry()
    assert text(lab.there.finish(lab.server, _core.SENDREC)[1]) == b"fine"


def test_a_reply_that_does_not_wait_goes_from_the_clients_slot(lab: Lab) -> None:
    lab.request()
    assert lab.there.step(lab.server, _core.REPLY, lab.client, b"answer", flags=_core.CALL_NOWAIT) == OK
    assert lab.there.rts(lab.server) == 0
    [(node, command)] = lab.there.take()
    assert (node, command["cmd"], command["flags"], command["src"]) == (
        0,
        _core.CMD_REPLY_MSG,
        _core.CMD_NOACK,
        lab.server,
    )


def test_a_trace_goes_both_ways(lab: Lab) -> None:
    trace, back = bytes(range(16)), bytes(range(16, 32))
    lab.here.step(lab.client, _core.SENDREC, lab.server, trace=trace)
    lab.nodes.carry()
    assert lab.there.receive(lab.server)[1].trace == trace
    lab.there.step(lab.server, _core.REPLY, lab.client, trace=back, flags=_core.CALL_NOWAIT)
    lab.nodes.carry()
    assert lab.here.finish(lab.client, _core.SENDREC)[1].trace == back


def test_messages_of_one_source_keep_their_order(lab: Lab) -> None:
    for number in range(20):
        assert lab.here.step(lab.client, _core.SEND, lab.server, bytes([number + 1])) == BLOCKED
        lab.nodes.carry()
        assert text(lab.there.receive(lab.server)[1]) == bytes([number + 1])
        lab.nodes.carry()
        assert lab.here.finish(lab.client, _core.SEND)[0] == OK


# ---- notifications --------------------------------------------------------------------------------------


@pytest.mark.parametrize("receives_first", [True, False])
def test_a_notification_waits_for_the_proxy_alone(lab: Lab, receives_first: bool) -> None:
    if receives_first:
        assert lab.there.receive(lab.server)[0] == BLOCKED
    assert lab.here.step(lab.client, _core.NOTIFY, lab.server, value=6) == BLOCKED
    [(_, record)] = lab.here.proxy.take(now_ns=1_700_000_000_000_000_007)
    assert lab.here.finish(lab.client, _core.NOTIFY)[0] == OK
    assert lab.there.proxy.put(record, 0) == []
    code, message = lab.there.finish(lab.server) if receives_first else lab.there.receive(lab.server)
    assert (code, message.is_notify, message.source, message.m9_l1) == (OK, True, lab.client, 6)
    if receives_first:
        assert message.m9_t1 == (1_700_000_000, 7)


def test_the_kernel_notifies_and_does_not_wait(lab: Lab) -> None:
    assert lab.here.region.notify(_core.HARDWARE, lab.server, 3) == OK
    assert lab.here.region.notify(_core.HARDWARE, lab.server, 4) == CODES["BUSY"]
    lab.nodes.carry()
    code, message = lab.there.receive(lab.server)
    assert (code, message.source, message.m9_l1) == (OK, _core.HARDWARE, 3)
    assert lab.here.region.notify(_core.HARDWARE, lab.server, 4) == OK


def test_a_notification_leaves_a_call_under_way_alone(lab: Lab) -> None:
    other = lab.here.bind(USER + 4)
    lab.here.step(lab.client, _core.SENDREC, lab.server)
    lab.nodes.carry()
    p_nr = lab.here.state(lab.client)["p_nr"]
    assert lab.here.step(other, _core.NOTIFY, lab.server, as_p_nr=p_nr) == BLOCKED
    lab.nodes.carry()
    assert lab.there.receive(lab.server)[1].is_notify
    assert lab.there.receive(lab.server)[1].is_request


# ---- refused before it sets out --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "code"),
    [(0, "NOVMNODE"), (_core.ROUTE_VM, "NOPROXY"), (route(0, _core.ROUTE_VM), "NOTCONN"), (route(31), "OK")],
)
def test_every_call_tells_why_a_node_cannot_be_reached(lab: Lab, word: int, code: str) -> None:
    lab.here.region.set_route(1, word)
    expected = BLOCKED if code == "OK" else CODES[code]
    for op in (_core.SEND, _core.SENDREC, _core.NOTIFY, _core.RECEIVE):
        assert lab.here.step(lab.client, op, lab.server) == expected
        if code == "OK":
            assert lab.here.cancel(lab.client) == OK
    copied, _ = lab.here.region.copy_far(CLIENT, lab.client, 0, lab.server, 0, 8)
    assert copied == expected
    if code == "OK":
        lab.here.cancel(lab.client)


def test_a_node_out_of_range(lab: Lab) -> None:
    endpoint = lab.there.bind(USER + 9)
    assert lab.here.bind_remote(endpoint, 32) == OK
    assert lab.here.step(lab.client, _core.SEND, endpoint) == CODES["BADNODEID"]


def test_what_would_wait_for_another_node_does_not(lab: Lab) -> None:
    for op in (_core.SEND, _core.SENDREC, _core.NOTIFY):
        assert lab.here.step(lab.client, op, lab.server, flags=_core.CALL_NOWAIT) == CODES["AGAIN"]


def test_a_reply_to_one_who_has_not_asked(lab: Lab) -> None:
    assert lab.here.step(lab.client, _core.REPLY, lab.server) == CODES["PROCSTS"]
    call = lab.request().call
    assert lab.there.step(lab.server, _core.REPLY, lab.client, answers=call + 1) == CODES["PROCSTS"]
    assert lab.there.step(lab.server, _core.REPLY, lab.client, answers=call) == BLOCKED


def test_a_server_must_answer_before_it_calls(lab: Lab) -> None:
    lab.here.step(lab.client, _core.SENDREC, lab.server)
    lab.nodes.carry()
    assert lab.there.step(lab.server, _core.SEND, lab.client) == CODES["LOCKED"]


def test_two_who_call_each_other_at_once_are_both_told(lab: Lab) -> None:
    assert lab.there.bind_remote(lab.client, 0) == OK
    lab.here.step(lab.client, _core.SENDREC, lab.server)
    lab.there.step(lab.server, _core.SENDREC, lab.client)
    lab.nodes.carry()
    assert lab.here.finish(lab.client, _core.SENDREC)[0] == CODES["LOCKED"]
    assert lab.there.finish(lab.server, _core.SENDREC)[0] == CODES["LOCKED"]


def test_a_request_is_not_relayed_between_nodes(lab: Lab) -> None:
    request, helper = lab.request(), lab.there.bind(USER + 6)
    slot = lab.there.region.decode(lab.server)
    assert slot is not None
    assert lab.there.region.step(slot, _core.RELAY, helper, request)[0] == CODES["RMTPROC"]


def test_a_remote_process_is_not_woken_from_here(lab: Lab) -> None:
    assert lab.here.region.wakeup(lab.server) == CODES["RMTPROC"]


# ---- refused there --------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [_core.SEND, _core.SENDREC])
def test_a_destination_that_is_not_there_is_forgotten_here(lab: Lab, op: int) -> None:
    assert lab.there.unbind(lab.server) == OK
    assert lab.here.step(lab.client, op, lab.server) == BLOCKED
    lab.nodes.carry()
    assert lab.here.finish(lab.client, op)[0] == CODES["DSTDIED"]
    assert lab.here.step(lab.client, op, lab.server) == CODES["DSTDIED"]
    assert lab.here.rts(lab.server) == _core.RTS_FREE


def test_privileges_of_the_destination_count(lab: Lab) -> None:
    assert lab.there.bind_remote(lab.client, 0) == OK
    identity, warn, level, traps, calls, alarm, _, to = lab.there.region.getpriv(SERVER)  # type: ignore[misc]
    assert lab.there.region.setpriv(SERVER, 0, (identity, warn, level, traps, calls, alarm, 0, to)) == OK
    lab.here.step(lab.client, _core.SENDREC, lab.server)
    lab.nodes.carry()
    assert lab.here.finish(lab.client, _core.SENDREC)[0] == CODES["CALLDENIED"]


def test_a_late_answer_is_told_that_it_is(lab: Lab) -> None:
    lab.request()
    assert lab.there.step(lab.server, _core.REPLY, lab.client, b"late") == BLOCKED
    lab.nodes.collect(1)
    assert lab.here.cancel(lab.client) == OK
    lab.nodes.carry()
    assert lab.there.finish(lab.server, _core.REPLY)[0] == CODES["PROCSTS"]


def test_an_ended_vm_ends_the_wait(lab: Lab) -> None:
    lab.here.step(lab.client, _core.SEND, lab.server)
    lab.there.region.end(_core.VM_ENDED)
    [(_, record)] = lab.here.proxy.take()
    assert lab.there.proxy.put(record, 0) == [(0, CODES["VMNOTRUN"])]
    lab.there.region.set_route(0, 0)
