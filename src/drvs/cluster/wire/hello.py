"""The two messages that sessions begin with, as MessagePack maps.

They are maps, and unknown keys are ignored, so that versions that know more can still introduce themselves to this
one. HELLO and ANSWER must never lose a key that version 1 has.
"""

from typing import Annotated, TypeVar

import msgspec

from drvs.cluster.wire.frames import FrameError

Name = Annotated[str, msgspec.Meta(max_length=63)]
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Random = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Limits(msgspec.Struct, frozen=True):
    """What a node was initialised with, as far as its peers have to know."""

    nr_tasks: Annotated[int, msgspec.Meta(ge=0, le=299)] = 67
    nr_procs: Number = 189
    nr_nodes: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 32
    copy_len_max: Number = 524288


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Who a node is, and what its end of the connection needs. HELLO and ANSWER have the same."""

    versions: tuple[Annotated[int, msgspec.Meta(ge=1, le=255)], Annotated[int, msgspec.Meta(ge=1, le=255)]]
    cluster: Name
    node: Annotated[int, msgspec.Meta(ge=0, lt=4096)]
    name: Name
    incarnation: Number
    limits: Limits
    nonce: Random
    #: An X25519 public key made for this connection; empty when insecure.
    share: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    #: The node's certificate (DER); empty when insecure.
    certificate: Annotated[bytes, msgspec.Meta(max_length=2048)] = b""
    #: The longest frame that this end takes.
    frame_bytes: Annotated[int, msgspec.Meta(ge=8192, le=1 << 30)] = 1 << 20
    #: The longest datagram that this end takes; 0 for streams.
    datagram_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 24)] = 0


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session stands."""

    #: This end's session: random, a new one for each `Session` object.
    session: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    #: The other end's as this one knows it; 0: it knows none.
    known: Number
    #: The number of the record that this end expects next.
    next: Number


Message = TypeVar("Message", Hello, Resume)

_encode = msgspec.msgpack.Encoder().encode
_decoders = {kind: msgspec.msgpack.Decoder(kind) for kind in (Hello, Resume)}


def encode_message(message: Hello | Resume) -> bytes:
    """Return the body of the frame."""
    return _encode(message)


def decode_message(kind: type[Message], body: bytes | memoryview) -> Message:
    """Take the body of a frame apart.

    Raises:
        FrameError: It is not such a message.
    """
    try:
        found: Message = _decoders[kind].decode(body)  # type: ignore[assignment]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # text that is not UTF-8; maps in maps in maps
        raise FrameError(f"a malformed {kind.__name__.upper()}: {error}") from None
    return found
