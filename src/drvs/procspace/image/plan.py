"""The table of a restore: every step from the caller's copy to the program's next instruction, as system calls."""

from __future__ import annotations

import signal
import struct
from dataclasses import dataclass

from drvs.procspace.image import area as area_module
from drvs.procspace.image import calls, maps, model
from drvs.procspace.image.area import AWAIT, MAY_FAIL, PAGES, PATCH_TID, QUEUE, RELEASE, SIGRETURN, THREAD, Area, Op
from drvs.procspace.image.machine import HIGHEST, PAGE
from drvs.procspace.image.registers import Registers, signal_frame

READY = b"READY"

_PROT_READ_WRITE = 3
_MAP_SHARED, _MAP_PRIVATE, _MAP_DROPPABLE, _MAP_FIXED, _MAP_ANONYMOUS = 1, 2, 8, 0x10, 0x20
_MAP_GROWSDOWN, _MAP_NORESERVE = 0x100, 0x4000
_MREMAP = 1 | 2
_MADV_GUARD_INSTALL = 102
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_MM, _PR_SET_MM_MAP = 1, 4, 15, 35, 14
_ARCH_SET_GS, _ARCH_SET_FS = 0x1001, 0x1002
_THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000
"""CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM."""
_NO_FD = 2**32 - 1


@dataclass
class Files:
    """Descriptors that the table uses, all above those of the image."""

    stream: int
    status: int
    above: int
    mapped: dict[int, int]
    """By index into the image's files; for shared mappings that may be written, opened so."""
    memfds: dict[int, int]
    exe: int = -1


@dataclass
class Plan:
    """What `image_enter` takes."""

    area: Area
    data: bytearray
    ops: int
    stack: int


def make(meta: model.Meta, own: list[maps.Vma], files: Files, keep_ids: bool) -> Plan:
    """Build the table for a process whose own memory map is `own`."""
    taken = [(region.start, region.end) for region in meta.regions]
    taken += [(vma.start, vma.end) for vma in own] + [(start, end) for _, start, end in meta.machine.system]
    kept = sum(vma.end - vma.start for vma in own if vma.system)
    base = area_module.find_base(taken)
    area = Area(base, files.status)
    stack = area.stack() - base + Area.stack_bytes()
    threads = [_thread_op(area, thread, meta, keep_ids) for thread in meta.threads[1:]]
    late = [
        *_process(area, meta, files), *threads, (AWAIT, len(threads)), *_own_state(area, meta.threads[0], meta),
        *_finish(area, meta, files), (RELEASE,), (SIGRETURN, _frame(area, meta.threads[0])),
    ]  # fmt: skip
    # The table's own length moves nothing: its addresses are those of what has been put before it.
    count = len(_early(meta, own, files, base, base, kept)) + len(late)
    end = area.reserve(64) + 64 * count
    end += -end % PAGE
    ops = area.ops(_early(meta, own, files, base, end, kept) + late)
    data = area.image()
    assert area.end == end
    return Plan(area, data, ops - base, stack)


def _early(meta: model.Meta, own: list[maps.Vma], files: Files, base: int, end: int, kept: int) -> list[Op]:
    """Clear the address space but for the area, put the kernel's mappings where they were, map and fill everything."""
    parked = base - kept
    ops: list[Op] = []
    back: list[Op] = []
    places = {name: start for name, start, _ in meta.machine.system}
    for vma in (vma for vma in own if vma.system):
        size = vma.end - vma.start
        ops.append((calls.MREMAP, vma.start, size, size, _MREMAP, parked))
        back.append((calls.MREMAP, parked, size, size, _MREMAP, places[vma.name]))
        parked += size
    ops += [(calls.MUNMAP, 0, base - kept), (calls.MUNMAP, end, HIGHEST - end), *back]
    ops += [_map(region, files) for region in meta.regions]
    ops.append((PAGES, files.stream, base, end, HIGHEST))
    for region in meta.regions:
        ops += _complete(region)
    return ops


def _map(region: model.Region, files: Files) -> Op:
    flags = _MAP_FIXED | (_MAP_SHARED if region.shared else _MAP_DROPPABLE if region.droppable else _MAP_PRIVATE)
    fd = _NO_FD
    if region.memfd >= 0:
        fd = files.memfds[region.memfd]
    elif region.file >= 0:
        fd = files.mapped[region.file]
    else:
        flags |= _MAP_ANONYMOUS
    flags |= (_MAP_GROWSDOWN if region.grows_down else 0) | (_MAP_NORESERVE if region.noreserve else 0)
    prot = region.prot | _PROT_READ_WRITE if region.has_pages else region.prot
    return (calls.MMAP, region.start, region.end - region.start, prot, flags, fd, region.offset)


def _complete(region: model.Region) -> list[Op]:
    size = region.end - region.start
    ops: list[Op] = [(calls.MADVISE, address, nbytes, _MADV_GUARD_INSTALL) for address, nbytes in region.guards]
    if region.has_pages and region.prot | _PROT_READ_WRITE != region.prot:
        ops.append((calls.MPROTECT, region.start, size, region.prot))
    ops += [(calls.MADVISE | MAY_FAIL, region.start, size, advice) for advice in region.advice]
    if region.locked:
        ops.append((calls.MLOCK, region.start, size))
    return ops


def _process(area: Area, meta: model.Meta, files: Files) -> list[Op]:
    """What all threads share: layout, limits, signal actions, personality."""
    ops: list[Op] = []
    auxv = area.put(meta.memory.auxv)
    with_exe, without = (
        area.put(struct.pack("<11QQII", *meta.memory.layout, auxv, len(meta.memory.auxv), fd))
        for fd in (files.exe & _NO_FD, _NO_FD)
    )
    # The link to the program's file needs a capability; everything else does not.
    ops.append((calls.PRCTL, _PR_SET_MM, _PR_SET_MM_MAP, without, 104, 0))
    if files.exe >= 0:
        ops.append((calls.PRCTL | MAY_FAIL, _PR_SET_MM, _PR_SET_MM_MAP, with_exe, 104, 0))
    for number, limit in enumerate(meta.limits):
        ops.append((calls.PRLIMIT, 0, number, area.put(struct.pack("<QQ", *limit)), 0))
    actions = dict(meta.signals.actions)
    ops += [
        (calls.RT_SIGACTION, number, area.put(actions.get(number, bytes(32))), 0, 8)
        for number in range(1, 65)
        if number not in (signal.SIGKILL, signal.SIGSTOP)
    ]
    ops.append((calls.PERSONALITY, meta.personality))
    return ops


def _own_state(area: Area, thread: model.Thread, meta: model.Meta) -> list[Op]:
    """What each thread must do for itself."""
    registers = Registers.unpack(thread.registers)
    ops: list[Op] = [
        (calls.ARCH_PRCTL, _ARCH_SET_FS, registers["fs_base"]),
        (calls.ARCH_PRCTL, _ARCH_SET_GS, registers["gs_base"]),
        (calls.SET_TID_ADDRESS, thread.tid_address),
        (calls.PRCTL, _PR_SET_NAME, area.put(thread.name[:15] + b"\0"), 0, 0, 0),
    ]
    if thread.tid_address:
        ops.append((PATCH_TID, thread.tid_address, thread.tid))
    if thread.robust[0]:
        ops.append((calls.SET_ROBUST_LIST, *thread.robust))
    if thread.rseq[0]:
        address, length, signature, flags = thread.rseq
        ops.append((calls.RSEQ, address, length, flags, signature))
    ops += [(QUEUE, info[0], area.put(info)) for info in thread.pending]
    return ops


def _thread_op(area: Area, thread: model.Thread, meta: model.Meta, keep_ids: bool) -> Op:
    stack, size = area.stack(), Area.stack_bytes()
    ops = area.ops([*_own_state(area, thread, meta), (area_module.ARRIVE,), (SIGRETURN, _frame(area, thread))])
    tid = area.put(struct.pack("<Q", thread.tid)) if keep_ids else 0
    return (
        THREAD,
        area.put(struct.pack("<11Q", _THREAD_FLAGS, 0, 0, 0, 0, stack, size, 0, tid, int(keep_ids), 0)),
        ops,
    )


def _frame(area: Area, thread: model.Thread) -> int:
    address = area.reserve(64)
    frame = signal_frame(Registers.unpack(thread.registers), thread.xstate, thread.mask, thread.altstack, address)
    return area.put(frame, 64)


def _finish(area: Area, meta: model.Meta, files: Files) -> list[Op]:
    """Pending signals and timers; then tell the restorer, and close what was only needed meanwhile."""
    ops: list[Op] = [(QUEUE, info[0], area.put(info)) for info in meta.signals.pending]
    ops += [(calls.SETITIMER, which, area.put(timer), 0) for which, timer in meta.signals.timers]
    ops += [
        (calls.PRCTL, _PR_SET_PDEATHSIG, meta.parent_death_signal, 0, 0, 0),
        (calls.WRITE, files.status, area.put(READY), len(READY)),
        (calls.CLOSE_RANGE, files.above, _NO_FD, 0),
        # Last: until here a user that root has become may not look at what root had in memory and open.
        (calls.PRCTL, _PR_SET_DUMPABLE, 1, 0, 0, 0),
    ]
    return ops
