"""get2rmt and put2lcl (guide 5.1.10, 5.1.11): calls between a real node and nodes that a test plays by hand."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from drvs.compat.mnx import *
from support.children import spawn
from support.covers import covers
from support.guide import SHORT_MS, TIME_MS
from support.hand_proxies import hand_proxies, with_message

pytestmark = pytest.mark.root
ME, SERVER = 40, 5
"""A user slot of this node; a system slot of node 1."""

CALLS = ("mnx_get2rmt", "mnx_get2rmt_T")
BROKEN_CODES = ("EMOLBADNODEID", "EMOLNOVMNODE", "EMOLNOPROXY", "EMOLNOTCONN")


@pytest.fixture
def hands(lab):
    """A pair to node 1, where a server lives at endpoint 5."""
    with hand_proxies(lab) as pairs:
        assert mnx_rmtbind(lab.vmid, "server", SERVER, 1) == SERVER
        yield pairs


def far_client(lab, slot=60, generation=1):
    """The endpoint of an ordinary process of another node."""
    return generation * (NR_TASKS + SELF + 1) + slot


def calling(call, *arguments):
    """A child's program: make a call with a message, answer with its code and what the message has then."""

    def program(me):
        m = message(m_type=7, m1_i1=41)
        code = call(*arguments, m)
        return code, m.m_source, m.m_type, m.m1_i1

    return program


# ---- calls that go out ----------------------------------------------------------------------------------------------


@covers(("mnx_get2rmt", "mnx_get2rmt_T", "mnx_put2lcl"), "OK")
@covers("mnx_send", "OK")
def test_a_send_waits_for_its_acknowledgement(lab, hands):
    child = lab.bound(ME, calling(lambda m: mnx_send(SERVER, m)))
    ep = lab.vm.process(ME).endpoint
    header, payload = hands.expect(CMD_SEND_MSG, ep, SERVER)
    assert (payload.pay_msg.m_source, payload.pay_msg.m_type, payload.pay_msg.m1_i1) == (ep, 7, 41)
    lab.wait_rts(ME, 4, whole=True)  # SENDING
    hands.answer(header)
    assert child.result()[0] == OK


@pytest.mark.parametrize("code", [EMOLDSTDIED, EMOLENDPOINT, EMOLRMTPROC])
def test_an_acknowledgement_that_says_it_is_gone_unbinds_it_here(lab, hands, code):
    child = lab.bound(ME, calling(lambda m: mnx_send(SERVER, m)))
    hands.answer(hands.take()[0], code)
    assert child.result()[0] == code
    assert mnx_unbind(lab.vmid, SERVER) == EMOLNOTBIND


def test_another_code_of_the_other_node_is_the_callers_and_no_more(lab, hands):
    child = lab.bound(ME, calling(lambda m: mnx_send(SERVER, m)))
    hands.answer(hands.take()[0], EMOLCALLDENIED)
    assert child.result()[0] == EMOLCALLDENIED
    assert mnx_unbind(lab.vmid, SERVER) == OK


@covers("mnx_sendrec", "OK")
def test_a_request_is_answered_by_a_reply(lab, hands):
    child = lab.bound(ME, calling(lambda m: mnx_sendrec(SERVER, m)))
    ep = lab.vm.process(ME).endpoint
    header, payload = hands.expect(CMD_SNDREC_MSG, ep, SERVER)
    assert payload.pay_msg.m1_i1 == 41
    lab.wait_rts(ME, 8, whole=True)  # RECEIVING, once it was taken
    hands.answer(header, cmd=CMD_REPLY_MSG, payload=with_message(8, m1_i1=42))
    assert child.result() == (OK, SERVER, 8, 42)
    hands.expect(CMD_REPLY_ACK, ep, SERVER)


@pytest.mark.parametrize("code", [EMOLDSTDIED, EMOLSRCDIED, EMOLNOTREADY])
def test_a_request_that_fails_there_ends_with_the_code(lab, hands, code):
    child = lab.bound(ME, calling(lambda m: mnx_sendrec(SERVER, m)))
    hands.answer(hands.take()[0], code)
    assert child.result()[0] == code


@covers("mnx_notify", "OK")
def test_a_notification_is_not_acknowledged(lab, hands):
    child = lab.bound(ME, lambda me: mnx_notify(SERVER))
    header, _ = hands.expect(CMD_NTFY_MSG, lab.vm.process(ME).endpoint, SERVER)
    assert header.c_len == 0
    assert child.result() == OK
    assert hands.nothing()


@covers(("mnx_reply", "mnx_reply_T"), "OK")
@pytest.mark.parametrize("reply", [mnx_reply, lambda ep, m: mnx_reply_T(ep, m, TIME_MS)], ids=["reply", "reply_T"])
def test_a_reply_waits_for_its_acknowledgement(lab, hands, reply):
    client = far_client(lab)

    def server(me):
        m = message()
        assert mnx_rcvrqst(m) == OK
        assert (m.m_source, m.m_type) == (client, 3)
        m.m_type = 4
        return reply(client, m)

    child = lab.bound(ME, server)
    ep = lab.vm.process(ME).endpoint
    assert hands.put(CMD_SNDREC_MSG, client, ep, with_message(3), c_call=11) == OK
    header, payload = hands.expect(CMD_REPLY_MSG, ep, client)
    assert (payload.pay_msg.m_type, payload.pay_msg.m_source, header.c_answers) == (4, ep, 11)
    hands.answer(header)
    assert child.result() == OK


# ---- calls that come in ---------------------------------------------------------------------------------------------


@covers("mnx_receive", "OK")
def test_a_message_from_there_is_received_and_acknowledged_then(lab, hands):
    child = lab.bound(ME, lambda me: me.hear() and calling(lambda m: mnx_receive(SERVER, m))(me))
    ep = lab.vm.process(ME).endpoint
    assert hands.put(CMD_SEND_MSG, SERVER, ep, with_message(3, m1_i1=9), c_call=5) == OK
    assert hands.nothing()  # the sender there waits until it is received here
    child.tell("receive")
    assert child.result() == (OK, SERVER, 3, 9)
    header, _ = hands.expect(CMD_SEND_ACK, ep, SERVER)
    assert header.c_call == 5


def test_an_ordinary_process_of_another_node_is_bound_when_its_message_comes(lab, hands):
    client = far_client(lab)
    child = lab.bound(ME, calling(lambda m: mnx_receive(ANY, m)))
    ep = lab.vm.process(ME).endpoint
    assert hands.put(CMD_SEND_MSG, client, ep, with_message(3)) == OK
    assert child.result()[:2] == (OK, client)
    hands.expect(CMD_SEND_ACK, ep, client)
    found = proc_usr_t()
    assert mnx_getprocinfo(lab.vmid, 60, found) == OK
    assert (found.p_rts_flags, found.p_nodeid, found.p_endpoint, found.p_name) == (0x1000, 1, client, b"remote")


def test_its_successor_takes_its_place(lab, hands):
    child = lab.bound(ME, lambda me: [calling(lambda m: mnx_receive(ANY, m))(me)[:2] for _ in range(2)])
    ep = lab.vm.process(ME).endpoint
    clients = [far_client(lab, generation=generation) for generation in (1, 2)]
    for client in clients:
        assert hands.put(CMD_SEND_MSG, client, ep, with_message(3)) == OK
        hands.expect(CMD_SEND_ACK, ep, client)
    assert child.result() == [(OK, client) for client in clients]


def test_a_system_process_of_another_node_is_not_bound_by_itself(lab, hands):
    child = lab.bound(ME, calling(lambda m: mnx_receive(ANY, m)))
    ep = lab.vm.process(ME).endpoint
    assert hands.put(CMD_SEND_MSG, 6, ep, with_message(3)) == EMOLNOTBIND
    assert mnx_rmtbind(lab.vmid, "pm", 6, 1) == 6  # as the receiver proxies of later versions do
    assert hands.put(CMD_SEND_MSG, 6, ep, with_message(3)) == OK
    assert child.result()[:2] == (OK, 6)


def test_a_message_to_nobody_is_acknowledged_so(lab, hands):
    gone = lab.ended_slot(50)
    assert hands.put(CMD_SEND_MSG, SERVER, gone, with_message(3)) == OK
    hands.expect(CMD_SEND_ACK, gone, SERVER, rcode=EMOLDSTDIED)
    assert hands.put(CMD_SNDREC_MSG, SERVER, gone, with_message(3)) == OK
    hands.expect(CMD_SNDREC_ACK, gone, SERVER, rcode=EMOLDSTDIED)


def test_a_notification_from_there_arrives(lab, hands):
    def program(me):
        m = message()
        return mnx_receive(ANY, m), m.m_source, m.m_type

    child = lab.bound(ME, program)
    assert hands.put(CMD_NTFY_MSG, SERVER, lab.vm.process(ME).endpoint) == OK
    assert child.result() == (OK, SERVER, NOTIFY_FROM(SERVER))


def test_an_answer_that_nobody_awaits_is_told_so(lab, hands):
    lab.bound(ME, lambda me: me.hear())
    ep = lab.vm.process(ME).endpoint
    assert hands.put(CMD_REPLY_MSG, SERVER, ep, with_message(3), c_answers=77) == OK
    hands.expect(CMD_REPLY_ACK, ep, SERVER, rcode=EMOLPROCSTS)


# ---- ends -----------------------------------------------------------------------------------------------------------


@covers(("mnx_send_T", "mnx_sendrec_T"), "EMOLTIMEDOUT")
@pytest.mark.parametrize("call", [mnx_send_T, mnx_sendrec_T])
def test_a_caller_that_gives_up_after_its_command_was_taken_tells_the_other_node(lab, hands, call):
    child = lab.bound(ME, calling(lambda m: call(SERVER, m, 300)))
    header, _ = hands.take()
    assert child.result()[0] == EMOLTIMEDOUT
    cancel, _ = hands.take()
    assert (cancel.c_cmd, cancel.c_call, cancel.c_dst) == (CMD_CANCEL, header.c_call, SERVER)
    hands.answer(header)  # too late: nobody minds


def test_a_caller_that_gives_up_before_leaves_no_trace(lab, hands):
    child = lab.bound(ME, calling(lambda m: mnx_send_T(SERVER, m, SHORT_MS)))
    assert child.result()[0] == EMOLTIMEDOUT
    assert hands.nothing()


def test_a_request_that_its_caller_gave_up_is_taken_back(lab, hands):
    client = far_client(lab)
    child = lab.bound(ME, lambda me: me.hear() and calling(lambda m: mnx_rcvrqst_T(m, TIMEOUT_NOWAIT))(me)[0])
    ep = lab.vm.process(ME).endpoint
    assert hands.put(CMD_SNDREC_MSG, client, ep, with_message(3), c_call=9) == OK
    assert hands.put(CMD_CANCEL, client, ep, c_call=9, c_vcopy=vcopy_t(v_rqtr=client)) == OK
    child.tell("look")
    assert child.result() == EMOLAGAIN


ENDS = {
    "EMOLNOTCONN": lambda lab: mnx_proxy_conn(1, DISCONNECT_SPROXY),
    "EMOLNOPROXY": lambda lab: mnx_proxy_unbind(1),
    "EMOLNOVMNODE": lambda lab: mnx_del_node(lab.vmid, 1),
}
REMOTE_CALLS = {
    "mnx_send": lambda m: mnx_send(SERVER, m),
    "mnx_send_T": lambda m: mnx_send_T(SERVER, m, TIME_MS),
    "mnx_sendrec": lambda m: mnx_sendrec(SERVER, m),
    "mnx_sendrec_T": lambda m: mnx_sendrec_T(SERVER, m, TIME_MS),
    "mnx_receive": lambda m: mnx_receive(SERVER, m),
    "mnx_receive_T": lambda m: mnx_receive_T(SERVER, m, TIME_MS),
}
OUTGOING = ("mnx_send", "mnx_send_T", "mnx_sendrec", "mnx_sendrec_T")


@covers(("mnx_send", "mnx_send_T", "mnx_sendrec", "mnx_sendrec_T"), "EMOLNOTCONN", "EMOLNOPROXY", "EMOLNOVMNODE")
@covers(("mnx_receive", "mnx_receive_T"), "EMOLNOTCONN", "EMOLNOPROXY", "EMOLNOVMNODE")
@pytest.mark.parametrize("code", ENDS)
@pytest.mark.parametrize(
    ("call", "taken"), [*((call, False) for call in REMOTE_CALLS), *((call, True) for call in OUTGOING)]
)
def test_what_is_under_way_ends_when_the_road_does(lab, hands, call, code, taken):
    child = lab.bound(ME, calling(REMOTE_CALLS[call]))
    lab.wait_asleep(ME)
    if taken:
        hands.take()
    assert ENDS[code](lab) == OK
    assert child.result()[0] == globals()[code]


BROKEN = {
    "EMOLBADNODEID": lambda lab, p_nr: lab.write_word("slot.node", NR_NODES, p_nr),
    "EMOLNOVMNODE": lambda lab, p_nr: lab.set_route(1, 2 << 16 | 2),
    "EMOLNOPROXY": lambda lab, p_nr: mnx_node_down(1),
    "EMOLNOTCONN": lambda lab, p_nr: mnx_proxy_conn(1, DISCONNECT_RPROXY),
}
"""What stands in the way of a call to the process at p_nr, by the code that says so."""

ALL_CALLS = {
    **REMOTE_CALLS,
    "mnx_notify": lambda m: mnx_notify(SERVER),
    "mnx_vcopy": lambda m: mnx_vcopy(SELF, addressof(m), SERVER, 0x1000, 8),
}


@covers(("mnx_send", "mnx_send_T", "mnx_sendrec", "mnx_sendrec_T"), *BROKEN_CODES)
@covers(("mnx_receive", "mnx_receive_T", "mnx_notify", "mnx_vcopy"), *BROKEN_CODES)
@pytest.mark.parametrize("code", BROKEN)
@pytest.mark.parametrize("call", ALL_CALLS)
def test_what_begins_where_there_is_no_road_is_refused(lab, hands, call, code):
    BROKEN[code](lab, SERVER)
    child = lab.bound(ME, calling(ALL_CALLS[call]))
    assert child.result()[0] == globals()[code]


@covers(("mnx_reply", "mnx_reply_T"), *BROKEN_CODES)
@pytest.mark.parametrize("code", BROKEN)
@pytest.mark.parametrize("reply", [mnx_reply, lambda ep, m: mnx_reply_T(ep, m, TIME_MS)], ids=["reply", "reply_T"])
def test_an_answer_that_has_no_road_back_is_refused(lab, hands, reply, code):
    client = far_client(lab)

    def server(me):
        m = message()
        assert mnx_rcvrqst(m) == OK
        me.say("taken")
        me.hear()
        return reply(client, m)

    child = lab.bound(ME, server)
    assert hands.put(CMD_SNDREC_MSG, client, lab.vm.process(ME).endpoint, with_message(3), c_call=11) == OK
    child.wait_line("taken")
    BROKEN[code](lab, 60)
    child.tell("reply")
    assert child.result() == globals()[code]


# ---- get2rmt and put2lcl themselves ---------------------------------------------------------------------------------


@covers("mnx_get2rmt_T", "EMOLTIMEDOUT", "EMOLAGAIN")
def test_get2rmt_waits_as_long_as_it_is_told(hands):
    header, payload = cmd_t(), proxy_payload_t()
    assert mnx_get2rmt_T(header, payload, TIMEOUT_NOWAIT) == EMOLAGAIN
    assert mnx_get2rmt_T(header, payload, SHORT_MS) == EMOLTIMEDOUT
    assert mnx_errno() == EMOLTIMEDOUT


@covers(CALLS, "EMOLINVAL")
@covers("mnx_put2lcl", "EMOLINVAL")
def test_they_need_memory_that_can_be_used(hands):
    assert mnx_get2rmt(None, proxy_payload_t()) == mnx_get2rmt(cmd_t(), None) == EMOLINVAL
    assert mnx_put2lcl(None, proxy_payload_t()) == EMOLINVAL
    for cmd in (0, 12, 99, CMD_SEND_MSG | 1 << 14):
        assert hands.put(cmd, SERVER, 1, with_message(1)) == EMOLINVAL
    assert hands.put(CMD_SEND_MSG, SERVER, 1, None) == EMOLINVAL
    assert hands.put(CMD_COPYIN_DATA, SERVER, 1, with_message(1), c_len=-1) == EMOLINVAL


@covers(("mnx_get2rmt", "mnx_get2rmt_T", "mnx_put2lcl"), "EMOLBADPROXY")
def test_only_who_is_registered_may(lab):
    assert mnx_get2rmt(cmd_t(), proxy_payload_t()) == EMOLBADPROXY
    assert mnx_get2rmt_T(cmd_t(), proxy_payload_t(), 0) == EMOLBADPROXY
    assert mnx_put2lcl(cmd_t(c_cmd=CMD_NTFY_MSG), proxy_payload_t()) == EMOLBADPROXY


@covers(CALLS, "EMOLNOPROXY")
@pytest.mark.parametrize("call", [mnx_get2rmt, lambda h, p: mnx_get2rmt_T(h, p, TIME_MS)], ids=CALLS)
def test_a_sender_that_waits_is_told_when_its_pair_is_unbound(lab, call):
    def sender(me):
        me.say("here")
        me.hear()
        return call(cmd_t(), proxy_payload_t())

    child = spawn(sender)
    child.wait_line("here")
    assert mnx_proxies_bind("waiting", 2, child.pid, child.pid) == OK
    before = eventfds(child.pid)
    child.tell("go")
    wait_attached(child.pid, before + 1)
    assert mnx_proxy_unbind(2) == OK
    assert child.result() == EMOLNOPROXY


def wait_attached(pid, before):
    """Until a process has more doorbells than `before`, and sleeps."""
    deadline = time.monotonic() + 20
    while eventfds(pid) <= before or "poll" not in Path(f"/proc/{pid}/wchan").read_text():
        assert time.monotonic() < deadline


def eventfds(pid):
    """How many descriptors of that kind a process has."""
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += "eventfd" in os.readlink(link)
    return found


@covers(CALLS, "-ERESTARTSYS")
@pytest.mark.parametrize("call", [mnx_get2rmt, lambda h, p: mnx_get2rmt_T(h, p, TIME_MS)], ids=CALLS)
def test_a_signal_ends_the_wait_of_a_sender(lab, call):
    def sender(me):
        signal.signal(signal.SIGUSR1, lambda *_: None)
        me.say("here")
        me.hear()
        return call(cmd_t(), proxy_payload_t())

    child = spawn(sender)
    child.wait_line("here")
    assert mnx_proxies_bind("waiting", 2, child.pid, child.pid) == OK
    before = eventfds(child.pid)
    child.tell("go")
    wait_attached(child.pid, before + 1)
    child.send_signal(signal.SIGUSR1)
    assert child.result() == -ERESTARTSYS


@covers("mnx_put2lcl", "EMOLBADVMID", "EMOLBADNODEID", "EMOLNOVMNODE")
def test_a_command_that_can_reach_nobody_is_refused(lab, hands):
    assert hands.put(CMD_NTFY_MSG, SERVER, 1, c_vmid=31) == EMOLBADVMID
    assert hands.put(CMD_NTFY_MSG, SERVER, 1, c_dnode=2) == EMOLBADNODEID
    assert hands.put(CMD_NTFY_MSG, SERVER, 1, c_snode=NR_NODES) == EMOLBADNODEID
    assert hands.put(CMD_NTFY_MSG, SERVER, 1, c_snode=2) == EMOLNOVMNODE


def test_a_vm_that_comes_later_is_served_too(lab, hands, node):
    from support.guide import new_lab

    with new_lab(node, "later") as later:
        assert mnx_add_node(later.vmid, 1) == OK
        assert mnx_rmtbind(later.vmid, "server", SERVER, 1) == SERVER
        child = later.bound(ME, calling(lambda m: mnx_send(SERVER, m)))
        header, _ = hands.take()
        assert header.c_vmid == later.vmid
        hands.answer(header)
        assert child.result()[0] == OK
    assert hands.nothing()


def test_the_ledger_counts_what_proxies_carry(lab, hands):
    child = lab.bound(ME, calling(lambda m: mnx_send(SERVER, m)))
    before = node_usr_t()
    assert mnx_getnodeinfo(1, before) == OK
    hands.answer(hands.take()[0])
    assert child.result()[0] == OK
    after = node_usr_t()
    assert mnx_getnodeinfo(1, after) == OK
    assert after.n_stimestamp.tv_sec > 1_600_000_000
    assert after.n_rtimestamp.tv_sec > 1_600_000_000
    seen = lab.node.node_info(1)
    assert (seen.sent, seen.received) >= (1, 1)


def test_a_node_is_a_proxy_of_no_one_elses(lab, hands):
    child = spawn(lambda me: (mnx_get2rmt_T(cmd_t(), proxy_payload_t(), 0), os.getpid()))
    assert child.result()[0] == EMOLBADPROXY  # a forked child is not registered
