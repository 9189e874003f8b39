"""Binding, names, and what becomes of an endpoint when its process forks, execs, or ends."""

import gc
import os
import sys
import threading

import pytest

import drvs
from drvs import Message
from support.children import spawn
from support.guide import wait_blocked
from support.users import spawn_as_nobody


def serve_one(ep):
    request = ep.receive_request(timeout=20)
    request.m1_i1 += 1
    ep.reply(request, request)


def client(me, name="server"):
    """Find a server by its name, and call it."""
    vm = drvs.connect().vm("lab")
    with vm.bind() as ep:
        return ep.sendrec(vm.lookup(name, timeout=20), Message(1, m1_i1=41), timeout=20).m1_i1


# ---- binding


def test_a_process_binds_calls_and_unbinds(vm):
    with vm.bind(name="server") as ep:
        child = spawn(client)
        serve_one(ep)
        assert child.result() == 42
        assert vm.info().bound == 1
    assert vm.processes() == []
    assert not ep.bound


def test_a_slot_can_be_chosen(vm):
    with vm.bind(slot=5, name="fs", spin_us=0) as ep:
        assert (ep.p_nr, ep.endpoint, ep.id, ep.name, ep.spin_us) == (5, 5, 5, "fs", 0)
        assert ep.vm is vm
        process = vm.process(5)
        assert (process.name, process.pid, process.endpoint) == ("fs", os.getpid(), 5)
        with pytest.raises(drvs.Busy):
            vm.bind(slot=5)
    assert vm.process(5).rts & drvs.Rts.FREE


@pytest.mark.parametrize("slot", [-68, 189, 10**6])
def test_a_slot_out_of_range_is_refused(vm, slot):
    with pytest.raises(drvs.OutOfRange):
        vm.bind(slot=slot)


def test_names_are_unique_and_short(vm):
    with vm.bind(name="server"):
        with pytest.raises(drvs.Busy, match="has this name"):
            vm.bind(name="server")
        with pytest.raises(drvs.NameTooLong, match="15 bytes"):
            vm.bind(name="a name of sixteen")
    with vm.bind(name="server"):
        pass  # free again


def test_a_process_may_have_endpoints_in_several_vms(vm, node):
    with node.create_vm("other") as other, vm.bind() as here, vm.bind() as also_here, other.bind() as there:
        assert (here.vmid, also_here.vmid, there.vmid) == (vm.id, vm.id, other.id)
        assert here.region is also_here.region  # mapped once
        sending = threading.Thread(target=here.send, args=(also_here.endpoint, Message(7)))
        sending.start()
        assert also_here.receive(timeout=20).type == 7
        sending.join()
        with pytest.raises(drvs.DestinationDied):
            there.send(also_here.endpoint, Message())


def test_unbinding_twice_is_harmless(vm):
    ep = vm.bind()
    ep.unbind()
    ep.unbind()
    with pytest.raises(drvs.NotBound):
        ep.receive(timeout=0)


def test_unbinding_ends_the_call_of_another_thread(vm):
    ep = vm.bind()
    caught = []

    def receive():
        try:
            ep.receive()
        except drvs.DrvsError as error:
            caught.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    wait_blocked(vm, ep.p_nr)
    ep.unbind()
    thread.join(20)
    assert [type(error) for error in caught] == [drvs.NotRunning]
    assert caught[0].code == drvs.Code.SHUTDOWN


def test_a_handle_that_lost_its_slot_does_not_unbind_the_next_owner(vm):
    with vm.bind(slot=5):
        vm.unbind(5)  # as somebody else may: it is a system slot, so the next owner has the same number
        child = spawn(lambda me: (drvs.connect().vm("lab").bind(slot=5) and me.say("bound")) or me.hear())
        child.wait_line("bound")
    assert vm.process(5).pid == child.pid


def test_an_endpoint_outlives_its_vm_without_harm(node):
    vm = node.create_vm("short")
    with vm.bind() as ep:
        vm.end()
        with pytest.raises(drvs.NotRunning) as caught:
            ep.receive()
        assert caught.value.code == drvs.Code.VMNOTRUN
        assert "short" in str(caught.value)


def test_a_dropped_handle_keeps_its_slot_until_the_process_ends(vm):
    vm.bind(slot=5)
    gc.collect()
    assert vm.process(5).pid == os.getpid()
    vm.unbind(5)


@pytest.mark.root
def test_an_ordinary_user_is_bound_by_another(vm, node):
    def ordinary(me):
        lab = drvs.Node()
        try:
            drvs.VM(lab, vm.id, "lab").bind()
        except drvs.AccessDenied as error:
            me.say("drvs run" in str(error))
        with drvs.wait_for_bind(20) as ep:
            return ep.name, ep.vm.name, ep.vm.lookup("server"), ep.sendrec(5, Message(1, m1_i1=1)).m1_i1

    with vm.bind(slot=5, name="server") as ep:
        child = spawn_as_nobody(ordinary)
        child.wait_line("True")
        vm.lclbind(child.pid, name="job")
        serve_one(ep)
        assert child.result() == ("job", "lab", 5, 2)


def test_a_process_that_is_not_there_cannot_be_bound(vm):
    with pytest.raises(drvs.OutOfRange, match="not running"):
        vm.lclbind(2**22)


# ---- names


def test_a_name_is_looked_up(vm):
    with vm.bind(name="server") as ep:
        assert vm.lookup("server") == ep.id
    with pytest.raises(drvs.NotBound, match="server"):
        vm.lookup("server")


def test_a_lookup_waits_for_the_name(vm):
    child = spawn(client)
    with vm.bind(name="another"), vm.bind(name="server") as ep:
        serve_one(ep)
        assert child.result() == 42


def test_a_lookup_ends_with_its_time(vm):
    with pytest.raises(drvs.TimedOut):
        vm.lookup("nobody", timeout=0.02)


def test_a_lookup_ends_with_the_vm(node):
    vm = node.create_vm("short")
    child = spawn(lambda me: drvs.connect().vm("short").lookup("nobody", timeout=None))
    while node.client.call("status")["waiting"] == 0:
        pass
    vm.end()
    with pytest.raises(AssertionError, match="VMNOTRUN"):
        child.result()


# ---- waiting


def test_binding_and_unbinding_can_be_waited_for(vm):
    child = spawn(lambda me: (vm.wait_bound(5, 20), me.say("bound"), vm.wait_unbound(5, 20), "unbound"))
    with vm.bind(slot=5):
        child.wait_line("bound")
    assert child.result()[-1] == "unbound"
    with pytest.raises(drvs.TimedOut):
        vm.wait_bound(5, 0.02)
    with pytest.raises(drvs.WouldBlock):
        vm.wait_bound(5, 0)


def test_wait_for_bind_ends_with_its_time(vm):
    with pytest.raises(drvs.TimedOut):
        drvs.wait_for_bind(0.02)


# ---- fork, exec, threads


def test_a_forked_child_is_not_bound_and_leaves_its_parents_binding_alone(vm):
    with vm.bind(slot=5) as ep:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                with ep:
                    try:
                        ep.receive(timeout=0)
                    except drvs.NotBound:
                        status = 0
                status += ep.bound
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert vm.process(5).pid == os.getpid()
        with pytest.raises(drvs.WouldBlock):
            ep.receive(timeout=0)


def test_a_forked_child_binds_itself(vm):
    with vm.bind(name="server") as ep:
        child = spawn(lambda me: vm.bind().sendrec(ep.endpoint, Message(1, m1_i1=1)).m1_i1)
        serve_one(ep)
        assert child.result() == 2


def test_a_program_meets_its_endpoint_again_after_an_exec(vm):
    program = "import drvs, sys; ep = drvs.wait_for_bind(20); sys.exit(ep.endpoint != 5 or ep.name != 'again')"

    def exec_it(me):
        vm.bind(slot=5, name="again")
        os.execv(sys.executable, [sys.executable, "-c", program])

    assert spawn(exec_it).wait() == 0


@pytest.mark.parametrize("disable", ["", "pidfd_thread", "pidfd"])
def test_the_endpoint_of_a_thread_ends_with_the_thread(vm, disable, monkeypatch):
    monkeypatch.setenv("DRVS_DISABLE", disable)
    ended = threading.Event()

    def run():
        vm.bind(slot=6, thread=True)
        ended.wait()

    with vm.bind(slot=5):
        thread = threading.Thread(target=run)
        thread.start()
        vm.wait_bound(6, 20)
        assert vm.process(6).tid == thread.native_id
        ended.set()
        thread.join()
        vm.wait_unbound(6, 20)


def test_a_thread_ends_its_binding_itself_where_nobody_can_watch_it(vm, monkeypatch):
    monkeypatch.setenv("DRVS_DISABLE", "pidfd_thread")
    kept = []
    thread = threading.Thread(target=lambda: kept.append(vm.bind(slot=6, thread=True)))
    thread.start()
    thread.join()
    assert not kept[0].bound


def test_many_threads_have_an_endpoint_each(vm):
    results = []

    def ask():
        with vm.bind(thread=True) as ep:
            results.append(ep.sendrec(5, Message(1, m1_i1=1)).m1_i1)

    with vm.bind(slot=5) as server:
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for _ in threads:
            serve_one(server)
        for thread in threads:
            thread.join()
    assert results == [2] * 20
