"""The end of a binding, and waiting for one (guide 4.1.8, 4.1.9)."""

import os
import signal

import pytest

from drvs import core
from drvs.compat.mnx import *
from support.children import spawn
from support.covers import covers
from support.guide import SHORT_MS, TIME_MS, new_lab
from support.users import as_nobody

GEN_SIZE = NR_TASKS + SELF + 1


# ---- unbinding


@covers("mnx_unbind", "OK")
def test_a_process_unbinds_itself_and_can_bind_again(lab):
    def program(me):
        codes = [mnx_unbind(lab.vmid, me.endpoint), mnx_notify(2), mnx_bind(lab.vmid, 6), mnx_unbind(lab.vmid, SELF)]
        return [*codes, mnx_getep(os.getpid())]

    assert lab.bound(5, program).result() == [OK, EMOLNOTBIND, 6, OK, EMOLNOTBIND]


@covers("mnx_unbind", "OK")
def test_a_process_that_another_unbinds_leaves_its_call_and_gets_sigpipe(lab):
    def program(me):
        heard = []
        signal.signal(signal.SIGPIPE, lambda number, _: heard.append(number))
        me.say("ready")
        codes = [mnx_receive(ANY, message())]
        while not heard:
            signal.sigtimedwait([], 0.01)
        return [*codes, mnx_receive(ANY, message()), mnx_bind(lab.vmid, 6)]

    child = lab.bound(5, program)
    child.wait_line("ready")
    lab.wait_rts(5, RTS_FLAGS["RECEIVING"])
    assert mnx_unbind(lab.vmid, 5) == OK
    first, *rest = child.result()
    assert first in (EMOLSHUTDOWN, -ERESTARTSYS)
    assert rest == [EMOLNOTBIND, 6]


@covers("mnx_unbind", "-EPERM")
@pytest.mark.root
def test_strangers_may_not_unbind_others(lab):
    lab.bound(5, lambda me: me.hear())
    assert as_nobody(mnx_unbind, lab.vmid, 5) == -EPERM


@covers("mnx_unbind", "EMOLDRVSINIT")
def test_without_a_node_nobody_is_unbound():
    assert mnx_unbind(0, 5) == EMOLDRVSINIT


@covers("mnx_unbind", "EMOLVMNOTRUN", "EMOLINVAL", "EMOLNOTBIND", "EMOLENDPOINT")
def test_only_what_is_bound_is_unbound(lab):
    assert mnx_unbind(9, 5) == EMOLVMNOTRUN
    assert mnx_unbind(NR_VMS, 5) == EMOLINVAL
    assert mnx_unbind(lab.vmid, 5) == EMOLNOTBIND
    assert mnx_unbind(lab.vmid, lab.ended_slot(60)) == EMOLNOTBIND
    assert mnx_unbind(lab.vmid, 20_000) == EMOLENDPOINT


@covers("mnx_unbind_T", "OK", "EMOLTIMEDOUT")
def test_an_endpoint_in_a_copy_is_unbound_when_the_copy_ends(lab):
    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])
    lab.bound(5, lambda me: me.hear())
    region = core.Region(lab.descriptor())
    slot = region.decode(5)
    assert region.copy_begin(slot, 3, 5, 1)[0] == OK
    assert mnx_unbind_T(lab.vmid, 3, TIMEOUT_NOWAIT) == EMOLAGAIN
    assert mnx_unbind_T(lab.vmid, 3, SHORT_MS) == EMOLTIMEDOUT
    assert region.copy_end(slot)[0] == OK
    assert mnx_unbind_T(lab.vmid, 3, TIME_MS) == OK


@pytest.mark.parametrize("how", ["exits", "is killed", "aborts"])
def test_a_process_that_ends_is_unbound(lab, how):
    def program(me):
        me.hear()
        if how == "aborts":
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
            os.abort()

    child = lab.bound(40, program)
    endpoint = lab.vm.process(40).endpoint
    child.kill() if how == "is killed" else child.tell()
    lab.vm.wait_unbound(endpoint, 20)
    assert lab.bound(40, lambda me: me.endpoint).result() == endpoint + GEN_SIZE


def test_pending_notifications_go_with_their_sender(lab):
    def receiver(me):
        me.hear()
        return mnx_receive_T(ANY, message(), TIMEOUT_NOWAIT)

    server = lab.bound(2, receiver)
    assert lab.bound(3, lambda me: [mnx_notify(2), mnx_unbind(lab.vmid, 3)]).result() == [OK, OK]
    server.tell()
    assert server.result() == EMOLAGAIN


# ---- waiting for bindings


@covers("mnx_wait4bind", "EMOLDRVSINIT")
@covers("mnx_wait4bind_T", "EMOLDRVSINIT")
def test_without_a_node_there_is_nothing_to_wait_for():
    assert mnx_wait4bind() == EMOLDRVSINIT
    assert mnx_wait4bind_T(SHORT_MS) == EMOLDRVSINIT


@covers("mnx_wait4bind_T", "EMOLTIMEDOUT")
@covers(("mnx_wait4bindep_T", "mnx_wait4unbind_T"), "EMOLTIMEDOUT")
def test_timed_waits_end_with_their_time(lab):
    assert mnx_wait4bind_T(SHORT_MS) == EMOLTIMEDOUT
    assert mnx_wait4bind_T(TIMEOUT_NOWAIT) == EMOLAGAIN
    child = lab.bound(5, lambda me: [mnx_wait4bindep_T(6, SHORT_MS), mnx_wait4unbind_T(5, SHORT_MS)])
    assert child.result() == [EMOLTIMEDOUT, EMOLTIMEDOUT]


@covers(("mnx_wait4bindep", "mnx_wait4bindep_T", "mnx_wait4unbind", "mnx_wait4unbind_T"), "OK")
def test_a_process_waits_for_another_to_bind_and_to_unbind(lab):
    def program(me, bind, unbind):
        me.say(bind())
        return unbind()

    waits = [
        lab.bound(5, program, lambda: mnx_wait4bindep(7), lambda: mnx_wait4unbind(7)),
        lab.bound(6, program, lambda: mnx_wait4bindep_T(7, TIME_MS), lambda: mnx_wait4unbind_T(7, TIME_MS)),
    ]
    child = lab.bound(7, lambda me: me.hear())
    for waiting in waits:
        waiting.wait_line("7")
    child.kill()
    assert [waiting.result() for waiting in waits] == [OK, OK]


@covers(("mnx_wait4bindep", "mnx_wait4unbind"), "EMOLNOTBIND")
def test_only_the_bound_wait_for_others(lab):
    assert [mnx_wait4bindep(5), mnx_wait4unbind(5)] == [EMOLNOTBIND, EMOLNOTBIND]


def test_wait4bindep_of_self_is_wait4bind(lab):
    child = spawn(lambda me: mnx_wait4bindep_T(SELF, TIME_MS))
    endpoint = mnx_lclbind(lab.vmid, child.pid, 40)
    assert child.result() == endpoint


# ---- bound again


def test_a_process_that_was_unbound_and_bound_anew_by_others_calls_by_its_new_endpoint(lab):
    def program(me):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        codes = [mnx_notify(2)]
        me.say("first")
        me.hear()
        codes.append(mnx_notify(2))
        me.say("none")
        me.hear()
        codes.append(mnx_notify(2))
        return codes

    lab.bound(2, lambda me: me.hear())
    child = lab.bound(5, program)
    child.wait_line("first")
    assert mnx_unbind(lab.vmid, 5) == OK
    child.tell()
    child.wait_line("none")
    assert mnx_lclbind(lab.vmid, child.pid, 6) == 6
    child.tell()
    assert child.result() == [OK, EMOLNOTBIND, OK]


def test_a_process_whose_vm_ended_can_be_bound_into_another(lab):
    def program(me):
        me.hear()
        ended = mnx_notify(2)
        return ended, mnx_bind(other.vmid, 5), mnx_notify(2)

    with new_lab(lab.node, "other") as other:
        child = lab.bound(5, program)
        other.bound(2, lambda me: me.hear())
        assert mnx_vm_end(lab.vmid) == OK
        child.tell()
        assert child.result() == (EMOLVMNOTRUN, 5, OK)
