"""Binding and unbinding (guide 4.1.7 to 4.1.9): endpoints, slots, rights, and who learns of the end."""

import os
import sys
import threading

import pytest

from drvs.compat.mnx import *
from support.children import spawn
from support.covers import covers
from support.guide import TIME_MS, new_lab
from support.users import as_nobody, spawn_as_nobody

BINDS = ("mnx_bind", "mnx_lclbind", "mnx_rmtbind", "mnx_bkupbind")
GEN_SIZE = NR_TASKS + SELF + 1


def binds(vmid, pid, p_nr, node=1):
    """Make each of the four binding calls, for one slot."""
    return {
        "mnx_bind": mnx_bind(vmid, p_nr),
        "mnx_lclbind": mnx_lclbind(vmid, pid, p_nr),
        "mnx_rmtbind": mnx_rmtbind(vmid, "far", p_nr, node),
        "mnx_bkupbind": mnx_bkupbind(vmid, pid, p_nr, node),
    }


# ---- endpoints


@covers("mnx_bind", "OK")
@pytest.mark.parametrize("p_nr", [-67, -1, 0, 5, 28])
def test_the_endpoint_of_a_system_slot_is_its_process_number(lab, p_nr):
    child = lab.bound(p_nr, lambda me: (me.endpoint, mnx_errno(), mnx_getep(os.getpid())))
    assert child.result() == (p_nr, OK, p_nr)


@covers("mnx_bind", "OK")
def test_a_user_slot_gets_a_new_generation_at_each_bind(lab):
    seen = []
    for _ in range(3):
        seen.append(lab.bound(29, lambda me: me.endpoint).result())
        lab.vm.wait_unbound(seen[-1], 20)
    assert seen == [GEN_SIZE + 29, 2 * GEN_SIZE + 29, 3 * GEN_SIZE + 29]


@covers("mnx_lclbind", "OK")
@covers("mnx_wait4bind", "OK")
def test_a_process_bound_by_another_meets_its_endpoint_in_wait4bind(lab):
    child = spawn(lambda me: (mnx_wait4bind(), mnx_errno(), mnx_wait4bind()))
    endpoint = mnx_lclbind(lab.vmid, child.pid, 40)
    assert endpoint == GEN_SIZE + 40
    assert child.result() == (endpoint, OK, endpoint)


@covers("mnx_lclbind", "OK")
def test_a_process_bound_by_another_may_call_at_once(lab):
    child = spawn(lambda me: me.hear() and mnx_notify(2))
    server = lab.bound(2, lambda me, m: (mnx_receive(ANY, m), m.m_source), message())
    endpoint = mnx_lclbind(lab.vmid, child.pid, 40)
    child.tell("go")
    assert child.result() == OK
    assert server.result() == (OK, endpoint)


@pytest.mark.root
def test_an_ordinary_users_process_is_bound_by_root(lab):
    def ordinary(me):
        assert mnx_bind(lab.vmid, 41) == -EPERM
        me.say("refused")
        endpoint = mnx_wait4bind()
        m = message(m_type=3)
        return endpoint, mnx_sendrec(2, m), m.m_type

    def serve(me):
        m = message()
        assert mnx_rcvrqst(m) == OK
        m.m_type += 1
        return mnx_reply(m.m_source, m)

    server = lab.bound(2, serve)
    child = spawn_as_nobody(ordinary)
    child.wait_line("refused")
    endpoint = mnx_lclbind(lab.vmid, child.pid, 40)
    assert child.result() == (endpoint, OK, 4)
    assert server.result() == OK


def test_a_program_keeps_its_endpoint_over_an_exec(lab):
    program = "from drvs.compat.mnx import *; import sys; sys.exit(mnx_wait4bind_T(5000) != int(sys.argv[1]))"

    def exec_it(me):
        os.execv(sys.executable, [sys.executable, "-c", program, str(me.endpoint)])

    child = lab.bound(40, exec_it)
    assert child.wait() == 0


def test_a_forked_child_can_bind_itself(lab):
    def parent(me):
        pid = os.fork()
        if pid == 0:
            os._exit(mnx_bind(lab.vmid, 5) == 5 and mnx_notify(4) == OK)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        return mnx_getep(os.getpid())

    assert lab.bound(4, parent).result() == 4


# ---- refusals


@covers(BINDS, "EMOLDRVSINIT")
def test_without_a_node_nobody_is_bound():
    assert binds(0, os.getpid(), 5) == dict.fromkeys(BINDS, EMOLDRVSINIT)


@covers(BINDS, "-EPERM")
@pytest.mark.root
def test_strangers_may_not_bind(lab):
    assert as_nobody(binds, lab.vmid, os.getpid(), 5) == dict.fromkeys(BINDS, -EPERM)


@covers(BINDS, "EMOLINVAL")
@pytest.mark.parametrize("vmid", [-1, NR_VMS, 2**31 - 1])
def test_a_vm_number_out_of_range_is_not_valid(node, vmid):
    assert binds(vmid, os.getpid(), 5) == dict.fromkeys(BINDS, EMOLINVAL)


@covers(BINDS, "EMOLVMNOTRUN")
def test_a_vm_that_does_not_run_takes_nobody(node):
    assert binds(9, os.getpid(), 5) == dict.fromkeys(BINDS, EMOLVMNOTRUN)


@covers(("mnx_bind", "mnx_lclbind"), "EMOLRANGE")
@pytest.mark.parametrize("p_nr", [-NR_TASKS - 1, NR_PROCS, 100_000])
def test_a_process_number_that_the_vm_does_not_have_is_out_of_range(lab, p_nr):
    assert mnx_bind(lab.vmid, p_nr) == EMOLRANGE
    assert mnx_lclbind(lab.vmid, os.getpid(), p_nr) == EMOLRANGE


@covers(("mnx_rmtbind", "mnx_bkupbind"), "EMOLRANGE")
@pytest.mark.parametrize("node_id", [-1, 0, NR_NODES])
def test_another_node_must_be_another_and_in_range(lab, node_id):
    assert mnx_rmtbind(lab.vmid, "far", 5, node_id) == EMOLRANGE
    assert mnx_bkupbind(lab.vmid, os.getpid(), 5, node_id) == EMOLRANGE


@covers(BINDS, "EMOLBUSY")
def test_a_slot_has_one_owner(lab):
    lab.bound(5, lambda me: me.hear())
    child = lab.unbound(lambda me: binds(lab.vmid, os.getpid(), 5))
    assert child.result() == dict.fromkeys(BINDS, EMOLBUSY)


@covers("mnx_bind", "EMOLBUSY")
def test_a_process_binds_once(lab):
    assert lab.bound(5, lambda me: mnx_bind(lab.vmid, 6)).result() == EMOLBUSY


@covers("mnx_bind", "EMOLBADPROC")
def test_a_process_belongs_to_one_vm(lab):
    with new_lab(lab.node, "other") as other:
        assert lab.bound(5, lambda me: mnx_bind(other.vmid, 6)).result() == EMOLBADPROC


@covers(("mnx_lclbind", "mnx_bkupbind"), "EMOLBADPROC")
@pytest.mark.parametrize("pid", ["dead", 0, -1, 2**22])
def test_only_a_process_that_runs_can_be_bound(lab, pid):
    if pid == "dead":
        child = spawn(lambda me: None)
        child.result()
        pid = child.pid
    assert mnx_lclbind(lab.vmid, pid, 5) == EMOLBADPROC
    if lab.vm.info().nodes == 1:
        assert mnx_bkupbind(lab.vmid, pid, 5, 1) in (EMOLBADPROC, EMOLNOVMNODE)


@covers(("mnx_rmtbind", "mnx_bkupbind"), "EMOLBADPROC")
def test_a_remote_endpoint_must_be_one_that_a_slot_can_have(lab):
    assert mnx_rmtbind(lab.vmid, "far", 20_000, 1) == EMOLBADPROC
    assert mnx_bkupbind(lab.vmid, os.getpid(), 20_000, 1) == EMOLBADPROC


@covers(("mnx_rmtbind", "mnx_bkupbind"), "EMOLNOVMNODE")
def test_a_remote_process_needs_a_node_that_runs_the_vm(lab):
    assert mnx_rmtbind(lab.vmid, b"far", 5, 1) == EMOLNOVMNODE
    assert mnx_bkupbind(lab.vmid, os.getpid(), 5, 1) == EMOLNOVMNODE


@covers(("mnx_rmtbind", "mnx_bkupbind"), "EMOLNOPROXY")
def test_a_remote_process_needs_a_node_with_proxies(node):
    reply = node.client.call("vm_init", name="wide", nodes=0b11)
    try:
        assert mnx_rmtbind(reply["vmid"], "far", 5, 1) == EMOLNOPROXY
        assert mnx_bkupbind(reply["vmid"], os.getpid(), 5, 1) == EMOLNOPROXY
    finally:
        mnx_vm_end(reply["vmid"])


# ---- threads


@covers("mnx_tbind", "OK")
def test_a_thread_has_its_own_endpoint_and_the_others_share_the_main_threads(lab):
    def program(me):
        seen = {}

        def with_own():
            seen["own"] = mnx_tbind(lab.vmid, 6)
            m = message()
            seen["received"] = mnx_receive(ANY, m), m.m_source

        def with_shared():
            m = message()
            seen["shared"] = mnx_receive(ANY, m), m.m_source

        threads = [threading.Thread(target=target) for target in (with_own, with_shared)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return seen

    child = lab.bound(5, program)
    lab.wait_rts(5, RTS_FLAGS["RECEIVING"])
    lab.wait_rts(6, RTS_FLAGS["RECEIVING"])
    assert lab.bound(7, lambda me: [mnx_send(5, message()), mnx_send(6, message())]).result() == [OK, OK]
    assert child.result() == {"own": 6, "received": (OK, 7), "shared": (OK, 7)}


@covers("mnx_tbind", "EMOLGRPLEADER", "EMOLBADPROC", "EMOLBUSY", "EMOLDRVSINIT")
def test_a_thread_binds_after_its_main_thread_and_into_the_same_vm(lab):
    def in_thread(function, *args):
        result = []
        thread = threading.Thread(target=lambda: result.append(function(*args)))
        thread.start()
        thread.join()
        return result[0]

    def program(me, other):
        before = in_thread(mnx_tbind, lab.vmid, 6)
        assert mnx_bind(lab.vmid, 5) == 5
        twice = in_thread(lambda: [mnx_tbind(lab.vmid, 6), mnx_tbind(lab.vmid, 7)])
        return before, in_thread(mnx_tbind, other, 6), twice

    with new_lab(lab.node, "other") as other:
        assert lab.unbound(program, other.vmid).result() == (EMOLGRPLEADER, EMOLBADPROC, [6, EMOLBUSY])
    os.environ["DRVS_RUNTIME_DIR"] = "/nonexistent"
    assert in_thread(mnx_tbind, 0, 6) == EMOLDRVSINIT


def test_a_main_thread_that_binds_as_a_thread_binds_the_process(lab):
    assert lab.unbound(lambda me: (mnx_tbind(lab.vmid, 5), mnx_getep(os.getpid()))).result() == (5, 5)


def test_the_endpoint_of_a_thread_ends_with_the_thread(lab):
    def program(me):
        thread = threading.Thread(target=lambda: (mnx_tbind(lab.vmid, 6), me.hear()))
        thread.start()
        thread.join()
        return mnx_wait4unbind_T(6, TIME_MS)

    child = lab.bound(5, program)
    lab.vm.wait_bound(6, 20)
    waiting = lab.bound(7, lambda me: mnx_receive(6, message()))
    lab.wait_rts(7, RTS_FLAGS["RECEIVING"])
    child.tell()
    assert waiting.result() == EMOLSRCDIED
    assert child.result() == OK


# ---- getep


@covers("mnx_getep", "OK")
def test_the_endpoint_of_a_process_is_found_by_its_pid(lab):
    one = lab.bound(5, lambda me: me.hear())
    assert lab.bound(40, lambda me: (mnx_getep(one.pid), mnx_getep(os.getpid()) == me.endpoint)).result() == (5, True)


@covers("mnx_getep", "EMOLDRVSINIT")
def test_without_a_node_no_endpoint_is_found():
    assert mnx_getep(1) == EMOLDRVSINIT


@covers("mnx_getep", "EMOLRANGE", "EMOLNOTBIND")
def test_a_process_that_is_not_bound_has_no_endpoint(lab):
    other = spawn(lambda me: me.hear())
    child = lab.bound(5, lambda me: [mnx_getep(0), mnx_getep(-1), mnx_getep(2**22 + 1), mnx_getep(other.pid)])
    assert child.result() == [EMOLRANGE, EMOLRANGE, EMOLRANGE, EMOLNOTBIND]


@covers("mnx_getep", "EMOLNOTBIND")
def test_only_the_bound_ask_for_endpoints(lab):
    child = lab.bound(5, lambda me: me.hear())
    assert mnx_getep(child.pid) == EMOLNOTBIND


@covers("mnx_getep", "EMOLBADVMID")
def test_the_processes_of_another_vm_are_not_found(lab):
    with new_lab(lab.node, "other") as other:
        there = other.bound(5, lambda me: me.hear())
        assert lab.bound(6, lambda me: mnx_getep(there.pid)).result() == EMOLBADVMID
        there.kill()


# ---- bad numbers and names


@pytest.mark.parametrize("number", [2**31, 2**63, 2**70, -(2**70)])
def test_numbers_that_no_c_type_has_are_out_of_range(lab, number):
    codes = [
        mnx_bind(lab.vmid, number),
        mnx_lclbind(lab.vmid, os.getpid(), number),
        mnx_getprocinfo(lab.vmid, number, proc_usr_t()),
    ]
    assert set(codes) <= {EMOLRANGE, EMOLINVAL, EMOLBADPROC}


def test_a_name_that_is_no_text_is_not_valid(node):
    assert (
        mnx_vm_init(VM_usr_t(vm_vmid=9, vm_name=b"\xff\xfe", vm_nr_procs=9, vm_nr_tasks=9, vm_nr_sysprocs=9))
        == EMOLINVAL
    )
    assert mnx_rmtbind(0, b"\xff", 5, 1) == EMOLINVAL
