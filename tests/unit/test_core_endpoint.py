"""Endpoint: the calls as Python makes them, errors, close, threads. What the kernel decides is tested by its model."""

import gc
import os
import threading
import time
import weakref
from typing import Any

import pytest

from drvs.core import CODES, Endpoint, Message, Region, _core
from support.regions import FIRST_USER_SLOT, Background, CoreError, bind, make_region, rts, wait_asleep, wait_until

SERVER, CLIENT = FIRST_USER_SLOT, FIRST_USER_SLOT + 1


def code_of(call: Any, *args: Any, **options: Any) -> int:
    """The code with which a call fails."""
    with pytest.raises(CoreError) as caught:
        call(*args, **options)
    return caught.value.code


# ---- the calls ---------------------------------------------------------------------------------------------------


def test_an_endpoint_says_what_it_is(server: Endpoint, region: Region) -> None:
    assert (server.slot, server.p_nr, server.incarnation) == (SERVER, SERVER - 67, 1)
    assert server.endpoint == region.encode(SERVER, 1)
    assert (server.vmid, server.node, server.pid, server.region) == (7, 3, os.getpid(), region)
    assert (server.spin_us, server.closed, server.reply_code) == (20, False, 0)
    assert repr(server) == f"<Endpoint {server.endpoint} in VM 7>"


def test_send_is_received_with_its_source(server: Endpoint, client: Endpoint) -> None:
    receiving = Background(server.receive)
    wait_asleep(server.region, SERVER)
    assert client.send(server.endpoint, Message(3, m1_i1=5)) is None  # type: ignore[func-returns-value]
    message = receiving.result()
    assert (message.source, message.type, message.m1_i1) == (client.endpoint, 3, 5)
    assert (message.is_request, message.is_notify, message.call) == (False, False, 0)


def test_a_call_is_answered_in_the_same_message(server: Endpoint, client: Endpoint) -> None:
    def serve() -> None:
        request = server.receive_request()
        assert request.is_request
        assert request.call > 0
        server.reply(request, Message(9, m1_i1=request.m1_i1 + 1))

    serving = Background(serve)
    message = Message(1, m1_i1=5)
    assert client.sendrec(server.endpoint, message) is message
    assert (message.source, message.type, message.m1_i1) == (server.endpoint, 9, 6)
    assert not message.is_request
    serving.result()


def test_receive_fills_the_message_it_is_given(server: Endpoint, client: Endpoint) -> None:
    sending = Background(client.send, server.endpoint, Message(3))
    mine = Message(1, payload=b"old")
    assert server.receive(client.endpoint, mine, 10) is mine
    assert mine == Message.copy(mine)
    assert (mine.type, mine.payload) == (3, bytes(56))
    sending.result()


def test_reply_receive_serves_a_loop(server: Endpoint, client: Endpoint) -> None:
    def serve() -> int:
        served, message = 0, server.receive()
        while message.type != 99:
            message.m1_i1 += 1
            served += 1
            message = server.reply_receive(message, message)
            assert server.reply_code == 0
        server.reply(message.source, message)
        return served

    serving = Background(serve)
    message = Message(1)
    for _ in range(100):
        client.sendrec(server.endpoint, message)
    assert message.m1_i1 == 100
    message.type = 99
    client.sendrec(server.endpoint, message)
    assert serving.result() == 100


def test_a_failed_answer_does_not_stop_reply_receive(server: Endpoint, client: Endpoint) -> None:
    sending = Background(client.send, server.endpoint, Message(3))
    wait_until(lambda: rts(server.region, CLIENT) & _core.RTS_SENDING)
    message = server.reply_receive(client.endpoint, Message(), timeout=10)
    assert (message.type, server.reply_code) == (3, CODES["PROCSTS"])
    sending.result()


def test_an_answer_to_a_call_that_is_over_is_refused(server: Endpoint, client: Endpoint) -> None:
    """A late answer must not end up as the answer to the caller's next call."""
    assert code_of(client.sendrec, server.endpoint, Message(1), timeout=0.01) == CODES["TIMEDOUT"]
    calling = Background(client.sendrec, server.endpoint, Message(1))
    first = server.receive_request(timeout=10)
    stop = Background(client.interrupt)
    assert stop.result() is True
    assert code_of(calling.result) == CODES["INTR"]
    calling = Background(client.sendrec, server.endpoint, Message(2))
    second = server.receive_request(timeout=10)
    assert second.call != first.call
    assert code_of(server.reply, first, Message(8)) == CODES["PROCSTS"]
    server.reply(second, Message(9))
    assert calling.result().type == 9


def test_reply_to_an_endpoint_answers_the_request_in_the_message(server: Endpoint, client: Endpoint) -> None:
    for make_answer in (lambda request: request, lambda request: Message(0)):
        calling = Background(client.sendrec, server.endpoint, Message(1))
        request = server.receive(timeout=10)
        server.reply(client.endpoint, make_answer(request))
        calling.result()


def test_send_answers_a_request_too(server: Endpoint, client: Endpoint) -> None:
    calling = Background(client.sendrec, server.endpoint, Message(1))
    request = server.receive(timeout=10)
    request.type = 5
    server.send(client.endpoint, request, 0)
    assert calling.result().type == 5


def test_a_notification_carries_value_source_and_time(server: Endpoint, client: Endpoint) -> None:
    before = time.time()
    client.notify(server.endpoint, 7)
    client.notify(server.endpoint, value=7)
    message = server.receive(timeout=0)
    assert message.is_notify
    assert (message.source, message.p_nr, message.m9_l1) == (client.endpoint, client.p_nr, 7)
    assert message.timestamp is not None
    assert before - 1 <= message.timestamp <= time.time() + 1
    assert repr(message).startswith(f"<Message notification from {client.endpoint}")
    assert code_of(server.receive, timeout=0) == CODES["AGAIN"]


def test_relay_passes_a_request_on(region: Region, server: Endpoint, client: Endpoint) -> None:
    third = bind(region, FIRST_USER_SLOT + 2, "third")
    calling = Background(client.sendrec, server.endpoint, Message(1))
    request = server.receive_request(timeout=10)
    server.relay(third.endpoint, request)
    passed_on = third.receive_request(timeout=10)
    assert (passed_on.source, passed_on.type) == (client.endpoint, 1)
    third.reply(passed_on, Message(2))
    assert calling.result().source == third.endpoint


def test_a_trace_travels_with_a_call_and_back(server: Endpoint, client: Endpoint) -> None:
    calling = Background(client.sendrec, server.endpoint, Message(1, trace=b"0123456789abcdef"))
    request = server.receive(timeout=10)
    assert request.trace == b"0123456789abcdef"
    server.reply(request, request)
    assert calling.result().trace == b"0123456789abcdef"
    calling = Background(client.sendrec, server.endpoint, Message(1))
    assert server.receive(msg=request, timeout=10).trace is None
    server.reply(request, request)
    assert calling.result().trace is None


def test_copy_moves_bytes_while_the_peer_waits(server: Endpoint, client: Endpoint) -> None:
    import ctypes

    text = ctypes.create_string_buffer(b"from the client", 32)
    into = ctypes.create_string_buffer(32)
    calling = Background(client.sendrec, server.endpoint, Message(1, m1_p1=ctypes.addressof(text)))
    request = server.receive_request(timeout=10)
    server.copy_raw(client.endpoint, request.m1_p1, _core.SELF, ctypes.addressof(into), 32)
    assert into.value == b"from the client"
    assert code_of(server.copy_raw, client.endpoint, 1, _core.SELF, ctypes.addressof(into), 8) == CODES["FAULT"]
    server.reply(request, request)
    calling.result()
    assert code_of(server.copy_raw, client.endpoint, 0, _core.SELF, 0, 1) == CODES["PROCSTS"]


# ---- arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "args", "options", "error", "text"),
    [
        ("send", (1,), {}, TypeError, r"send\(\) needs msg"),
        ("send", (), {"msg": Message()}, TypeError, r"send\(\) needs dst"),
        ("send", (1, Message(), None, 4), {}, TypeError, r"send\(\) takes at most 3 arguments, not 4"),
        ("send", (1, Message()), {"dest": 1}, TypeError, r"send\(\) has no parameter 'dest'"),
        ("send", (1, Message()), {"dst": 1}, TypeError, r"send\(\) got two values for 'dst'"),
        ("send", (1, b"x" * 64), {}, TypeError, "msg must be a Message, not <class 'bytes'>"),
        ("send", ("a", Message()), {}, TypeError, "dst must be an integer, not <class 'str'>"),
        ("send", (2**31, Message()), {}, OverflowError, "dst must be between -2147483648 and 2147483647"),
        ("send", (1, Message()), {"timeout": -1}, ValueError, "timeout must be 0 or more seconds"),
        ("send", (1, Message()), {"timeout": float("nan")}, ValueError, "timeout must be 0 or more seconds"),
        ("send", (1, Message()), {"timeout": "1"}, TypeError, "timeout must be a number of seconds or None"),
        ("sendrec", (1, None), {}, TypeError, "msg must be a Message"),
        ("receive", (), {"src": 2**40}, OverflowError, "src must be between"),
        ("receive", (), {"msg": 3}, TypeError, "msg must be a Message"),
        ("receive_request", (3,), {}, TypeError, "msg must be a Message"),
        ("reply", (1.5, Message()), {}, TypeError, "to must be an integer"),
        ("reply", (1, 2), {}, TypeError, "msg must be a Message"),
        ("reply_receive", (1,), {}, TypeError, r"reply_receive\(\) needs msg"),
        ("notify", (1, -1), {}, OverflowError, "value must be between 0 and 4294967295"),
        ("relay", (1, 2), {}, TypeError, "request must be a Message"),
        ("copy_raw", (1, -1, 2, 0, 1), {}, OverflowError, r"src_address must be between 0 and 2\*\*64 - 1"),
        ("copy_raw", (1, 0, 2, 0), {}, TypeError, r"copy_raw\(\) needs nbytes"),
        ("raw", (64, 0, Message(), 0), {}, OverflowError, "op must be between 0 and 63"),
        ("raw", (1, 0, None, 0), {}, TypeError, "msg must be a Message"),
    ],
)
def test_wrong_arguments_are_named(
    server: Endpoint, method: str, args: Any, options: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        getattr(server, method)(*args, **options)


def test_an_infinite_timeout_waits_for_ever(server: Endpoint, client: Endpoint) -> None:
    for timeout in (float("inf"), 1e300, 10**12):
        receiving = Background(server.receive, timeout=timeout)
        wait_asleep(server.region, SERVER)
        client.send(server.endpoint, Message(1))
        assert receiving.result().type == 1


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"region": 3}, TypeError, "region must be a Region"),
        ({"slot": 256}, ValueError, "slot must be below 256"),
        ({"slot": -1}, OverflowError, "slot must be between 0"),
        ({"spin_us": 10**9}, OverflowError, "spin_us must be between 0 and 1000000"),
        ({"spin": 1}, TypeError, r"Endpoint\(\) has no parameter 'spin'"),
    ],
)
def test_an_endpoint_is_opened_with_checked_arguments(
    region: Region, changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    arguments: dict[str, Any] = {"region": region, "slot": SERVER, "incarnation": 1, "endpoint": 1}
    with pytest.raises(error, match=text):
        Endpoint(**(arguments | changes))


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_errors_name_operation_and_parties(server: Endpoint) -> None:
    nobody = server.region.encode(SERVER + 9, 1)
    with pytest.raises(CoreError) as caught:
        server.sendrec(nobody, Message())
    error = caught.value
    assert (error.code, error.operation) == (CODES["DSTDIED"], "sendrec")
    assert (error.endpoint, error.peer, error.subject) == (server.endpoint, nobody, server)
    with pytest.raises(CoreError) as caught:
        server.receive(timeout=0)
    assert (caught.value.operation, caught.value.peer) == ("receive", None)


def test_without_a_factory_a_code_is_a_runtime_error(server: Endpoint) -> None:
    _core.set_error_factory(None)
    with pytest.raises(RuntimeError, match="receive: code -11"):
        server.receive(timeout=0)


def test_a_factory_that_fails_or_lies_is_reported(server: Endpoint) -> None:
    _core.set_error_factory(lambda *_: ValueError(1 // 0))
    with pytest.raises(ZeroDivisionError):
        server.receive(timeout=0)
    _core.set_error_factory(lambda *_: "no exception")  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="the error factory returned 'no exception'"):
        server.receive(timeout=0)


def test_raw_returns_codes(server: Endpoint, client: Endpoint) -> None:
    message = Message()
    assert server.raw(_core.RECEIVE, _core.ANY, message, 0) == CODES["AGAIN"]
    assert server.raw(_core.RECEIVE, _core.ANY, message, 5) == CODES["TIMEDOUT"]
    assert server.raw(_core.RECEIVE, server.endpoint, message, 0) == CODES["ENDPOINT"]
    assert client.raw(_core.NOTIFY, server.endpoint, None, 0, 4) == 0
    assert server.raw(_core.RECEIVE, client.endpoint, message, 0) == 0
    assert (message.is_notify, message.m9_l1) == (True, 4)
    assert server.raw(63, client.endpoint, message, 0) == CODES["NOSYS"]
    calling = Background(client.raw, _core.SENDREC, server.endpoint, Message(1), -1)
    assert server.raw(_core.RCVRQST, _core.ANY, message, -1) == 0
    assert message.is_request
    assert server.raw(_core.REPLY, client.endpoint, message, 0) == 0
    assert calling.result() == 0
    server.close()
    assert server.raw(_core.RECEIVE, _core.ANY, message, 0) == CODES["NOTBIND"]


# ---- life ------------------------------------------------------------------------------------------------------------


def test_a_closed_endpoint_answers_notbind(server: Endpoint) -> None:
    server.close()
    server.close()
    assert server.closed
    assert repr(server).endswith(", closed>")
    message = Message()
    for method, args in [
        ("send", (1, message)),
        ("sendrec", (1, message)),
        ("receive", ()),
        ("receive_request", ()),
        ("reply", (1, message)),
        ("reply_receive", (1, message)),
        ("notify", (1,)),
        ("relay", (1, message)),
        ("copy_raw", (1, 0, 2, 0, 1)),
        ("interrupt", ()),
    ]:
        assert code_of(getattr(server, method), *args) == CODES["NOTBIND"], method


def test_close_leaves_the_slot_bound(server: Endpoint) -> None:
    server.close()
    assert rts(server.region, SERVER) == 0
    again = Endpoint(server.region, SERVER, server.incarnation, server.endpoint)
    assert code_of(again.receive, timeout=0) == CODES["AGAIN"]


def test_an_endpoint_that_was_never_opened_is_closed() -> None:
    bare = Endpoint.__new__(Endpoint)
    assert bare.closed
    with pytest.raises((CoreError, RuntimeError)):
        bare.receive(timeout=0)
    assert repr(bare) == "<Endpoint 0 in VM 0, closed>"


def test_an_open_endpoint_is_not_opened_again(server: Endpoint) -> None:
    with pytest.raises(RuntimeError, match="open already"):
        server.__init__(server.region, SERVER, 1, 1)  # type: ignore[misc]


def test_close_is_refused_while_another_thread_waits(server: Endpoint) -> None:
    receiving = Background(server.receive)
    wait_asleep(server.region, SERVER)
    assert code_of(server.close) == CODES["BUSY"]
    assert server.interrupt() is True
    assert code_of(receiving.result) == CODES["INTR"]
    server.close()


def test_a_second_call_from_another_thread_gets_notready(server: Endpoint, client: Endpoint) -> None:
    receiving = Background(server.receive)
    wait_asleep(server.region, SERVER)
    assert code_of(server.receive, timeout=0) == CODES["NOTREADY"]
    assert code_of(server.notify, client.endpoint) == CODES["NOTREADY"]
    client.send(server.endpoint, Message(1))
    assert receiving.result().type == 1


def test_interrupt_without_a_call_says_so(server: Endpoint) -> None:
    assert server.interrupt() is False
    assert code_of(server.receive, timeout=0) == CODES["AGAIN"]


def test_an_endpoint_keeps_its_region(core_errors: None) -> None:
    region = make_region()
    gone = weakref.ref(region)
    server = bind(region, SERVER)
    del region
    gc.collect()
    assert gone() is not None
    assert code_of(server.receive, timeout=0) == CODES["AGAIN"]
    del server
    gc.collect()
    assert gone() is None


class Extended(Endpoint):
    """As the API does it: attributes, another constructor, a method of its own."""

    def __init__(self, *args: Any, label: str = "none", **options: Any) -> None:
        super().__init__(*args, **options)
        self.label = label


def test_a_subclass_adds_attributes_and_is_collected(region: Region, core_errors: None) -> None:
    endpoint = bind(region, SERVER, "", Extended, label="mine", spin_us=0)
    assert (endpoint.label, endpoint.spin_us) == ("mine", 0)
    endpoint.spin_us = 5
    assert endpoint.spin_us == 5
    endpoint.itself = endpoint  # type: ignore[attr-defined]
    gone = weakref.ref(endpoint)
    del endpoint
    gc.collect()
    assert gone() is None


def test_waiting_threads_let_the_interpreter_run(server: Endpoint) -> None:
    receiving = [Background(server.receive, timeout=10)]
    wait_asleep(server.region, SERVER)
    assert sum(range(1000)) == 499500
    assert threading.active_count() >= 2
    server.interrupt()
    assert code_of(receiving[0].result) == CODES["INTR"]
