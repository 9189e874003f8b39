"""The frame: 32 bytes, little-endian, then the body. This table is the format, version 1:

     0  u32  length    of the frame with these 32 bytes
     4  u8   version   1 until AUTH; then the one both ends agreed on
     5  u8   kind      below
     6  u16  tag       CONTROL: what kind of message; BYE: why; otherwise 0
     8  u32  count     RECORDS: how many records the body has; CONTROL: 1; otherwise 0
    12  u32  zero
    16  u64  number    RECORDS, CONTROL: the number of the first record in it, counted from 0 through the session's life
    24  u64  ack       the number of the next record that the sender of the frame expects; all before it have arrived
    32  …    body

    kind       from        body
    HELLO      dialler     `hello.Hello`: who I am, and a nonce
    ANSWER     listener    the same
    AUTH       both        a signature over HELLO and ANSWER (empty when insecure)
    RESUME     both        `hello.Resume`: my session, yours as I know it, the number of the record I expect
    RECORDS    both        records, each of which begins with its own length (u32)
    CONTROL    both        one message of the kind `tag`; its meaning is the sender's and the receiver's
    ALIVE      both        empty: I am here, and here is what has arrived
    BYE        both        UTF-8 text: why the sender ends this connection (`tag` has more)

RECORDS and CONTROL are numbered in one sequence, delivered in order, and kept by their sender until acknowledged. The
others are not: they belong to one connection. Body sizes are bounded: `LINK_HELLO_BYTES` before a peer is
authenticated, `LINK_FRAME_BYTES` after.
"""

import struct
from enum import IntEnum

VERSION = 1

HEADER = struct.Struct("<IBBHIIQQ")
HEADER_BYTES = HEADER.size


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    ANSWER = 2
    AUTH = 3
    RESUME = 4
    RECORDS = 5
    CONTROL = 6
    ALIVE = 7
    BYE = 8


class Bye(IntEnum):
    """What the end of a connection means for the session."""

    BROKEN = 1  # this connection only: the session may be resumed
    ENDED = 2  # the session is over
    REFUSED = 3  # there never was one: the peer is not who it should be, or cannot be understood


class FrameError(ValueError):
    """Bytes that are no frame, or one that has no place here. Its text is the reason the connection ends with."""


def encode_frame(
    kind: int, body: bytes = b"", *, tag: int = 0, count: int = 0, number: int = 0, ack: int = 0, version: int = VERSION
) -> bytes:
    """Return a whole frame."""
    return HEADER.pack(HEADER_BYTES + len(body), version, kind, tag, count, 0, number, ack) + body


def decode_frame(data: bytes) -> tuple[int, int, int, int, int, bytes]:
    """Return (kind, tag, count, number, ack, body) of bytes that hold exactly one frame.

    Sessions take frames apart in place; this is for tools and tests.

    Raises:
        FrameError: They do not.
    """
    if len(data) < HEADER_BYTES:
        raise FrameError(f"a frame of {len(data)} bytes: its header alone has {HEADER_BYTES}")
    length, version, kind, tag, count, zero, number, ack = HEADER.unpack_from(data)
    if length != len(data):
        raise FrameError(f"a frame that says it has {length} bytes has {len(data)}")
    if version != VERSION or zero or kind not in Kind._value2member_map_:
        raise FrameError(f"a frame of version {version}, kind {kind}")
    return kind, tag, count, number, ack, data[HEADER_BYTES:]


def count_records(blob: bytes | bytearray | memoryview) -> int:
    """Return how many records a blob has.

    Raises:
        FrameError: It is no sequence of whole records.
    """
    offset = count = 0
    size = len(blob)
    while offset < size:
        length = int.from_bytes(blob[offset : offset + 4], "little")
        if length < 4 or length > size - offset:
            raise FrameError(f"a record of {length} bytes at {offset} in a blob of {size}")
        offset += length
        count += 1
    return count
