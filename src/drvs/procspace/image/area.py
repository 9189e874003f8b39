"""The memory a restore works in: code, stacks, tables and frames at fixed addresses, made before it exists there."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from drvs.procspace.image.machine import HIGHEST, PAGE, PROGRAM_AT, blob

AREA_MAGIC = b"drvs image area\0"

CONTROL_FD, AREA_FD = 3, 4
"""Where the program of `machine.program` finds its socket and the file with its area."""
MAY_FAIL = 1 << 32

PAGES, THREAD, PATCH_TID, ARRIVE, AWAIT, RELEASE, SIGRETURN, QUEUE = range(0x10000, 0x10008)
STORE, STORE_RANK, STORE_SIZE, DIGITS, SERVE, RECEIVE, STATUS, SYSTEM, ANSWER, BECOME = range(0x10008, 0x10012)
"""What a table's line can be besides a system call; csrc/image/blob.h explains them."""

Op = tuple[int, ...]
"""Number and arguments."""

_HEAD = struct.Struct("<16sQiIII3Q7QQ")
_STACK = 8192
_WORDS = 8
_MASK = 2**64 - 1
_PROGRAM_END = PROGRAM_AT + (1 << 24)
_TOP = 0x7E00_0000_0000
"""Above it a new program may have its stack and the kernel's mappings, wherever the kernel has put them."""


class Area:
    """A page of head, the code and a stack for each thread; then what is put."""

    def __init__(self, base: int, stacks: int) -> None:
        self.base = base
        self._code, self._entry = blob()
        self._code_end = PAGE + (len(self._code) + PAGE - 1) // PAGE * PAGE
        self._stacks = iter(range(base + self._code_end, base + self._code_end + stacks * _STACK, _STACK))
        self._first = self._end = self._code_end + stacks * _STACK
        self._parts: list[bytes] = []

    def put(self, data: bytes, align: int = 8) -> int:
        """Place bytes, and return their address."""
        at = self.reserve(align)
        self._parts.append(data)
        self._end += len(data)
        return at

    def reserve(self, align: int) -> int:
        """Return the address that the next bytes with this alignment will have."""
        gap = -self._end % align
        if gap:
            self._parts.append(bytes(gap))
            self._end += gap
        return self.base + self._end

    def ops(self, ops: list[Op]) -> int:
        """Place a table."""
        return self.put(pack(ops), 64)

    def stack(self) -> tuple[int, int]:
        """Return the lowest address and the bytes of another stack."""
        return next(self._stacks), _STACK

    def end_with(self, lines: int) -> int:
        """Return where the area will end if a table of so many lines is all that follows."""
        end = self.reserve(64) + lines * _WORDS * 8
        return end + -end % PAGE

    def content(self, ops: int, stack: int) -> bytes:
        """Return all bytes as they stand in the area's file: the stacks, which are empty, are left out.

        Args:
            ops: where the first thread's table is.
            stack: the end of its stack.
        """
        nbytes = self._end + -self._end % PAGE
        code = self.base + PAGE
        head = _HEAD.pack(
            AREA_MAGIC, nbytes, CONTROL_FD, 0, 0, 0, 0, 0, 0, self.base, PAGE, self._code_end - PAGE, self._first,
            code + self._entry, ops, stack, 0,
        )  # fmt: skip
        return b"".join((head.ljust(PAGE, b"\0"), self._code.ljust(self._code_end - PAGE, b"\0"), *self._parts))


def pack(ops: Iterable[Op]) -> bytes:
    """Encode the lines of a table."""
    words: list[int] = []
    for op in ops:
        words += op
        words += (0,) * (_WORDS - len(op))
    try:
        return struct.pack(f"<{len(words)}Q", *words)
    except struct.error:  # the way for negative numbers is slower
        return struct.pack(f"<{len(words)}Q", *(word & _MASK for word in words))


def find_base(taken: list[tuple[int, int]]) -> int:
    """Return an address in the middle of the largest gap between mappings: far from all that grows."""
    before, best = _PROGRAM_END, (0, 0)
    for start, end in [*sorted(taken), (_TOP, HIGHEST)]:
        best = max(best, (start - before, before))
        before = max(before, end)
    size, start = best
    return (start + size // 2) & ~(PAGE - 1)
