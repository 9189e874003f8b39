"""Fresh memory for what arrives, and copies of any length.

Big arrays arrive in mappings of their own with huge pages asked for: one page fault for 2 MiB instead of 512 takes
most of the time out of receiving them. They are writable, as numpy's users expect of an argument.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from drvs.base.ids import SELF
from drvs.core import span_of

if TYPE_CHECKING:
    from drvs.core import Endpoint

HUGE_BYTES = 2 << 20


def fresh(nbytes: int) -> memoryview:
    """Return `nbytes` of writable memory that nothing else uses."""
    if nbytes < HUGE_BYTES:
        return memoryview(bytearray(nbytes))
    mapped = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    mapped.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(mapped)


def copy_in(endpoint: Endpoint, source: int, address: int, into: memoryview) -> None:
    """Copy from another endpoint's memory, in pieces of what the VM allows."""
    here, nbytes = span_of(into)
    step = endpoint.region.copy_len_max
    for done in range(0, nbytes, step):
        endpoint.copy_raw(source, address + done, SELF, here + done, min(step, nbytes - done))


def copy_out(endpoint: Endpoint, data: bytes | memoryview, destination: int, address: int) -> None:
    """Copy into another endpoint's memory, in pieces of what the VM allows."""
    here, nbytes = span_of(data)
    step = endpoint.region.copy_len_max
    for done in range(0, nbytes, step):
        endpoint.copy_raw(SELF, here + done, destination, address + done, min(step, nbytes - done))


def fetch(endpoint: Endpoint, source: int, spans: Sequence[tuple[int, int]]) -> list[memoryview]:
    """Copy (address, length) pieces of another endpoint's memory into fresh memory."""
    parts = []
    for address, nbytes in spans:
        part = fresh(nbytes)
        copy_in(endpoint, source, address, part)
        parts.append(part)
    return parts
