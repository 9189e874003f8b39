"""The lines of a restore's table that make its memory: the kernel's mappings moved, the regions mapped and filled."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from drvs.procspace.image import calls, machine, model
from drvs.procspace.image.area import MAY_FAIL, PAGES, SYSTEM, Op
from drvs.procspace.image.machine import HIGHEST

DONTFORK = 10

_PROT_READ_WRITE = 3
_MAP_SHARED, _MAP_PRIVATE, _MAP_DROPPABLE, _MAP_FIXED, _MAP_ANONYMOUS = 1, 2, 8, 0x10, 0x20
_MAP_GROWSDOWN, _MAP_NORESERVE = 0x100, 0x4000
_MREMAP = 1 | 2
_MADV_GUARD_INSTALL = 102
_NO_FD = 2**32 - 1

Mapped = Callable[[model.Region], int]
"""Gives the descriptor of a region's file, -1 for anonymous memory."""


def clear(meta: model.Meta, base: int, end: int) -> list[Op]:
    """Clear the address space but for the area, and put the kernel's mappings where they were."""
    places = {name: start for name, start, _ in meta.machine.system}
    ours = machine.own_system()
    vdso = next((start for name, start, _ in ours if name == "[vdso]"), 0)
    kept = sum(end - start for _, start, end in ours)
    away: list[Op] = []
    back: list[Op] = []
    parked = base - kept
    for name, start, stop in ours:
        size = stop - start
        away.append((SYSTEM, (start - vdso) & 2**64 - 1, size, parked))
        back.append((calls.MREMAP, parked, size, size, _MREMAP, places[name]))
        parked += size
    return [*away, (calls.MUNMAP, 0, base - kept), (calls.MUNMAP, end, HIGHEST - end), *back]


def fill(regions: Iterable[model.Region], mapped: Mapped, stream: int, base: int, end: int) -> list[Op]:
    """Map regions and read all pages into them."""
    return [*(_map(region, mapped(region)) for region in regions), (PAGES, stream, base, end, HIGHEST)]


def complete(region: model.Region, *, template: bool = False) -> list[Op]:
    """Give a region what it had besides its pages. A template leaves to its copies what a fork would undo."""
    size = region.end - region.start
    ops: list[Op] = [(calls.MADVISE, address, nbytes, _MADV_GUARD_INSTALL) for address, nbytes in region.guards]
    if region.has_pages and region.prot | _PROT_READ_WRITE != region.prot:
        ops.append((calls.MPROTECT, region.start, size, region.prot))
    late = _after_fork(region)
    ops += [(calls.MADVISE | MAY_FAIL, region.start, size, advice) for advice in region.advice if advice != DONTFORK]
    return ops if template else ops + late


def in_copies(region: model.Region) -> list[Op]:
    """Return what a fork has undone."""
    return _after_fork(region)


def remap(region: model.Region, fd: int) -> list[Op]:
    """Map a region of a memfd that each copy has for itself."""
    return [_map(region, fd), *complete(region)]


def _after_fork(region: model.Region) -> list[Op]:
    size = region.end - region.start
    ops: list[Op] = []
    if DONTFORK in region.advice:
        ops.append((calls.MADVISE | MAY_FAIL, region.start, size, DONTFORK))
    if region.locked:
        ops.append((calls.MLOCK, region.start, size))
    return ops


def _map(region: model.Region, fd: int) -> Op:
    flags = _MAP_FIXED | (_MAP_SHARED if region.shared else _MAP_DROPPABLE if region.droppable else _MAP_PRIVATE)
    if fd < 0:
        fd = _NO_FD
        flags |= _MAP_ANONYMOUS
    flags |= (_MAP_GROWSDOWN if region.grows_down else 0) | (_MAP_NORESERVE if region.noreserve else 0)
    prot = region.prot | _PROT_READ_WRITE if region.has_pages else region.prot
    return (calls.MMAP, region.start, region.end - region.start, prot, flags, fd, region.offset)
