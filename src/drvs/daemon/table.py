"""The private bind table: what noded knows, in a memfd that outlives it.

    page 0                 magic, version, then the node's parameters as JSON
    pages 1 …              one record of 2048 bytes for each VM id: JSON
    behind them            one record of 32 bytes for each node, and of 128 for each proxy pair, fixed fields
    at the end             one record of 128 bytes for each binding, fixed fields

Only noded and the keeper have the descriptor. Every write is one pwrite inside one page, so a SIGKILL leaves the old
record or the new one. Memory is allocated in chunks before it is written: a full machine is an error of bind, not a
SIGBUS.
"""

import os
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from drvs.base import limits

MAGIC = b"DRVSbind"
VERSION = 2
PAGE = 4096

_HEAD = struct.Struct("<8sII")  # magic, version, length of the JSON
_BLOB = struct.Struct("<I")  # length of the JSON
_VM_BYTES = 2048
_NODES_AT = PAGE + limits.MAX_VMS * _VM_BYTES
_NODE = struct.Struct("<II16s")
_NODE_BYTES = 32
_PAIRS_AT = _NODES_AT + limits.MAX_NODES * _NODE_BYTES
_PAIR = struct.Struct("<I7Q16s")
_PAIR_BYTES = 128
_BINDINGS_AT = _PAIRS_AT + limits.MAX_PAIRS * _PAIR_BYTES
_RECORD = struct.Struct("<IIiiQIIIIiiQQQ16s")
_RECORD_BYTES = 128
_CHUNK = 512  # records allocated at a time


class State(IntEnum):
    """Where a binding is in its life."""

    FREE = 0
    PENDING = 1  # written before the region knows of it
    BOUND = 2


class Record(NamedTuple):
    """One binding as it is stored; the fields in their order on the page."""

    state: int
    kind: int
    pid: int
    tid: int  # of a bound thread; 0: the process
    start: int  # of the process, or of the bound thread
    uid: int
    vm_serial: int
    slot: int
    incarnation: int
    endpoint: int
    vmid: int
    calls: int  # s_call_mask, which noded enforces
    alarm_ns: int
    cookie: int
    name: bytes


class NodeRecord(NamedTuple):
    """Another node as it is stored: what is true of it (base.flags.NodeFlag, 0: unknown), and by which pair."""

    flags: int
    px: int
    name: bytes


class PairRecord(NamedTuple):
    """A proxy pair as it is stored: base.flags.PairFlag (0: free), then pid, tid and start time of each process."""

    flags: int
    sender_pid: int
    sender_tid: int
    sender_start: int
    receiver_pid: int
    receiver_tid: int
    receiver_start: int
    serial: int
    name: bytes


FREE_NODE = NodeRecord(0, 0, b"")
FREE_PAIR = PairRecord(0, 0, 0, 0, 0, 0, 0, 0, b"")


class BindTable:
    """The table in its memfd. Records are numbered; free numbers are reused lowest first."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        size = os.fstat(fd).st_size
        self._allocated = max(0, (size - _BINDINGS_AT) // _RECORD_BYTES)
        self._unused = 0  # records from here on were never used
        self._free: list[int] = []

    @classmethod
    def create(cls) -> "BindTable":
        """Make an empty table.

        Raises:
            OSError: there is no memory for it.
        """
        fd = os.memfd_create("drvs-bindings", os.MFD_CLOEXEC)
        os.posix_fallocate(fd, 0, _BINDINGS_AT)
        table = cls(fd)
        table.write_node({})
        return table

    @classmethod
    def adopt(cls, fd: int) -> "BindTable":
        """Take over a table that a predecessor left.

        Raises:
            ValueError: it is none, or of another version; the text says which.
        """
        head = os.pread(fd, _HEAD.size, 0)
        if len(head) < _HEAD.size or head[:8] != MAGIC:
            raise ValueError("the kept bind table is damaged")
        version = _HEAD.unpack(head)[1]
        if version != VERSION:
            raise ValueError(f"the kept bind table has version {version}, this noded knows {VERSION}")
        return cls(fd)

    # ---- node and VMs ----------------------------------------------------------------------------------------

    def write_node(self, fields: dict[str, Any]) -> None:
        """Store the node's parameters."""
        text = msgspec.json.encode(fields)
        os.pwrite(self.fd, _HEAD.pack(MAGIC, VERSION, len(text)) + text, 0)

    def read_node(self) -> dict[str, Any]:
        """Return the node's parameters; empty while it is not initialised."""
        length = _HEAD.unpack(os.pread(self.fd, _HEAD.size, 0))[2]
        return _object(os.pread(self.fd, min(length, PAGE), _HEAD.size))

    def write_vm(self, vmid: int, fields: dict[str, Any]) -> None:
        """Store what belongs to a VM; empty: there is none."""
        text = msgspec.json.encode(fields)
        os.pwrite(self.fd, _BLOB.pack(len(text)) + text, PAGE + vmid * _VM_BYTES)

    def read_vm(self, vmid: int) -> dict[str, Any]:
        """Return what belongs to a VM; empty if there is none."""
        at = PAGE + vmid * _VM_BYTES
        length = _BLOB.unpack(os.pread(self.fd, _BLOB.size, at))[0]
        return _object(os.pread(self.fd, min(length, _VM_BYTES), at + _BLOB.size)) if length else {}

    # ---- other nodes, and the proxies that lead there --------------------------------------------------------

    def write_peer(self, number: int, record: NodeRecord) -> None:
        """Store a node."""
        os.pwrite(self.fd, _NODE.pack(*record), _NODES_AT + number * _NODE_BYTES)

    def read_peers(self) -> dict[int, NodeRecord]:
        """Return the nodes that are known, by number."""
        found = _records(os.pread(self.fd, limits.MAX_NODES * _NODE_BYTES, _NODES_AT), _NODE, _NODE_BYTES)
        return {number: NodeRecord(*fields) for number, fields in found}

    def write_pair(self, px: int, record: PairRecord) -> None:
        """Store a proxy pair."""
        os.pwrite(self.fd, _PAIR.pack(*record), _PAIRS_AT + px * _PAIR_BYTES)

    def read_pairs(self) -> dict[int, PairRecord]:
        """Return the pairs that are in use, by number."""
        found = _records(os.pread(self.fd, limits.MAX_PAIRS * _PAIR_BYTES, _PAIRS_AT), _PAIR, _PAIR_BYTES)
        return {px: PairRecord(*fields) for px, fields in found}

    # ---- bindings --------------------------------------------------------------------------------------------

    def allocate(self) -> int:
        """Return the number of a free record.

        Raises:
            OSError: there is no memory for another one, or limits.BINDINGS is reached.
        """
        if self._free:
            return self._free.pop()
        if self._unused >= self._allocated:
            self._grow()
        self._unused += 1
        return self._unused - 1

    def write(self, number: int, record: Record) -> None:
        """Store a binding."""
        os.pwrite(self.fd, _RECORD.pack(*record), _BINDINGS_AT + number * _RECORD_BYTES)

    def release(self, number: int) -> None:
        """Forget a binding; its number is free."""
        os.pwrite(self.fd, b"\0\0\0\0", _BINDINGS_AT + number * _RECORD_BYTES)
        self._free.append(number)

    def scan(self) -> Iterator[tuple[int, Record]]:
        """Read everything back, once, before any other use: yields what is not free, and learns which numbers are."""
        self._unused = self._allocated
        self._free = []
        for first in range(0, self._allocated, _CHUNK):
            chunk = os.pread(self.fd, _CHUNK * _RECORD_BYTES, _BINDINGS_AT + first * _RECORD_BYTES)
            for at in range(0, len(chunk) - _RECORD_BYTES + 1, _RECORD_BYTES):
                record = Record(*_RECORD.unpack_from(chunk, at))
                if record.state == State.FREE:
                    self._free.append(first + at // _RECORD_BYTES)
                else:
                    yield first + at // _RECORD_BYTES, record
        self._free.reverse()

    def _grow(self) -> None:
        if self._allocated + _CHUNK > limits.BINDINGS:
            raise OSError(f"the node has {limits.BINDINGS} endpoints (limit `bindings`)")
        os.posix_fallocate(self.fd, _BINDINGS_AT + self._allocated * _RECORD_BYTES, _CHUNK * _RECORD_BYTES)
        self._allocated += _CHUNK


def _records(data: bytes, layout: struct.Struct, size: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The records of a table that are in use: their first field is not 0."""
    for number in range(len(data) // size):
        fields = layout.unpack_from(data, number * size)
        if fields[0]:
            yield number, fields


def _object(text: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
