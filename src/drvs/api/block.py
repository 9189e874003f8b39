"""Blocks: memory that other processes may copy from and to.

A copy reads and writes memory by address, so the memory must stay where it is for as long as somebody may use the
address. A Block holds the export of a buffer: while it does, a bytearray cannot be resized and an array cannot be
freed. What travels in a message is a block's address and length:

    with ep.block(64 * 1024) as block:
        answer = ep.sendrec(server, Message(READ, m1_p1=block.address, m1_i1=block.length))
        data = bytes(block.view[: answer.m1_i1])
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from drvs.core import Span, span_of

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Block(Span):
    """A buffer of this process, held in place and offered for copies.

    A slice (``block[4096:8192]``) is a Block too, over a part of the same memory, and holds it as well. Leaving the
    ``with`` statement, or `release`, lets the buffer go; from then on copies through this Block are refused, while an
    address that another process still knows is as dangerous as any stale pointer: answer or time out such requests
    first.

    Attributes:
        address: where the first byte is, in this process.
        length: bytes.
        readonly: True if it can only be a source.
        held: True until it is released.
    """

    __slots__ = ("_view", "_on_release", "__weakref__")

    def __init__(self, buffer: Buffer) -> None:
        """Hold `buffer`.

        Args:
            buffer: anything with the buffer protocol whose bytes lie in one piece: bytes, bytearray, memoryview, mmap,
                array.array, a numpy array.

        Raises:
            TypeError: it has no buffer protocol.
            ValueError: its bytes do not lie in one piece; copy it first (numpy: ascontiguousarray).
        """
        view = memoryview(buffer)
        if not view.c_contiguous:
            raise ValueError(
                "a Block needs bytes in one piece: make a contiguous copy first (numpy: ascontiguousarray)"
            )
        self._view: memoryview | None = view
        self._on_release: Callable[[Block], object] | None = None
        self.readonly = view.readonly
        self.address, self.length = span_of(view)
        self.held = True

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        kind = "released" if self._view is None else "read-only" if self.readonly else "writable"
        return f"<Block {self.length} bytes at {self.address:#x}, {kind}>"

    @property
    def released(self) -> bool:
        """Tell whether the buffer has been let go."""
        return self._view is None

    @property
    def view(self) -> memoryview:
        """The block's memory as bytes; valid while the Block is held.

        Raises:
            ValueError: the Block was released.
        """
        view = self._held()
        return view if view.format == "B" and view.ndim == 1 else view.cast("B")

    def array(self, dtype: Any = "uint8", shape: int | tuple[int, ...] = -1) -> Any:
        """Return a numpy array over the block's memory (needs numpy); it holds the memory like any other user of it."""
        import numpy as np

        return np.frombuffer(self._held(), dtype=dtype).reshape(shape)

    def __getitem__(self, part: slice) -> Block:
        """Return the part [start:stop] as a Block of its own (step 1 only)."""
        start, stop, step = part.indices(self.length)
        if step != 1:
            raise ValueError("a part of a Block is contiguous: use a step of 1")
        piece = Block.__new__(Block)
        piece._view = self.view[start:stop]
        piece._on_release = None
        piece.readonly, piece.held = self.readonly, True
        piece.address, piece.length = self.address + start, max(stop - start, 0)
        return piece

    def release(self) -> None:
        """Let the buffer go. A second time does nothing."""
        view, self._view = self._view, None
        self.held = False
        if view is None:
            return
        if self._on_release is not None:
            self._on_release(self)
        try:
            view.release()
        except BufferError:
            pass  # an array made by `array` still uses it: the memory goes when that does

    def __enter__(self) -> Block:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _held(self) -> memoryview:
        if self._view is None:
            raise ValueError("this Block was released: its memory may be gone; make a new one")
        return self._view


def shared_memory(nbytes: int) -> mmap.mmap:
    """Allocate `nbytes` of zeroed shared memory of this process's own.

    It is allocated in full at once, so that a full tmpfs is an error here and never a SIGBUS in the middle of a copy,
    and sealed against shrinking for the same reason.

    Raises:
        ValueError: fewer than 1 byte.
        OSError: there is not enough memory.
    """
    if nbytes < 1:
        raise ValueError(f"a block has at least 1 byte, not {nbytes}")
    fd = os.memfd_create("drvs-block", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(fd, 0, nbytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        return mmap.mmap(fd, nbytes)
    finally:
        os.close(fd)
