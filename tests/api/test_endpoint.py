"""Endpoints: what the API adds to the core's calls: copies, signals, privileges, errors in words."""

import contextlib
import os
import signal
import threading

import numpy as np
import pytest

import drvs
from drvs import Call, Message
from drvs.procview.waits import analyse, describe_cycle
from support.children import spawn
from support.guide import wait_blocked
from support.users import drop_ptrace_capability, spawn_as_nobody


def offering(me, size, server=5, fill=b"x"):
    """Offer a block to the server and wait for its answer; returns what the block holds then."""
    vm = drvs.connect().vm("lab")
    with vm.bind() as ep, ep.block(size) as block:
        block.view[:] = fill * size
        ep.sendrec(server, Message(1, m1_p1=block.address, m1_i1=block.length), timeout=20)
        return bytes(block.view)


# ---- copies


def test_a_server_copies_from_a_client_and_back(vm):
    with vm.bind(slot=5) as server:
        child = spawn(offering, 100_000)
        request = server.receive_request(timeout=20)
        with server.block(request.m1_i1) as block:
            assert server.copy((request.source, request.m1_p1), block) == 100_000
            assert bytes(block.view) == b"x" * 100_000
            block.view[:5] = b"hello"
            assert server.copy(block[:5], (request.source, request.m1_p1)) == 5
        server.reply(request, request)
        assert child.result() == b"hello" + b"x" * 99_995


@pytest.mark.parametrize(
    "buffer",
    [bytearray(64), np.zeros(8, "float64"), memoryview(bytearray(64))],
    ids=["bytearray", "numpy", "memoryview"],
)
def test_any_writable_buffer_is_a_destination(vm, buffer):
    with vm.bind(slot=5) as server:
        child = spawn(offering, 64)
        request = server.receive_request(timeout=20)
        assert server.copy((request.source, request.m1_p1), buffer) == 64
        assert bytes(memoryview(buffer)) == b"x" * 64
        server.copy(b"constants can be a source", (request.source, request.m1_p1))
        server.reply(request, request)
        assert child.result().startswith(b"constants can be a source")


def test_a_third_party_copies_between_two_clients(vm):
    with vm.bind(slot=5) as server:
        first = spawn(offering, 64, fill=b"1")
        one = server.receive_request(timeout=20)
        second = spawn(offering, 64, fill=b"2")
        two = server.receive_request(timeout=20)
        assert server.copy((one.source, one.m1_p1), (two.source, two.m1_p1), 32) == 32
        for request in (one, two):
            server.reply(request, request)
        assert first.result() == b"1" * 64
        assert second.result() == b"1" * 32 + b"2" * 32


def test_copies_that_cannot_be_meant_are_refused_with_a_reason(vm):
    with vm.bind(slot=5) as server:
        child = spawn(offering, 64)
        request = server.receive_request(timeout=20)
        there = (request.source, request.m1_p1)
        with pytest.raises(TypeError, match="read-only"):
            server.copy(there, b"constant")
        with pytest.raises(TypeError, match="Block, a buffer or"):
            server.copy(there, 5)
        with pytest.raises(TypeError, match="how many bytes"):
            server.copy(there, (5, 0))
        with pytest.raises(drvs.OutOfRange, match="do not fit"):
            server.copy(there, bytearray(10), 11)
        with pytest.raises(drvs.OutOfRange):
            server.copy(there, bytearray(1_000_000))
        with pytest.raises(drvs.OutOfRange):
            server.copy(there, bytearray(10), -1)
        with pytest.raises(drvs.BadEndpoint):
            server.copy(bytearray(1), bytearray(1))
        with pytest.raises(drvs.BadAddress):
            server.copy((request.source, 4096), bytearray(64))
        block = server.block(64)
        block.release()
        with pytest.raises(ValueError, match="released"):
            server.copy(there, block)
        server.reply(request, request)
        child.result()
        with pytest.raises(drvs.SourceDied):
            server.copy(there, bytearray(1))
        with vm.bind() as other, pytest.raises(drvs.BadState):
            server.copy((other.endpoint, 4096), bytearray(1))


@pytest.mark.root
def test_noded_copies_where_linux_refuses_it_to_the_caller(vm):
    def server(me):
        drop_ptrace_capability()
        with drvs.connect().vm("lab").bind(slot=5) as ep:
            me.say("ready")
            request = ep.receive_request(timeout=20)
            mine = bytearray(request.m1_i1)
            try:
                direct = drvs.core.copy_bytes(vm.process(29).pid, request.m1_p1, 0, 0, 0, 1)
                ep.copy((request.source, request.m1_p1), mine)
            finally:
                ep.reply(request, request)
            return direct, bytes(mine)

    def client(me):
        ep = drvs.wait_for_bind(20)
        with ep.block(bytearray(b"from another user")) as block:
            ep.sendrec(5, Message(1, m1_p1=block.address, m1_i1=block.length))

    serving = spawn(server)
    serving.wait_line("ready")
    child = spawn_as_nobody(client)
    vm.lclbind(child.pid, slot=29)
    assert serving.result()[1] == b"from another user"
    child.result()


@pytest.mark.root
def test_a_copy_that_is_refused_altogether_names_what_refuses_it(vm, node, monkeypatch):
    def refuse(*_, **__):
        from drvs.daemon.client import Reply

        return Reply({"code": -1, "error": "Linux does not let noded copy: check kernel.yama.ptrace_scope"}, [])

    def server(me):
        drop_ptrace_capability()
        with drvs.connect().vm("lab").bind(slot=5) as ep:
            me.say("ready")
            request = ep.receive_request(timeout=20)
            ep.vm.node.client.call = refuse
            try:
                ep.copy((request.source, request.m1_p1), bytearray(1))
            except drvs.AccessDenied as error:
                text = str(error)
            del ep.vm.node.client.call
            ep.reply(request, request)
            return text

    serving = spawn(server)
    serving.wait_line("ready")
    child = spawn_as_nobody(lambda me: drvs.wait_for_bind(20).sendrec(5, Message(1)))
    vm.lclbind(child.pid)
    assert "kernel.yama.ptrace_scope" in serving.result()


# ---- signals


def test_a_signal_runs_its_handler_and_the_call_goes_on(vm):
    def program(me):
        heard = []
        signal.signal(signal.SIGUSR2, lambda *_: heard.append(1))
        with vm.bind(slot=6) as ep:
            me.say("ready")
            return ep.receive(timeout=20).type, heard

    child = spawn(program)
    child.wait_line("ready")
    with vm.bind(slot=5) as ep:
        wait_blocked(vm, 6)
        child.send_signal(signal.SIGUSR2)
        ep.send(6, Message(7))
        kind, heard = child.result()
    assert kind == 7
    assert heard in ([1], [])  # it may have come after the message


def test_an_exception_of_a_handler_ends_the_call_and_leaves_the_endpoint_usable(vm):
    class Stop(Exception):
        pass

    def program(me):
        def stop(*_):
            raise Stop

        signal.signal(signal.SIGUSR2, stop)
        with vm.bind(slot=6) as ep:
            me.say("ready")
            with contextlib.suppress(Stop):
                ep.receive()
            me.say("stopped")
            return ep.receive(timeout=20).type

    child = spawn(program)
    child.wait_line("ready")
    wait_blocked(vm, 6)
    child.send_signal(signal.SIGUSR2)
    child.wait_line("stopped")
    with vm.bind(slot=5) as ep:
        ep.send(6, Message(8))
    assert child.result() == 8


def test_another_thread_can_interrupt_a_call(vm):
    with vm.bind() as ep:
        caught = []

        def receive():
            try:
                ep.receive()
            except drvs.Interrupted as error:
                caught.append(error)

        thread = threading.Thread(target=receive)
        thread.start()
        wait_blocked(vm, ep.p_nr)
        assert ep.interrupt()
        thread.join(20)
        assert isinstance(caught[0], InterruptedError)


# ---- privileges, wakeups, notifications


def test_privileges_are_set_on_a_copy_and_enforced(vm):
    with vm.bind(slot=5) as ep, vm.bind(slot=6):
        fresh = vm.privileges(5)
        assert fresh.allows(Call.SEND)
        assert fresh.allows(Call.VCOPY)
        vm.set_privileges(5, fresh.without(Call.SEND, Call.VCOPY))
        assert not vm.privileges(5).allows(Call.SEND)
        with pytest.raises(drvs.AccessDenied) as caught:
            ep.send(6, Message())
        assert caught.value.code == drvs.Code.TRAPDENIED
        with pytest.raises(drvs.AccessDenied):
            ep.copy(bytearray(1), (6, 4096))
        vm.set_privileges(5, fresh.only(Call.NOTIFY, Call.SETPRIV, Call.UNBIND))
        ep.notify(6)
        with pytest.raises(drvs.AccessDenied, match="GETPRIV"):
            vm.privileges(5)
        vm.set_privileges(5, fresh.replace(ipc_to=0))
        with pytest.raises(drvs.AccessDenied) as caught:
            ep.notify(6)
        assert caught.value.code == drvs.Code.CALLDENIED
        vm.set_privileges(5, fresh)
        ep.notify(6)


def test_privileges_survive_being_set_as_they_are(vm):
    with vm.bind(slot=5):
        fresh = vm.privileges(5)
        vm.set_privileges(5, fresh)
        assert vm.privileges(5) == fresh
        everybody = fresh.replace(ipc_from=-1, ipc_to=-1)
        vm.set_privileges(5, everybody)
        assert vm.privileges(5) == fresh


def test_an_alarm_notifies(vm):
    import time

    with vm.bind(slot=5) as ep:
        vm.set_privileges(5, vm.privileges(5).replace(alarm=time.monotonic() + 0.02))
        assert ep.receive(timeout=20).is_notify


def test_a_receiver_can_be_woken_without_a_message(vm):
    with vm.bind(slot=5) as ep:
        vm.wakeup(5)
        with pytest.raises(drvs.WokenUp):
            ep.receive()


def test_a_notification_can_come_from_the_hardware(vm):
    with vm.bind(slot=5) as ep:
        vm.notify_from(drvs.HARDWARE, 5, 3)
        message = ep.receive(timeout=20)
        assert (message.source, message.m9_l1, message.is_notify) == (drvs.HARDWARE, 3, True)


# ---- who waits on whom


def test_a_deadlock_of_receivers_is_shown(vm):
    def wait_for(me, slot, other):
        with vm.bind(slot=slot, name=f"p{slot}") as ep:
            vm.wait_bound(other, 20)
            ep.receive(other)

    spawn(wait_for, 5, 6)
    spawn(wait_for, 6, 5)
    while not (view := analyse(vm.processes())).deadlocked:
        pass
    assert [describe_cycle(cycle) for cycle in view.cycles] == ["5 (p5) -> 6 (p6) -> 5 (p5)"]


def reasons(vm):
    return [str(edge) for edge in analyse(vm.processes()).edges]


def test_the_reasons_of_real_waits_are_told(vm):
    def call(me):
        with vm.bind(slot=40) as ep:
            ep.sendrec(5, Message())

    with vm.bind(slot=5, name="fs") as server:
        child = spawn(call)
        wait_blocked(vm, 40)
        caller = vm.process(40).endpoint
        assert [str(edge) for edge in analyse(vm.processes()).edges] == [
            f"{caller} waits for 5 (fs) to take its request"
        ]
        request = server.receive_request()
        assert [str(edge) for edge in analyse(vm.processes()).edges] == [f"{caller} waits for 5 (fs) to answer"]
        assert vm.dump().count("\n") >= 2
        server.reply(request, request)
        child.result()


# ---- errors


def test_errors_name_the_operation_the_parties_the_vm_and_the_next_step(vm):
    with vm.bind(slot=5) as ep:
        with pytest.raises(drvs.DestinationDied) as caught:
            ep.sendrec(6, Message())
        error = caught.value
        assert str(error) == (
            "sendrec to 6 from 5 in VM 0 ('lab') on node 0: the destination died or was unbound (EMOLDSTDIED). "
            "Bind it again or look it up by name, then repeat the call."
        )
        assert (error.operation, error.endpoint, error.peer, error.vm, error.vm_name) == ("sendrec", 5, 6, 0, "lab")
        assert isinstance(error, ConnectionError)


def test_an_endpoint_says_what_it_is(vm):
    with vm.bind(slot=5, name="fs") as ep:
        assert repr(ep) == "<Endpoint 5 'fs' in VM 0>"
    assert repr(ep) == "<Endpoint 5 'fs' in VM 0, not bound here>"


def test_a_pid_is_resolved_to_its_endpoint(vm, node):
    with vm.bind(slot=5):
        assert node.endpoint_of(os.getpid()) == 5
        with pytest.raises(drvs.NotBound):
            node.endpoint_of(os.getppid())
