"""The views m1 … mA of a message's payload: layout of C on a 64-bit machine, ranges, bulk methods."""

import ctypes
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drvs.core import Message


class Time(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_int64), ("tv_nsec", ctypes.c_int64))


INT, LONG, SHORT, POINTER = ctypes.c_int32, ctypes.c_int64, ctypes.c_int16, ctypes.c_uint64

VIEWS: dict[str, list[tuple[str, Any]]] = {
    "m1": [("i1", INT), ("i2", INT), ("i3", INT), ("p1", POINTER), ("p2", POINTER), ("p3", POINTER)],
    "m2": [("i1", INT), ("i2", INT), ("i3", INT), ("l1", LONG), ("l2", LONG), ("p1", POINTER)],
    "m3": [("i1", INT), ("i2", INT), ("p1", POINTER), ("ca1", ctypes.c_char * 14)],
    "m4": [("l1", LONG), ("l2", LONG), ("l3", LONG), ("l4", LONG), ("l5", LONG)],
    "m5": [("c1", SHORT), ("c2", SHORT), ("i1", INT), ("i2", INT), ("l1", LONG), ("l2", LONG), ("l3", LONG)],
    "m6": [("ca1", ctypes.c_char * 32)],
    "m7": [("i1", INT), ("i2", INT), ("i3", INT), ("i4", INT), ("p1", POINTER), ("p2", POINTER)],
    "m8": [("i1", INT), ("i2", INT), ("p1", POINTER), ("p2", POINTER), ("p3", POINTER), ("p4", POINTER)],
    "m9": [("i1", INT), ("l1", INT), ("t1", Time)],
    "mA": [("dst", INT), ("nr", INT), ("ia", INT * 4)],
}
"""The guide's views as ctypes lays them out: the expected answer."""

FIELDS = [(view, name, kind) for view, fields in VIEWS.items() for name, kind in fields]
IDS = [f"{view}_{name}" for view, name, _ in FIELDS]
RANGES = {
    INT: (-(2**31), 2**31 - 1),
    LONG: (-(2**63), 2**63 - 1),
    SHORT: (-(2**15), 2**15 - 1),
    POINTER: (0, 2**64 - 1),
}


def structure(view: str) -> Any:
    """The ctypes structure of a view, with the head before it."""
    body = type(view, (ctypes.Structure,), {"_fields_": VIEWS[view]})
    fields = [("m_source", INT), ("m_type", INT), ("body", body)]
    return type("message", (ctypes.Structure,), {"_fields_": fields})


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Everything that a field of this kind can hold."""
    if kind in RANGES:
        return st.integers(*RANGES[kind])
    if kind is Time:
        return st.tuples(st.integers(*RANGES[LONG]), st.integers(*RANGES[LONG]))
    if kind._type_ is INT:
        return st.tuples(*[st.integers(*RANGES[INT])] * 4)
    return st.binary(max_size=ctypes.sizeof(kind)).map(lambda text: text.rstrip(b"\0"))


def as_c(kind: Any, value: Any) -> bytes:
    """A value as C stores it."""
    if kind in RANGES:
        return bytes(kind(value))
    if kind is Time:
        return bytes(Time(*value))
    if kind._type_ is INT:
        return bytes(kind(*value))
    return bytes(value).ljust(ctypes.sizeof(kind), b"\0")


@pytest.mark.parametrize(("view", "name", "kind"), FIELDS, ids=IDS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_field_is_stored_where_c_has_it_and_nowhere_else(view: str, name: str, kind: Any, data: Any) -> None:
    value = data.draw(values_of(kind))
    before = data.draw(st.binary(min_size=56, max_size=56))
    message = Message(payload=before)
    setattr(message, f"{view}_{name}", value)
    assert getattr(message, f"{view}_{name}") == value

    body = structure(view).body
    at = getattr(dict(structure(view)._fields_)["body"], name).offset + body.offset
    expected = bytearray(bytes(8) + before)
    expected[at : at + ctypes.sizeof(kind)] = as_c(kind, value)
    assert bytes(message) == bytes(expected)


@pytest.mark.parametrize(("view", "name", "kind"), [f for f in FIELDS if f[2] in RANGES])
def test_integers_out_of_range_are_refused_with_field_and_range(view: str, name: str, kind: Any) -> None:
    field, (low, high), message = f"{view}_{name}", RANGES[kind], Message(payload=b"\x55" * 56)
    before = bytes(message)
    for value in (low - 1, high + 1, 10**40, -(10**40)):
        with pytest.raises(OverflowError, match=f"{field} must be between .* and .*, not {value}"):
            setattr(message, field, value)
    for wrong in (1.5, "1", None, b"1"):
        with pytest.raises(TypeError, match=f"{field} must be an integer, not"):
            setattr(message, field, wrong)
    assert bytes(message) == before


@pytest.mark.parametrize("field", ["m1_i1", "m1_p1", "m4_l1", "m5_c1"])
def test_whatever_has_an_index_is_an_integer(field: str) -> None:
    numpy = pytest.importorskip("numpy")
    message = Message()
    for value in (numpy.uint64(7), numpy.int16(7), True):
        setattr(message, field, value)
        assert getattr(message, field) == int(value)


def test_an_index_that_fails_says_so_itself() -> None:
    class Broken:
        def __index__(self) -> int:
            raise ZeroDivisionError

    for field in ("m1_i1", "m1_p1", "m4_l1"):
        with pytest.raises(ZeroDivisionError):
            setattr(Message(), field, Broken())


def test_characters_are_bytes_of_a_limited_length() -> None:
    message = Message(m3_ca1=b"name\0with nul")
    assert message.m3_ca1 == b"name\0with nul"
    message.m3_ca1 = b""
    assert message.m3_ca1 == b""
    with pytest.raises(ValueError, match="m3_ca1 takes at most 14 bytes, not 15"):
        message.m3_ca1 = b"x" * 15
    with pytest.raises(TypeError, match="m3_ca1 must be bytes"):
        message.m3_ca1 = "text"  # type: ignore[assignment]


@pytest.mark.parametrize(("field", "size"), [("mA_ia", 4), ("m9_t1", 2)])
def test_arrays_have_their_length(field: str, size: int) -> None:
    message = Message()
    setattr(message, field, list(range(size)))
    assert getattr(message, field) == tuple(range(size))
    with pytest.raises(ValueError, match=f"{field} must be a sequence of {size} integers"):
        setattr(message, field, range(size + 1))
    for wrong in (3, "1234", None):
        with pytest.raises(TypeError, match=f"{field} must be a sequence"):
            setattr(message, field, wrong)
    with pytest.raises(OverflowError, match=f"{field} must be between"):
        setattr(message, field, [10**30] * size)
    assert getattr(message, field) == tuple(range(size))


@pytest.mark.parametrize("view", VIEWS)
@settings(max_examples=30)
@given(data=st.data())
def test_bulk_set_and_get_are_all_the_fields_in_order(view: str, data: Any) -> None:
    values = tuple(data.draw(values_of(kind)) for _, kind in VIEWS[view])
    message, names = Message(), [name for name, _ in VIEWS[view]]
    getattr(message, f"set_{view}")(*values)
    assert getattr(message, f"get_{view}")() == values
    assert tuple(getattr(message, f"{view}_{name}") for name in names) == values
    by_keyword = Message()
    getattr(by_keyword, f"set_{view}")(**dict(zip(names, values, strict=True)))
    assert by_keyword == message


def test_fields_not_given_to_a_bulk_set_become_zero() -> None:
    message = Message(payload=b"\xff" * 56)
    message.set_m1(1, p2=3)
    assert message.get_m1() == (1, 0, 0, 0, 3, 0)
    assert message.payload[40:] == b"\xff" * 16  # behind the view nothing changes


def test_a_bulk_set_is_all_or_nothing() -> None:
    message = Message(payload=b"\x11" * 56)
    before = bytes(message)
    with pytest.raises(OverflowError, match="m1_p3 must be between 0"):
        message.set_m1(1, 2, 3, 4, 5, -6)
    assert bytes(message) == before


def test_bulk_arguments_are_checked() -> None:
    message = Message()
    with pytest.raises(TypeError, match=r"set_m1\(\) takes at most 6 arguments, not 7"):
        message.set_m1(1, 2, 3, 4, 5, 6, 7)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"set_m1\(\) got two values for 'i1'"):
        message.set_m1(1, i1=1)  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"set_m1\(\) has no parameter 'q'"):
        message.set_m1(q=1)  # type: ignore[call-arg]
