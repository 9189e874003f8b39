"""The command record: what one node's kernel says to another's. 96 bytes, little-endian, then the payload:

     0  u32  length    of the record, payload included
     4  u16  cmd       a `Command`, or'ed with ACK for its acknowledgement
     6  u16  flags     LAST, TRACE, NOACK
     8  u16  vmid      10  u16  rnode     the requester's node, of a copy
    12  i32  src       16  i32  dst         endpoints
    20  u16  snode     22  u16  dnode       nodes
    24  i32  rcode     of an acknowledgement
    28  u32  call      the call's number, given by the node that began it
    32  u32  answers   the call that this one answers
    36  u32  incarnation  of the source's slot
    40  i64  timestamp    ns since 1970
    48  i32  v_src     52  i32  v_dst       56  i32  v_rqtr     60  u32  v_bytes      of a copy
    64  u64  v_saddr   72  u64  v_daddr
    80  16 bytes  trace   a W3C trace id
    96  …    payload   64 bytes for SEND, SNDREC and REPLY; data for COPYIN_DATA, COPYIN_RQST, COPYOUT_DATA; else none

The core encodes and decodes this in C. This codec is for tools, for proxies written by hand, and for the tests that
hold the two against each other.
"""

import struct
from enum import IntEnum, IntFlag

import msgspec

from drvs.cluster.wire.frames import FrameError

RECORD = struct.Struct("<IHHHHiiHHiIIIqiiiIQQ16s")
RECORD_BYTES = RECORD.size

#: The bit that makes a command its acknowledgement.
ACK = 1 << 13
MESSAGE_BYTES = 64


class Command(IntEnum):
    """What is asked of the other node."""

    NONE = 0
    SEND_MSG = 1
    NTFY_MSG = 2
    SNDREC_MSG = 3
    REPLY_MSG = 4
    COPYIN_DATA = 5
    COPYOUT_RQST = 6
    COPYLCL_RQST = 7
    COPYRMT_RQST = 8
    COPYIN_RQST = 9
    HELLO = 10
    SHUTDOWN = 11
    CANCEL = 16
    SEND_ACK = SEND_MSG | ACK
    NTFY_ACK = NTFY_MSG | ACK
    SNDREC_ACK = SNDREC_MSG | ACK
    REPLY_ACK = REPLY_MSG | ACK
    COPYIN_ACK = COPYIN_DATA | ACK
    COPYOUT_DATA = COPYOUT_RQST | ACK
    COPYLCL_ACK = COPYLCL_RQST | ACK
    COPYRMT_ACK = COPYRMT_RQST | ACK


class RecordFlag(IntFlag):
    """What else there is to know of a record."""

    LAST = 1  # the last piece of a copy
    TRACE = 2  # `trace` is set
    NOACK = 4  # nobody waits for the acknowledgement


WITH_MESSAGE = frozenset({Command.SEND_MSG, Command.SNDREC_MSG, Command.REPLY_MSG})
WITH_DATA = frozenset({Command.COPYIN_DATA, Command.COPYIN_RQST, Command.COPYOUT_DATA})


class CommandRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record, taken apart."""

    cmd: int
    vmid: int
    src: int
    dst: int
    snode: int
    dnode: int
    rnode: int = 0
    flags: int = 0
    rcode: int = 0
    call: int = 0
    answers: int = 0
    incarnation: int = 0
    timestamp: int = 0
    v_src: int = 0
    v_dst: int = 0
    v_rqtr: int = 0
    v_bytes: int = 0
    v_saddr: int = 0
    v_daddr: int = 0
    trace: bytes = bytes(16)
    payload: bytes = b""


def encode_record(r: CommandRecord) -> bytes:
    """Return the record's bytes.

    Raises:
        FrameError: A payload that this command does not have.
    """
    _check_payload(r.cmd, len(r.payload), r.v_bytes)
    head = RECORD.pack(
        RECORD_BYTES + len(r.payload), r.cmd, r.flags, r.vmid, r.rnode, r.src, r.dst, r.snode, r.dnode, r.rcode, r.call,
        r.answers, r.incarnation, r.timestamp, r.v_src, r.v_dst, r.v_rqtr, r.v_bytes, r.v_saddr, r.v_daddr, r.trace,
    )  # fmt: skip
    return head + r.payload


def decode_record(data: bytes | bytearray | memoryview) -> CommandRecord:
    """Take bytes apart that hold exactly one record.

    Raises:
        FrameError: They do not, or it says what no record may say.
    """
    if len(data) < RECORD_BYTES:
        raise FrameError(f"a command record of {len(data)} bytes: its header alone has {RECORD_BYTES}")
    length, cmd, flags, vmid, rnode, src, dst, snode, dnode, *rest = RECORD.unpack_from(data)
    if length != len(data):
        raise FrameError(f"a command record that says it has {length} bytes has {len(data)}")
    if flags & ~7 or cmd not in Command._value2member_map_:
        raise FrameError(f"a command record with command {cmd:#x}, flags {flags:#x}")
    names = ("rcode", "call", "answers", "incarnation", "timestamp", "v_src", "v_dst", "v_rqtr", "v_bytes", "v_saddr")
    fields = dict(zip((*names, "v_daddr", "trace"), rest, strict=True))
    _check_payload(cmd, length - RECORD_BYTES, fields["v_bytes"])
    return CommandRecord(
        cmd=cmd, flags=flags, vmid=vmid, src=src, dst=dst, snode=snode, dnode=dnode, rnode=rnode,
        payload=bytes(data[RECORD_BYTES:]), **fields,
    )  # fmt: skip


def _check_payload(cmd: int, size: int, v_bytes: int) -> None:
    fits = size == (MESSAGE_BYTES if cmd in WITH_MESSAGE else v_bytes if cmd in WITH_DATA else 0)
    if not fits:
        raise FrameError(f"a command {cmd:#x} with a payload of {size} bytes")
