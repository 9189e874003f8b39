"""What the proxies of two nodes tell each other beside commands: control messages of their session.

    STATE        a fresh session begins: all VMs of the sender that span nodes, and all names in them
    VM           such a VM runs there now
    VM_ENDED     it does not any more
    VM_WANTED    please run this VM too
    VM_REFUSED   it cannot be done, and why
    NAME         an endpoint with a name was bound there
    GONE         an endpoint was unbound there
    SEEN         the STATE that ended with that event has arrived

Bodies are MessagePack arrays of the fields below. A message that cannot be decoded, or that breaks a bound, is
skipped and noted: the session has proved who sent it, so this is a matter of versions.
"""

from enum import IntEnum
from typing import Any

import msgspec


class Kind(IntEnum):
    """The kind of a control message."""

    STATE = 1
    VM = 2
    VM_ENDED = 3
    VM_WANTED = 4
    VM_REFUSED = 5
    NAME = 6
    GONE = 7
    SEEN = 8


class VmEntry(msgspec.Struct, array_like=True, frozen=True):
    """A VM as its node describes it. `nodes`: those that it is meant to span."""

    vmid: int
    name: str
    nr_procs: int
    nr_tasks: int
    nr_sysprocs: int
    nodes: tuple[int, ...]


class NameEntry(msgspec.Struct, array_like=True, frozen=True):
    """A named endpoint."""

    vmid: int
    endpoint: int
    name: str


class Gone(msgspec.Struct, array_like=True, frozen=True):
    """An endpoint that was unbound. `incarnation`: its owner's, as in the records that it sent; 0: unknown."""

    vmid: int
    endpoint: int
    incarnation: int = 0


class State(msgspec.Struct, array_like=True, frozen=True):
    """All that a fresh session has to know.

    `anew`: the sender does not know what the receiver has been told before: all that was known of it is void.
    Otherwise `gone` are the endpoints that were unbound since what it is known to have seen. `event` is the last one.
    """

    vms: tuple[VmEntry, ...]
    names: tuple[NameEntry, ...]
    anew: bool
    gone: tuple[Gone, ...]
    event: int


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """A State that has arrived."""

    event: int


class VmEnded(msgspec.Struct, array_like=True, frozen=True):
    """A VM that ended on its node."""

    vmid: int


class VmRefused(msgspec.Struct, array_like=True, frozen=True):
    """A VM that the sender was asked to run and cannot."""

    vmid: int
    reason: str


Message = State | Seen | VmEntry | VmEnded | VmRefused | NameEntry | Gone

_BODIES: dict[Kind, type[Any]] = {
    Kind.STATE: State,
    Kind.VM: VmEntry,
    Kind.VM_ENDED: VmEnded,
    Kind.VM_WANTED: VmEntry,
    Kind.VM_REFUSED: VmRefused,
    Kind.NAME: NameEntry,
    Kind.GONE: Gone,
    Kind.SEEN: Seen,
}
_decoders = {kind: msgspec.msgpack.Decoder(body) for kind, body in _BODIES.items()}
encode = msgspec.msgpack.Encoder().encode


def decode(kind: int, body: bytes) -> tuple[Kind, Message]:
    """Read a control message.

    Raises:
        ValueError: it is none that this version knows.
    """
    try:
        known = Kind(kind)
        message: Message = _decoders[known].decode(body)
    except (ValueError, msgspec.DecodeError) as error:
        raise ValueError(f"control message {kind}: {error}") from None
    return known, message
