"""Looking at processes and setting their privileges (guide 4.1.11, 4.1.13 to 4.1.15)."""

import time

import pytest

from drvs.compat.mnx import *
from support.covers import covers
from support.guide import TIME_MS
from support.users import as_nobody

PRIVILEGES = ("mnx_setpriv", "mnx_getpriv")


def privileges(vmid, endpoint, **changes):
    """Change some privileges of an endpoint, and return the structure."""
    priv = priv_usr_t()
    assert mnx_getpriv(vmid, endpoint, priv) == OK
    for name, value in changes.items():
        setattr(priv, name, value)
    assert mnx_setpriv(vmid, endpoint, priv) == OK
    return priv


def only(*bits):
    """A map with these bits."""
    chosen = sys_map_t()
    chosen.assign(sum(1 << bit for bit in bits))
    return chosen


# ---- getprocinfo, proc_dump


@covers("mnx_getprocinfo", "OK")
def test_a_process_is_described(lab):
    child = lab.bound(2, lambda me: me.hear())
    info = proc_usr_t()
    assert mnx_getprocinfo(lab.vmid, 2, info) == OK
    assert (info.p_nr, info.p_endpoint, info.p_vmid, info.p_rts_flags, info.p_nodeid) == (2, 2, lab.vmid, 0, 0)
    assert (info.p_getfrom, info.p_sendto, info.p_waitmigr, info.p_nodemap) == (NONE, NONE, NONE, 1)
    assert (info.p_lpid, info.p_misc_flags) == (child.pid, MISC_FLAGS["LEADER"])


@covers("mnx_getprocinfo", "OK")
@pytest.mark.parametrize(
    ("call", "flags", "getfrom", "sendto"),
    [
        (lambda: mnx_send(2, message()), "SENDING", NONE, 2),
        (lambda: mnx_sendrec(2, message()), "both", 2, 2),
        (lambda: mnx_receive(2, message()), "RECEIVING", 2, NONE),
        (lambda: mnx_receive(ANY, message()), "RECEIVING", ANY, NONE),
        (lambda: mnx_rcvrqst(message()), "RECEIVING", ANY, NONE),
    ],
    ids=["send", "sendrec", "receive", "receive any", "rcvrqst"],
)
def test_what_a_process_waits_for_is_described(lab, call, flags, getfrom, sendto):
    lab.bound(2, lambda me: me.hear())
    child = lab.bound(40, lambda me: call())
    expected = 12 if flags == "both" else RTS_FLAGS[flags]
    lab.wait_rts(40, expected, whole=True)
    info = proc_usr_t()
    assert mnx_getprocinfo(lab.vmid, 40, info) == OK
    assert (info.p_rts_flags, info.p_getfrom, info.p_sendto, info.p_lpid) == (expected, getfrom, sendto, child.pid)


@covers("mnx_getprocinfo", "OK")
def test_a_free_slot_is_described_as_free(lab):
    info = proc_usr_t()
    assert mnx_getprocinfo(lab.vmid, 40, info) == OK
    assert info.p_rts_flags & RTS_FLAGS["FREE"]
    assert info.p_lpid == PROC_NO_PID


@covers("mnx_getprocinfo", "EMOLDRVSINIT")
@covers("mnx_proc_dump", "EMOLDRVSINIT")
@covers(PRIVILEGES, "EMOLDRVSINIT")
def test_without_a_node_there_are_no_processes():
    assert mnx_getprocinfo(0, 5, proc_usr_t()) == EMOLDRVSINIT
    assert mnx_proc_dump(0) == EMOLDRVSINIT
    assert mnx_setpriv(0, 5, priv_usr_t()) == EMOLDRVSINIT
    assert mnx_getpriv(0, 5, priv_usr_t()) == EMOLDRVSINIT


@covers("mnx_getprocinfo", "EMOLINVAL", "EMOLVMNOTRUN", "EMOLBADPROC")
def test_only_slots_of_running_vms_are_described(lab):
    info = proc_usr_t()
    assert mnx_getprocinfo(NR_VMS, 5, info) == EMOLINVAL
    assert mnx_getprocinfo(-1, 5, info) == EMOLINVAL
    assert mnx_getprocinfo(lab.vmid, 5, None) == EMOLINVAL
    assert mnx_getprocinfo(9, 5, info) == EMOLVMNOTRUN
    assert mnx_getprocinfo(lab.vmid, NR_PROCS, info) == EMOLBADPROC
    assert mnx_getprocinfo(lab.vmid, -NR_TASKS - 1, info) == EMOLBADPROC


@covers("mnx_getprocinfo", "-EPERM")
@covers(PRIVILEGES, "-EPERM")
@pytest.mark.root
def test_strangers_may_not_look_at_processes(lab):
    lab.bound(5, lambda me: me.hear())
    calls = as_nobody(
        lambda: [
            mnx_getprocinfo(lab.vmid, 5, proc_usr_t()),
            mnx_setpriv(lab.vmid, 5, priv_usr_t()),
            mnx_getpriv(lab.vmid, 5, priv_usr_t()),
        ]
    )
    assert calls == [-EPERM] * 3


@covers("mnx_proc_dump", "OK")
def test_processes_are_dumped_into_the_log_in_the_guides_columns(lab):
    lab.bound(2, lambda me: me.hear())
    child = lab.bound(40, lambda me: mnx_send(2, message()))
    lab.wait_rts(40, RTS_FLAGS["SENDING"])
    assert mnx_proc_dump(lab.vmid) == OK
    text = "\n".join(lab.node.client.call("log")["lines"])
    assert "VMID\tNR\tENDP\tLPID\tNODE\tFLAGS\tGETF\tSNDT\tWITM" in text
    endpoint = lab.vm.process(40).endpoint
    assert f"{lab.vmid}\t40\t{endpoint}\t{child.pid}\t0\t4\t{NONE}\t2\t{NONE}" in text


@covers("mnx_proc_dump", "EMOLBADVMID", "EMOLVMNOTRUN")
def test_only_running_vms_are_dumped(node):
    assert mnx_proc_dump(NR_VMS) == EMOLBADVMID
    assert mnx_proc_dump(9) == EMOLVMNOTRUN


# ---- setpriv, getpriv


@covers(PRIVILEGES, "OK")
def test_fresh_privileges_are_all_ones_and_what_is_set_is_got(lab):
    lab.bound(5, lambda me: me.hear())
    fresh = priv_usr_t()
    assert mnx_getpriv(lab.vmid, 5, fresh) == OK
    assert (fresh.s_trap_mask, fresh.s_call_mask, fresh.s_warn, fresh.s_level) == (-1, -1, NONE, USER_PRIV)
    assert int(fresh.s_ipc_from) == int(fresh.s_ipc_to) == (1 << NR_SYS_PROCS) - 1
    asked = privileges(
        lab.vmid,
        5,
        s_id=9,
        s_warn=3,
        s_level=SERVER_PRIV,
        s_trap_mask=0x00F6,
        s_call_mask=0x7FFF,
        s_ipc_from=only(1, 95),
        s_ipc_to=only(0),
    )
    seen = priv_usr_t()
    assert mnx_getpriv(lab.vmid, 5, seen) == OK
    assert bytes(seen) == bytes(asked)


@covers("mnx_setpriv", "EMOLBADPROC", "EMOLVMNOTRUN")
@covers("mnx_getpriv", "EMOLBADPROC", "EMOLVMNOTRUN", "EMOLDSTDIED")
def test_only_bound_endpoints_have_privileges(lab):
    gone = lab.ended_slot(60)
    priv = priv_usr_t()
    assert mnx_getpriv(lab.vmid, 20_000, priv) == EMOLBADPROC
    assert mnx_getpriv(lab.vmid, gone, priv) == EMOLDSTDIED
    assert mnx_getpriv(9, 5, priv) == EMOLVMNOTRUN
    assert mnx_setpriv(lab.vmid, 20_000, priv) == EMOLBADPROC
    assert mnx_setpriv(lab.vmid, gone, priv) == EMOLBADPROC
    assert mnx_setpriv(9, 5, priv) == EMOLVMNOTRUN
    assert [mnx_getpriv(lab.vmid, gone, None), mnx_setpriv(lab.vmid, gone, None)] == [EMOLINVAL, EMOLINVAL]


@covers("mnx_setpriv", "EMOLRANGE")
@pytest.mark.parametrize("wrong", [{"s_id": -1}, {"s_id": NR_SYS_PROCS}, {"s_warn": NR_PROCS}, {"s_level": 6}], ids=str)
def test_privileges_out_of_range_are_refused(lab, wrong):
    lab.bound(5, lambda me: me.hear())
    priv = priv_usr_t()
    assert mnx_getpriv(lab.vmid, 5, priv) == OK
    for name, value in wrong.items():
        setattr(priv, name, value)
    assert mnx_setpriv(lab.vmid, 5, priv) == EMOLRANGE


def test_a_trap_that_is_not_allowed_is_denied(lab):
    def program(me):
        me.hear()
        m = message()
        return [
            mnx_send_T(3, m, TIMEOUT_NOWAIT),
            mnx_notify(3),
            mnx_receive_T(ANY, m, TIMEOUT_NOWAIT),
            mnx_sendrec(3, m),
        ]

    lab.bound(3, lambda me: me.hear())
    child = lab.bound(5, program)
    privileges(lab.vmid, 5, s_trap_mask=1 << CALL_NUMBERS["RECEIVE"] | 1 << CALL_NUMBERS["NOTIFY"])
    child.tell()
    assert child.result() == [EMOLTRAPDENIED, OK, EMOLAGAIN, EMOLTRAPDENIED]


def test_a_call_that_is_not_allowed_is_denied(lab):
    def program(me):
        me.hear()
        return [mnx_vcopy(SELF, 0, 3, 0, 0), mnx_getep(1), mnx_notify(3)]

    lab.bound(3, lambda me: me.hear())
    child = lab.bound(5, program)
    privileges(lab.vmid, 5, s_call_mask=0)
    child.tell()
    assert child.result() == [EMOLTRAPDENIED, EMOLTRAPDENIED, OK]


def test_whom_a_process_may_send_to_and_receive_from_is_enforced(lab):
    def program(me):
        me.hear()
        m = message()
        return [mnx_send_T(3, m, TIMEOUT_NOWAIT), mnx_send_T(4, m, TIMEOUT_NOWAIT), mnx_receive_T(4, m, TIMEOUT_NOWAIT)]

    for p_nr in (3, 4):
        lab.bound(p_nr, lambda me: me.hear())
        privileges(lab.vmid, p_nr, s_id=p_nr)
    child = lab.bound(5, program)
    privileges(lab.vmid, 5, s_ipc_to=only(3), s_ipc_from=only(3))
    child.tell()
    assert child.result() == [EMOLAGAIN, EMOLCALLDENIED, EMOLCALLDENIED]


def test_a_process_is_warned_when_the_one_it_looks_after_exits(lab):
    def guardian(me):
        m = message()
        return mnx_receive_T(ANY, m, TIME_MS), m.m_source, m.m_type

    looking = lab.bound(3, guardian)
    child = lab.bound(5, lambda me: me.hear())
    privileges(lab.vmid, 5, s_warn=3)
    child.kill()
    assert looking.result() == (OK, 5, NOTIFY_FROM(5))


def test_an_alarm_is_a_notification(lab):
    child = lab.bound(5, lambda me, m: (mnx_receive_T(ANY, m, TIME_MS), m.m_source), message())
    priv = priv_usr_t()
    assert mnx_getpriv(lab.vmid, 5, priv) == OK
    priv.s_alarm_timer.tmr_exp_time = int((time.monotonic() + 0.05) * MINIX_HZ)
    assert mnx_setpriv(lab.vmid, 5, priv) == OK
    code, source = child.result()
    assert code == OK
    assert source < 0  # a task of the kernel's
