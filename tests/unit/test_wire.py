"""Commands on the wire: fields in, fields out, and what is refused; routes."""

from typing import Any

import pytest

from drvs.core import CODES, _core, decode_command, encode_command
from support.regions import make_region

MESSAGE: dict[str, Any] = {
    "cmd": _core.CMD_SNDREC_MSG, "vmid": 7, "src": 35702, "dst": -2, "snode": 3, "dnode": 4095, "rcode": 0, "rnode": 3,
    "v_src": -1, "v_dst": 2**31 - 1, "v_rqtr": 0, "v_bytes": 2**32 - 1, "v_saddr": 2**64 - 1, "v_daddr": 2**63,
    "flags": _core.CMD_TRACE, "call": 2**32 - 1, "answers": 5, "incarnation": 9, "time_ns": 1_700_000_000_123_456_789,
    "trace": bytes(range(16)), "payload": bytes(range(64)),
}  # fmt: skip


def changed(record: bytes, at: int, value: int, size: int = 4) -> bytes:
    """The record with one of its numbers replaced."""
    return record[:at] + value.to_bytes(size, "little") + record[at + size :]


def test_a_command_comes_back_as_it_was() -> None:
    record = encode_command(MESSAGE)
    assert len(record) == _core.WIRE_HEADER + 64
    assert decode_command(record) == MESSAGE
    assert encode_command(decode_command(record)) == record


def test_the_record_is_little_endian_and_has_its_length_first() -> None:
    record = encode_command(MESSAGE)
    assert record[:12] == bytes([160, 0, 0, 0, 3, 0, 2, 0, 7, 0, 3, 0])
    assert record[12:24] == (35702).to_bytes(4, "little") + b"\xfe\xff\xff\xff" + b"\x03\x00\xff\x0f"
    assert record[-64:] == MESSAGE["payload"]


def test_fields_that_are_not_given_are_zero() -> None:
    fields = decode_command(encode_command({"cmd": _core.CMD_SEND_ACK}))
    assert fields.pop("cmd") == _core.CMD_SEND_ACK
    assert not any(fields.pop("trace"))
    assert not any(fields.values())


@pytest.mark.parametrize(
    ("at", "value", "size", "reason"),
    [
        (0, 95, 4, "length is out of range"),
        (0, 2**32 - 1, 4, "length is out of range"),
        (0, 161, 4, "cut short"),
        (0, 159, 4, "64 bytes"),
        (4, 0, 2, "no such command"),
        (4, 12, 2, "no such command"),
        (4, 0x2009, 2, "no such command"),
        (4, _core.CMD_SEND_ACK, 2, "should have none"),
        (4, _core.CMD_COPYIN_DATA, 2, "not those that it says"),
        (6, 8, 2, "flags that do not exist"),
        (24, 1, 4, "its code is no code"),
    ],
)
def test_a_malformed_record_is_refused_with_the_reason(at: int, value: int, size: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_command(changed(encode_command(MESSAGE), at, value, size))


def test_nothing_but_one_whole_record_is_decoded() -> None:
    record = encode_command(MESSAGE)
    with pytest.raises(ValueError, match="something follows"):
        decode_command(record + b"\0")
    with pytest.raises(ValueError, match="shorter than a header"):
        decode_command(record[:95])
    with pytest.raises(ValueError, match="cut short"):
        decode_command(record[:159])


def test_wrong_fields_are_named() -> None:
    with pytest.raises(TypeError, match="no field 'colour'"):
        encode_command({"colour": 1})
    with pytest.raises(OverflowError, match="vmid must be between 0 and 65535"):
        encode_command({"vmid": 65536})
    with pytest.raises(ValueError, match="trace must have 16 bytes, not 3"):
        encode_command({"trace": b"abc"})
    with pytest.raises(TypeError, match="a dict of its fields"):
        encode_command([1])  # type: ignore[arg-type]


def test_a_route_tells_why_calls_cannot_be_made() -> None:
    region = make_region(nr_nodes=8, nr_proxies=2)
    runs, connected = _core.ROUTE_VM, _core.ROUTE_CONNECTED
    routes = {0: "NOVMNODE", connected | 1 << 16: "NOVMNODE", runs: "NOPROXY", runs | 3 << 16: "NOPROXY"}
    routes |= {runs | 1 << 16: "NOTCONN", runs | connected | 2 << 16: "OK"}
    for word, code in routes.items():
        assert region.set_route(7, word) == CODES["OK"]
        assert region.route_of(7) == (word, CODES[code])
    assert region.set_route(8, 0) == CODES["BADNODEID"]
    assert region.route_of(8) == region.route_of(-1) == (0, CODES["BADNODEID"])
    assert region.audit() == []
