"""The datagram: 40 bytes, little-endian, then the body. This table is the format, version 1:

     0  u8   version
     1  u8   kind      OPEN, DATA, ACK
     2  u16  zero      4  u32  zero
     8  u64  to        the connection at the receiver, as the receiver numbers it; 0 in the first OPEN
    16  u64  number    OPEN: the sender's own number of the connection; DATA, ACK: of the datagram, each kind from 0
    24  u64  next      the DATA datagram that the sender expects next; all before it have arrived. OPEN: 0
    32  u64  map       bit i: DATA datagram next + 1 + i has arrived. OPEN: 0
    40  …    body      OPEN: frames of the handshake, or BYE; DATA: a piece of the stream of frames; ACK: nothing

The bodies of DATA in order of their numbers are the stream of frames. Where nodes have certificates, the body of DATA
and ACK is sealed (16 bytes longer), with the header as associated data, and kind and number as the nonce.
"""

import struct
from enum import IntEnum

VERSION = 1
HEADER = struct.Struct("<BBHIQQQQ")
HEADER_BYTES = HEADER.size
#: How many datagrams `map` can speak of.
MAP_BITS = 64


class DatagramKind(IntEnum):
    """What a datagram is."""

    OPEN = 1
    DATA = 2
    ACK = 3


def encode_header(kind: int, to: int, number: int, following: int = 0, arrived: int = 0) -> bytes:
    """Return the header of a datagram."""
    return HEADER.pack(VERSION, kind, 0, 0, to, number, following, arrived)


def decode_header(data: bytes) -> tuple[int, int, int, int, int] | None:
    """Return (kind, to, number, next, map), or None if this is no datagram of ours: anybody may send anything."""
    if len(data) < HEADER_BYTES:
        return None
    version, kind, zero, more, to, number, following, arrived = HEADER.unpack_from(data)
    if version != VERSION or zero or more or kind not in (1, 2, 3):
        return None
    return kind, to, number, following, arrived
