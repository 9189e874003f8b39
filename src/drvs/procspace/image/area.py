"""The memory a restore works in: code, tables, frames and stacks at fixed addresses, made before it exists there."""

from __future__ import annotations

import struct

from drvs.procspace.image.machine import HIGHEST, PAGE, blob
from drvs.procspace.image.remote import AREA_MAGIC

_HEAD = struct.Struct("<16sQiIII")
_OP = struct.Struct("<7Qq")
_STACK = 8192
MAY_FAIL = 1 << 32

PAGES, THREAD, PATCH_TID, ARRIVE, AWAIT, RELEASE, SIGRETURN, QUEUE = range(0x10000, 0x10008)
"""What a table's line can be besides a system call; csrc/image/blob.h explains them."""

Op = tuple[int, ...]
"""Number and arguments."""


class Area:
    """Bytes that will stand at `base`: one page of head, the code, then what is put."""

    def __init__(self, base: int, status_fd: int) -> None:
        self.base = base
        self.code, self.entry = blob()
        self.code_at = PAGE
        self.code_end = PAGE + (len(self.code) + PAGE - 1) // PAGE * PAGE
        self._status_fd = status_fd
        self._parts: list[bytes] = []
        self._end = self.code_end

    def put(self, data: bytes, align: int = 8) -> int:
        """Place bytes, and return their address."""
        at = self.reserve(align)
        self._parts.append(data)
        self._end += len(data)
        return at

    def reserve(self, align: int) -> int:
        """Return the address that the next bytes with this alignment will have."""
        gap = -self._end % align
        self._parts.append(bytes(gap))
        self._end += gap
        return self.base + self._end

    def ops(self, ops: list[Op]) -> int:
        """Place a table."""
        return self.put(b"".join(pack_op(op) for op in ops), 64)

    def stack(self) -> int:
        """Place a stack, and return the address of its first byte."""
        return self.put(bytes(_STACK), 64)

    @staticmethod
    def stack_bytes() -> int:
        """Return the size of a stack."""
        return _STACK

    def image(self) -> bytearray:
        """Return all bytes."""
        self._parts.append(bytes(-self._end % PAGE))
        self._end += -self._end % PAGE
        head = _HEAD.pack(AREA_MAGIC, self._end, self._status_fd, 0, 0, 0).ljust(PAGE, b"\0")
        return bytearray(head + self.code.ljust(self.code_end - PAGE, b"\0") + b"".join(self._parts))

    @property
    def end(self) -> int:
        """Where it ends, once `image` has been called."""
        return self.base + self._end


def pack_op(op: Op) -> bytes:
    """Encode a line of a table."""
    words = [value & 2**64 - 1 for value in op]
    return _OP.pack(*words, *[0] * (7 - len(words)), 0)


def find_base(taken: list[tuple[int, int]]) -> int:
    """Return an address in the middle of the largest gap between mappings: far from all that grows."""
    before, best = 1 << 16, (0, 0)
    for start, end in [*sorted(taken), (HIGHEST, HIGHEST)]:
        best = max(best, (start - before, before))
        before = max(before, end)
    size, start = best
    return (start + size // 2) & ~(PAGE - 1)
