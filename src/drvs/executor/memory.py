"""Fresh memory for what arrives, and copies of any length.

Big arrays arrive in mappings of their own with huge pages asked for: one page fault for 2 MiB instead of 512 takes
most of the time out of receiving them. They are writable, as numpy's users expect of an argument.

A worker uses such a mapping again when nothing refers to it any more. New memory has to be cleared first, which takes
as long as the copy; and a virtual machine may have to get it from its host, which takes ten times as long.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from drvs.base.ids import SELF
from drvs.core import span_of

if TYPE_CHECKING:
    from drvs.core import Endpoint

HUGE_BYTES = 2 << 20
#: A worker keeps so much for calls to come.
SHELF_BYTES = 32 << 20
_only_in_a_list = [object()]
#: How many references `sys.getrefcount(list[i])` finds if the list has the only one.
_UNUSED = sys.getrefcount(_only_in_a_list[0])


def fresh(nbytes: int) -> memoryview:
    """Return `nbytes` of writable memory that nothing else uses."""
    if nbytes < HUGE_BYTES:
        return memoryview(bytearray(nbytes))
    return memoryview(_mapped(nbytes))


def _mapped(nbytes: int) -> mmap.mmap:
    mapped = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    mapped.madvise(mmap.MADV_HUGEPAGE)
    return mapped


class Shelf:
    """Big mappings of a worker, for one call after the other. For one thread."""

    def __init__(self) -> None:
        self._mappings: list[mmap.mmap] = []

    def fresh(self, nbytes: int) -> memoryview:
        """Return `nbytes` of writable memory that nothing else uses (any more); what is in it is of no meaning."""
        if not HUGE_BYTES <= nbytes <= SHELF_BYTES:
            return fresh(nbytes)
        for at in range(len(self._mappings)):
            if sys.getrefcount(self._mappings[at]) == _UNUSED and len(self._mappings[at]) >= nbytes:
                return memoryview(self._mappings[at])[:nbytes]
        mapped = _mapped(nbytes)
        self._mappings.append(mapped)
        while sum(map(len, self._mappings)) > SHELF_BYTES:
            del self._mappings[0]  # whoever still uses it has it for himself from now on
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
