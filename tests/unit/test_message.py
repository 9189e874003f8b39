"""Message: head, payload, envelope, buffer, comparison, text."""

import copy
import gc
import pickle
import sys

import pytest

from drvs.core import Message


def test_a_new_message_is_all_zeros() -> None:
    message = Message()
    assert bytes(message) == bytes(64)
    assert (message.source, message.type, message.payload) == (0, 0, bytes(56))
    assert (message.is_notify, message.is_request, message.call) == (False, False, 0)
    assert (message.trace, message.p_nr, message.timestamp) == (None, None, None)


def test_type_and_fields_can_be_given_at_once() -> None:
    message = Message(5, m1_i1=-1, m1_p3=2**64 - 1)
    assert (message.type, message.m1_i1, message.m1_p3) == (5, -1, 2**64 - 1)
    assert Message(type=5).type == 5
    assert Message(payload=b"abc").payload == b"abc".ljust(56, b"\0")
    assert Message(trace=b"t" * 16).trace == b"t" * 16


@pytest.mark.parametrize(
    ("args", "fields", "error"),
    [
        ((1, 2), {}, "positional"),
        ((), {"m1_i9": 1}, "no parameter 'm1_i9'"),
        ((), {"source": 1}, "no parameter 'source'"),
        ((), {"copy": 1}, "no parameter 'copy'"),
        ((1,), {"type": 1}, "two values for 'type'"),
        (("x",), {}, "type must be an integer"),
    ],
)
def test_what_the_constructor_does_not_know_is_refused(
    args: tuple[object, ...], fields: dict[str, object], error: str
) -> None:
    with pytest.raises(TypeError, match=error):
        Message(*args, **fields)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 10**30])
def test_the_type_has_32_bits(value: int) -> None:
    with pytest.raises(OverflowError, match="type must be between -2147483648 and 2147483647, not"):
        Message().type = value


def test_the_source_is_the_kernels_to_write() -> None:
    with pytest.raises(AttributeError):
        Message().source = 1  # type: ignore[misc]


def test_nothing_can_be_deleted_but_the_trace() -> None:
    message = Message(trace=b"t" * 16)
    for name in ("type", "payload", "m1_i1", "m3_ca1"):
        with pytest.raises(AttributeError, match=f"{name} cannot be deleted"):
            delattr(message, name)
    del message.trace
    assert message.trace is None


def test_payload_takes_up_to_56_bytes_and_pads_them() -> None:
    message = Message(payload=b"\xff" * 56)
    message.payload = bytearray(b"short")
    assert message.payload == b"short" + bytes(51)
    with pytest.raises(ValueError, match="payload takes at most 56 bytes, not 57"):
        message.payload = bytes(57)
    with pytest.raises(TypeError, match="payload must be bytes"):
        message.payload = "text"  # type: ignore[assignment]
    assert message.payload == b"short" + bytes(51)


def test_a_trace_has_16_bytes() -> None:
    message = Message()
    message.trace = memoryview(b"0123456789abcdef")
    assert message.trace == b"0123456789abcdef"
    with pytest.raises(ValueError, match="trace takes 16 bytes, not 15"):
        message.trace = b"0123456789abcde"
    message.trace = None
    assert message.trace is None


def test_data_is_a_writable_view_of_all_64_bytes() -> None:
    message = Message(1, m1_i1=2)
    view = message.data
    assert (view.nbytes, view.format, view.readonly) == (64, "B", False)
    view[4:8] = (9).to_bytes(4, sys.byteorder)
    assert message.type == 9
    assert bytes(view) == bytes(message)
    del message
    gc.collect()
    assert view[4] == 9  # the view keeps the message


def test_equality_is_of_the_64_bytes() -> None:
    assert Message(1, m1_i1=2) == Message(1, m1_i1=2)
    assert Message(1) != Message(2)
    assert Message(1) == Message(1, trace=b"t" * 16)
    assert Message() != bytes(64)
    with pytest.raises(TypeError):
        Message() < Message()  # type: ignore[operator]  # noqa: B015
    with pytest.raises(TypeError, match="unhashable"):
        hash(Message())


def test_a_copy_is_independent_and_keeps_the_trace() -> None:
    message = Message(1, m1_i1=2, trace=b"t" * 16)
    for twin in (message.copy(), copy.copy(message)):
        assert twin == message
        assert twin.trace == message.trace
        twin.m1_i1 = 3
    assert message.m1_i1 == 2


def test_clear_forgets_everything() -> None:
    message = Message(1, m1_i1=2, trace=b"t" * 16)
    message.clear()
    assert message == Message()
    assert message.trace is None


def test_a_message_is_not_pickled() -> None:
    """Messages go through the kernel, never through pickle."""
    with pytest.raises(TypeError):
        pickle.dumps(Message())


def test_repr_reads_like_a_trace() -> None:
    assert repr(Message(3)) == "<Message from 0, type 3: zeros>"
    assert repr(Message(3, m1_i1=1, m1_i2=2)) == "<Message from 0, type 3: 01000000 02>"
    assert len(repr(Message(-(2**31), payload=b"\xff" * 56))) < 200


def test_a_subclass_can_add_attributes() -> None:
    class Named(Message):
        def __init__(self, name: str) -> None:
            super().__init__(4)
            self.name = name

    message = Named("x")
    assert (message.type, message.name, message == Message(4)) == (4, "x", True)
    assert type(message.copy()) is Message


def test_messages_do_not_leak() -> None:
    def use() -> None:
        for _ in range(1000):
            message = Message(1, m3_ca1=b"abc", payload=b"x", trace=b"t" * 16)
            message.copy().data.release()
            repr(message)

    use()
    before = sys.getallocatedblocks()
    use()
    gc.collect()
    assert sys.getallocatedblocks() - before < 100
