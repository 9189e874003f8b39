"""The formats, byte for byte: what the tables in `drvs.cluster.wire` say, other programs may rely on."""

import pytest

import drvs
from drvs import core
from drvs.cluster.wire import commands, datagrams, frames
from drvs.cluster.wire.frames import FrameError
from drvs.cluster.wire.hello import Hello, Limits, Resume, decode_message, encode_message
from support.links import record


def test_a_frame_is_laid_out_as_its_table_says() -> None:
    frame = frames.encode_frame(frames.Kind.CONTROL, b"body", tag=0x0102, count=1, number=7, ack=9)
    assert frame.hex(" ", 4) == "24000000 01060201 01000000 00000000 07000000 00000000 09000000 00000000 626f6479"
    assert frames.decode_frame(frame) == (frames.Kind.CONTROL, 0x0102, 1, 7, 9, b"body")


def test_a_datagram_is_laid_out_as_its_table_says() -> None:
    header = datagrams.encode_header(datagrams.DatagramKind.DATA, 3, 4, 5, 6)
    assert header.hex(" ", 8) == (
        "0102000000000000 0300000000000000 0400000000000000 0500000000000000 0600000000000000"
    )
    assert datagrams.decode_header(header) == (datagrams.DatagramKind.DATA, 3, 4, 5, 6)


def test_a_command_record_is_laid_out_as_its_table_says() -> None:
    full = commands.CommandRecord(
        cmd=commands.Command.COPYIN_DATA, flags=1, vmid=2, src=3, dst=-4, snode=5, dnode=6, rnode=18, rcode=-7, call=8,
        answers=9, incarnation=10, timestamp=11, v_src=12, v_dst=13, v_rqtr=14, v_bytes=4, v_saddr=16, v_daddr=17,
        trace=bytes(range(16)), payload=b"data",
    )  # fmt: skip
    data = commands.encode_record(full)
    assert data.hex(" ", 4) == (
        "64000000 05000100 02001200 03000000 fcffffff 05000600 f9ffffff 08000000 09000000 0a000000 "
        "0b000000 00000000 0c000000 0d000000 0e000000 04000000 10000000 00000000 11000000 00000000 "
        "00010203 04050607 08090a0b 0c0d0e0f 64617461"
    )
    assert commands.decode_record(data) == full


@pytest.mark.parametrize(
    "cmd", sorted(commands.WITH_MESSAGE | {commands.Command.COPYLCL_RQST, commands.Command.COPYIN_DATA})
)
def test_the_core_reads_and_writes_the_same_records(cmd: int) -> None:
    has_message, has_data = cmd in commands.WITH_MESSAGE, cmd in commands.WITH_DATA
    payload = bytes(64 if has_message else 5 if has_data else 0)
    asked = commands.CommandRecord(
        cmd=cmd, vmid=2, src=3, dst=-4, snode=5, dnode=6, rnode=7, call=8, answers=9, incarnation=10, timestamp=11,
        v_src=12, v_dst=13, v_rqtr=14, v_bytes=len(payload) if has_data else 0, v_saddr=1 << 40, v_daddr=1 << 41,
        payload=payload,
    )  # fmt: skip
    refused = core.refuse_command(commands.encode_record(asked), drvs.Code.DSTDIED)
    assert refused is not None
    node, record = refused
    answer = commands.decode_record(record)
    assert node == answer.dnode == (5 if has_message else 7)
    assert (answer.cmd, answer.rcode, answer.call) == (cmd | commands.ACK, drvs.Code.DSTDIED, 8)
    assert (answer.src, answer.dst, answer.snode) == (-4, 3 if has_message else 14, 6)
    assert (answer.v_src, answer.v_dst, answer.v_rqtr, answer.rnode) == (12, 13, 14, 7)
    assert (answer.v_saddr, answer.v_daddr) == (1 << 40, 1 << 41)


@pytest.mark.parametrize(
    ("cmd", "size"),
    [
        (commands.Command.SEND_MSG, 63),
        (commands.Command.SEND_MSG, 0),
        (commands.Command.REPLY_ACK, 64),
        (commands.Command.COPYIN_DATA, 1),
        (commands.Command.NTFY_MSG, 1),
    ],
)
def test_a_payload_that_its_command_does_not_have_is_refused(cmd: int, size: int) -> None:
    with pytest.raises(FrameError, match="payload"):
        commands.encode_record(
            commands.CommandRecord(cmd=cmd, vmid=0, src=0, dst=0, snode=0, dnode=1, payload=bytes(size))
        )


def test_a_later_version_may_say_more_in_hello() -> None:
    """It is a map: keys that are not known are passed over, so that both can still agree on a version."""
    import msgspec

    mine = Hello(versions=(1, 1), cluster="lab", node=1, name="one", incarnation=2, limits=Limits(), nonce=bytes(32))
    later = msgspec.msgpack.encode({**msgspec.to_builtins(mine, builtin_types=(bytes,)), "compression": ["zstd"]})
    assert decode_message(Hello, later) == mine


def test_hello_and_resume_come_back_as_they_were() -> None:
    standing = Resume(session=1 << 62, known=0, next=5)
    assert decode_message(Resume, encode_message(standing)) == standing
    with pytest.raises(FrameError, match="malformed RESUME"):
        decode_message(Resume, b"\x80")


def test_records_are_counted_and_their_lengths_checked() -> None:
    assert frames.count_records(record(b"") + record(b"two")) == 2
    with pytest.raises(FrameError, match="a record of 9 bytes at 4 in a blob of 11"):
        frames.count_records(record(b"") + (9).to_bytes(4, "little") + b"abc")
