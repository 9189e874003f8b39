"""Chapter 3 as it should fail: every return code of every call, provoked."""

import os
import select
import signal
import threading

import pytest

from drvs.compat.mnx import *
from support.covers import covers
from support.guide import IPC, SHORT_MS

ALL = (
    "mnx_send",
    "mnx_send_T",
    "mnx_reply",
    "mnx_reply_T",
    "mnx_receive",
    "mnx_receive_T",
    "mnx_rcvrqst",
    "mnx_rcvrqst_T",
    "mnx_sendrec",
    "mnx_sendrec_T",
    "mnx_notify",
    "mnx_vcopy",
)
NAMING_A_PEER = (
    "mnx_send",
    "mnx_send_T",
    "mnx_reply",
    "mnx_reply_T",
    "mnx_receive",
    "mnx_receive_T",
    "mnx_sendrec",
    "mnx_sendrec_T",
    "mnx_notify",
    "mnx_vcopy",
)
SENDING = (
    "mnx_send",
    "mnx_send_T",
    "mnx_reply",
    "mnx_reply_T",
    "mnx_sendrec",
    "mnx_sendrec_T",
    "mnx_notify",
    "mnx_vcopy",
)
RECEIVING = ("mnx_receive", "mnx_receive_T")
TAKING = ("mnx_receive", "mnx_receive_T", "mnx_rcvrqst", "mnx_rcvrqst_T")
BLOCKING = ("mnx_send", "mnx_receive", "mnx_rcvrqst", "mnx_sendrec")
REPLIES = ("mnx_reply", "mnx_reply_T")
INTERRUPTIBLE = (
    "mnx_send",
    "mnx_send_T",
    "mnx_receive",
    "mnx_receive_T",
    "mnx_rcvrqst",
    "mnx_rcvrqst_T",
    "mnx_sendrec",
    "mnx_sendrec_T",
)
TIMED = ("mnx_send_T", "mnx_receive_T", "mnx_rcvrqst_T", "mnx_sendrec_T")
WITH_A_MESSAGE = (
    "mnx_send",
    "mnx_send_T",
    "mnx_reply",
    "mnx_reply_T",
    "mnx_receive",
    "mnx_receive_T",
    "mnx_rcvrqst",
    "mnx_rcvrqst_T",
    "mnx_sendrec",
    "mnx_sendrec_T",
)


def make(call, peer):
    """Make a call; returns its code, which must be in mnx_errno too."""
    code = IPC[call](peer, message())
    assert mnx_errno() == code
    return code


@covers(ALL, "EMOLDRVSINIT")
@pytest.mark.parametrize("call", ALL)
def test_without_a_node_nothing_is_initialised(call):
    assert make(call, 5) == EMOLDRVSINIT


@covers(ALL, "EMOLDRVSINIT")
def test_after_drvs_end_nothing_is_initialised(lab):
    assert mnx_drvs_end() == OK
    try:
        assert {make(call, 5) for call in ALL} == {EMOLDRVSINIT}
    finally:
        lab.node.init()


@covers(ALL, "EMOLNOTBIND")
def test_a_process_that_is_not_bound_cannot_call(lab):
    assert {call: make(call, 5) for call in ALL} == dict.fromkeys(ALL, EMOLNOTBIND)


@covers(ALL, "EMOLNOTBIND")
def test_a_forked_child_is_not_bound(lab):
    def parent(me):
        pid = os.fork()
        if pid == 0:
            os._exit(all(make(call, 5) == EMOLNOTBIND for call in ALL))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert lab.bound(2, parent).result() == 1


@covers(ALL, "EMOLBADPROC")
def test_a_slot_that_is_not_itself_is_an_inconsistency(lab):
    child = lab.bound(2, lambda me: me.hear() and {call: make(call, 5) for call in ALL})
    lab.write_word("slot.self", 77, p_nr=2)
    child.tell("go")
    assert child.result() == dict.fromkeys(ALL, EMOLBADPROC)


@covers(ALL, "EMOLBADPID")
def test_a_slot_with_the_pid_of_another_is_an_inconsistency(lab):
    child = lab.bound(2, lambda me: me.hear() and {call: make(call, 5) for call in ALL})
    lab.write_word("slot.pid", 1, p_nr=2)
    child.tell("go")
    assert child.result() == dict.fromkeys(ALL, EMOLBADPID)


@covers(ALL, "EMOLBADVMID")
def test_a_damaged_vm_is_an_inconsistency(lab):
    child = lab.bound(2, lambda me: me.hear() and {call: make(call, 5) for call in ALL})
    lab.write_word("header.state", 0xDEAD)
    child.tell("go")
    assert child.result() == dict.fromkeys(ALL, EMOLBADVMID)


@covers(ALL, "EMOLVMNOTRUN")
def test_in_a_vm_that_has_ended_nothing_runs(lab):
    child = lab.bound(2, lambda me: me.hear() and {call: make(call, 5) for call in ALL})
    assert mnx_vm_end(lab.vmid) == OK
    child.tell("go")
    assert child.result() == dict.fromkeys(ALL, EMOLVMNOTRUN)


@covers(BLOCKING, "EMOLVMNOTRUN")
@pytest.mark.parametrize("call", BLOCKING)
def test_a_call_that_waits_ends_with_its_vm(lab, call):
    lab.bound(3, lambda me: me.hear())
    child = lab.bound(2, lambda me: make(call, 3))
    lab.wait_asleep(2)
    assert mnx_vm_end(lab.vmid) == OK
    assert child.result() == EMOLVMNOTRUN


@covers(NAMING_A_PEER, "EMOLENDPOINT")
def test_nobody_talks_to_himself(lab):
    child = lab.bound(2, lambda me: {call: make(call, 2) for call in NAMING_A_PEER})
    assert child.result() == dict.fromkeys(NAMING_A_PEER, EMOLENDPOINT)


@covers(SENDING, "EMOLENDPOINT")
@pytest.mark.parametrize("endpoint", [ANY, NONE, 20_000, 2**40], ids=["ANY", "NONE", "no slot", "no int"])
def test_nobody_sends_to_what_cannot_be_an_endpoint(lab, endpoint):
    child = lab.bound(2, lambda me: {call: make(call, endpoint) for call in SENDING})
    assert child.result() == dict.fromkeys(SENDING, EMOLENDPOINT)


@covers(SENDING, "EMOLDSTDIED")
def test_a_destination_that_is_not_bound_any_more_has_died(lab):
    gone = lab.ended_slot(60)
    child = lab.bound(2, lambda me: {call: make(call, gone) for call in SENDING})
    assert child.result() == dict.fromkeys(SENDING, EMOLDSTDIED)


@covers(SENDING, "EMOLDSTDIED")
def test_the_endpoint_of_an_earlier_owner_has_died_although_its_slot_is_bound(lab):
    earlier = lab.ended_slot(60)
    lab.bound(60, lambda me: me.hear())
    child = lab.bound(2, lambda me: {call: make(call, earlier) for call in SENDING})
    assert child.result() == dict.fromkeys(SENDING, EMOLDSTDIED)


@covers(("mnx_send", "mnx_send_T", "mnx_sendrec", "mnx_sendrec_T"), "EMOLDSTDIED")
@pytest.mark.parametrize("call", ["mnx_send", "mnx_send_T", "mnx_sendrec", "mnx_sendrec_T"])
@pytest.mark.parametrize("how", ["unbinds", "exits", "is killed"])
def test_who_waits_to_send_learns_of_the_death_of_the_destination(lab, call, how):
    def destination(me):
        me.hear()
        if how == "unbinds":
            assert mnx_unbind(lab.vmid, 3) == OK
            me.hear()

    dying = lab.bound(3, destination)
    child = lab.bound(2, lambda me: make(call, 3))
    lab.wait_rts(2, RTS_FLAGS["SENDING"])
    dying.kill() if how == "is killed" else dying.tell()
    assert child.result() == EMOLDSTDIED


@covers(RECEIVING, "EMOLSRCDIED")
def test_a_source_that_is_not_bound_any_more_has_died(lab):
    gone = lab.ended_slot(60)
    child = lab.bound(2, lambda me: {call: make(call, gone) for call in RECEIVING})
    assert child.result() == dict.fromkeys(RECEIVING, EMOLSRCDIED)


@covers(RECEIVING, "EMOLSRCDIED")
@pytest.mark.parametrize("call", RECEIVING)
def test_who_waits_to_receive_learns_of_the_death_of_the_source(lab, call):
    dying = lab.bound(3, lambda me: me.hear())
    child = lab.bound(2, lambda me: make(call, 3))
    lab.wait_rts(2, RTS_FLAGS["RECEIVING"])
    dying.kill()
    assert child.result() == EMOLSRCDIED


def test_who_waits_for_an_answer_learns_of_the_death_of_the_server(lab):
    server = lab.bound(3, lambda me: (mnx_rcvrqst(message()), me.hear()))
    child = lab.bound(2, lambda me: make("mnx_sendrec", 3))
    lab.wait_rts(2, RTS_FLAGS["RECEIVING"], whole=True)
    server.kill()
    assert child.result() == EMOLSRCDIED


@covers(RECEIVING, "EMOLRANGE")
def test_a_source_that_no_slot_can_have_is_out_of_range(lab):
    child = lab.bound(2, lambda me: {call: make(call, 20_000) for call in RECEIVING})
    assert child.result() == dict.fromkeys(RECEIVING, EMOLRANGE)


@covers(ALL, "EMOLNOTREADY")
def test_a_second_call_on_the_same_endpoint_is_not_ready(lab):
    def program(me):
        waiting = threading.Thread(target=lambda: mnx_receive(ANY, message()))
        waiting.start()
        me.hear()
        codes = {call: make(call, 3) for call in ALL}
        assert mnx_wakeup(lab.vmid, 2) == OK
        waiting.join()
        return codes

    lab.bound(3, lambda me: me.hear())
    child = lab.bound(2, program)
    lab.wait_rts(2, RTS_FLAGS["RECEIVING"])
    child.tell()
    assert child.result() == dict.fromkeys(ALL, EMOLNOTREADY)


@covers(TIMED, "EMOLTIMEDOUT")
def test_a_timed_call_ends_with_its_time(lab):
    def program(me):
        m = message()
        return {
            "mnx_send_T": mnx_send_T(3, m, SHORT_MS),
            "mnx_receive_T": mnx_receive_T(ANY, m, SHORT_MS),
            "mnx_rcvrqst_T": mnx_rcvrqst_T(m, SHORT_MS),
            "mnx_sendrec_T": mnx_sendrec_T(3, m, SHORT_MS),
        }

    lab.bound(3, lambda me: me.hear())
    assert lab.bound(2, program).result() == dict.fromkeys(TIMED, EMOLTIMEDOUT)


@covers("mnx_reply_T", "EMOLTIMEDOUT")
def test_even_a_reply_ends_with_its_time_while_a_stopped_process_holds_the_vm(lab):
    child = lab.bound(2, lambda me: me.hear() and mnx_reply_T(3, message(), SHORT_MS))
    with lab.lock_held():
        child.tell("go")
        assert child.result() == EMOLTIMEDOUT


def test_a_timed_call_with_nowait_that_would_wait_says_again(lab):
    def program(me):
        m = message()
        return [
            mnx_send_T(3, m, TIMEOUT_NOWAIT),
            mnx_receive_T(ANY, m, TIMEOUT_NOWAIT),
            mnx_rcvrqst_T(m, TIMEOUT_NOWAIT),
            mnx_sendrec_T(3, m, TIMEOUT_NOWAIT),
        ]

    lab.bound(3, lambda me: me.hear())
    assert lab.bound(2, program).result() == [EMOLAGAIN] * 4


def signal_until_it_ends(child):
    """-ERESTARTSYS is promised to a call that sleeps: a signal may also find it between two looks."""
    while child.alive:
        child.send_signal(signal.SIGUSR2)
        select.select([child.pidfd], [], [], 0.05)


@covers(INTERRUPTIBLE, "-ERESTARTSYS")
@pytest.mark.parametrize("call", INTERRUPTIBLE)
def test_a_signal_runs_its_handler_and_ends_the_call(lab, call):
    def program(me):
        handled = []
        signal.signal(signal.SIGUSR2, lambda *_: handled.append(signal.SIGUSR2))
        me.say("ready")
        code = make(call, 3)
        return code, len(handled) > 0, mnx_receive_T(ANY, message(), TIMEOUT_NOWAIT)

    lab.bound(3, lambda me: me.hear())
    child = lab.bound(2, program)
    child.wait_line("ready")
    lab.wait_asleep(2)
    signal_until_it_ends(child)
    assert child.result() == (-ERESTARTSYS, True, EMOLAGAIN)


@covers(REPLIES, "-ERESTARTSYS")
@pytest.mark.parametrize("call", REPLIES)
def test_a_signal_ends_a_reply_that_waits_for_a_stopped_process(lab, call):
    def program(me):
        signal.signal(signal.SIGUSR2, lambda *_: None)
        me.hear()
        me.say("going")
        return make(call, 3)

    child = lab.bound(2, program)
    with lab.lock_held():
        child.tell()
        child.wait_line("going")
        with open(f"/proc/{child.pid}/wchan") as wchan:
            while "futex" not in wchan.read():
                wchan.seek(0)
        signal_until_it_ends(child)
        assert child.result() == -ERESTARTSYS


def test_an_exception_of_the_handler_ends_the_call_and_goes_on(lab):
    def program(me):
        def handler(number, _):
            raise KeyError(number)

        signal.signal(signal.SIGUSR2, handler)
        me.say("ready")
        try:
            mnx_receive(ANY, message())
        except KeyError:
            return mnx_receive_T(ANY, message(), TIMEOUT_NOWAIT)

    child = lab.bound(2, program)
    child.wait_line("ready")
    lab.wait_asleep(2)
    child.send_signal(signal.SIGUSR2)
    assert child.result() == EMOLAGAIN


@covers(WITH_A_MESSAGE, "EMOLMSGSIZE")
@pytest.mark.parametrize(
    "wrong",
    [None, 0, bytearray(63), bytearray(65), bytes(64), "text"],
    ids=["None", "NULL", "63", "65", "const", "str"],
)
def test_what_is_no_message_of_64_bytes_is_not_copied(lab, wrong):
    child = lab.bound(2, lambda me: {call: IPC[call](3, wrong) for call in WITH_A_MESSAGE})
    assert child.result() == dict.fromkeys(WITH_A_MESSAGE, EMOLMSGSIZE)


@covers(TAKING, "EMOLPROCSTS")
@pytest.mark.parametrize("call", TAKING)
def test_a_queued_sender_that_is_not_sending_is_an_inconsistency(lab, call):
    child = lab.bound(2, lambda me: me.hear() and make(call, ANY))
    send = mnx_sendrec if "rqst" in call else mnx_send
    lab.bound(3, lambda me: send(2, message()))
    lab.wait_rts(3, RTS_FLAGS["SENDING"])
    lab.write_word("slot.rts", 0, p_nr=3)
    child.tell("go")
    assert child.result() == EMOLPROCSTS


@pytest.mark.parametrize("call", REPLIES)
def test_a_reply_to_one_who_does_not_wait_for_it_never_queues(lab, call):
    lab.bound(3, lambda me: me.hear())
    lab.bound(4, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(4, RTS_FLAGS["RECEIVING"])
    child = lab.bound(2, lambda me: [make(call, 3), make(call, 4)])
    assert child.result() == [EMOLPROCSTS, EMOLPROCSTS]
