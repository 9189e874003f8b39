"""The lines of a restore's table that make a process what it was, and each of its threads: everything but memory."""

from __future__ import annotations

import os
import resource
import signal
import struct

from drvs.procspace.image import calls, model, procfile
from drvs.procspace.image.area import ARRIVE, MAY_FAIL, PATCH_TID, QUEUE, SIGRETURN, THREAD, Area, Op
from drvs.procspace.image.errors import ImageError
from drvs.procspace.image.registers import Registers, signal_frame

PDEATHSIG, SET_NAME = 1, 15
_PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_MM, _PR_SET_MM_MAP = 8, 24, 35, 14
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 38, 47, 2
_ARCH_SET_GS, _ARCH_SET_FS = 0x1001, 0x1002
_THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000
"""CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM."""
_NO_FD = 2**32 - 1
_OF_THE_C_LIBRARY = (32, 33)
"""Signals that no program is started with reset, since the C library keeps them for itself."""
NOFILE = int(resource.RLIMIT_NOFILE)


def raised_limits(area: Area, meta: model.Meta, highest: int) -> list[Op]:
    """Make room for descriptors above those of the image, and raise what only root may raise.

    Args:
        highest: the highest number that a descriptor will have meanwhile.

    Raises:
        ImageError: there is no room for that.
    """
    ops: list[Op] = []
    for number, (_, hard) in enumerate(meta.limits):
        soft, ours = (limit & 2**64 - 1 for limit in resource.getrlimit(number))
        if os.geteuid() == 0 and hard > ours:
            ops.append(_limit(area, number, soft, hard))
    most = max(meta.limits[NOFILE][1] if os.geteuid() == 0 else 0, resource.getrlimit(NOFILE)[1])
    if highest >= most:
        raise ImageError(
            f"a restore of this image needs {highest + 1} descriptors, and the limit is {most}.",
            "Raise it (ulimit -n).",
        )
    return [*ops, _limit(area, NOFILE, most, most)]


def limits(area: Area, meta: model.Meta) -> list[Op]:
    """Set the resource limits that differ from ours, but for the number of descriptors."""
    return [
        _limit(area, number, *limit)
        for number, limit in enumerate(meta.limits)
        if number != NOFILE and _ours(number) != limit
    ]


def descriptor_limit(area: Area, meta: model.Meta) -> Op:
    """Set the limit on descriptors, when all that are above it are closed."""
    return _limit(area, NOFILE, *meta.limits[NOFILE])


def _ours(number: int) -> tuple[int, int]:
    soft, hard = resource.getrlimit(number)
    return soft & 2**64 - 1, hard & 2**64 - 1


def _limit(area: Area, number: int, soft: int, hard: int) -> Op:
    return (calls.PRLIMIT, 0, number, area.put(struct.pack("<QQ", soft, hard)), 0)


def identity(area: Area, who: model.Credentials) -> list[Op]:
    """Become the user that the dumped process was, with no more than it could do."""
    inheritable, permitted, effective, bounding, ambient = who.capabilities
    ops: list[Op] = []
    if os.geteuid() == 0:
        now = procfile.own_capabilities()
        ours, bound = now["CapPrm"], now["CapBnd"]
        dropped = [capability for capability in range(64) if (bound & ~bounding) >> capability & 1]
        ops += [(calls.PRCTL | MAY_FAIL, _PR_CAPBSET_DROP, capability, 0, 0, 0) for capability in dropped]
        if who.groups != os.getgroups():  # a user namespace of an ordinary user forbids the call
            groups = area.put(struct.pack(f"<{len(who.groups)}I", *who.groups))
            ops.append((calls.SETGROUPS, len(who.groups), groups))
        ops += [
            (calls.PRCTL, _PR_SET_KEEPCAPS, 1, 0, 0, 0),
            (calls.SETRESGID, *who.gids[:3]), (calls.SETRESUID, *who.uids[:3]),
            (calls.PRCTL, _PR_SET_KEEPCAPS, 0, 0, 0, 0),
            _capset(area, permitted & effective & ours, permitted & ours, inheritable),
        ]  # fmt: skip
        raised = [capability for capability in range(64) if ambient >> capability & 1]
        ops += [(calls.PRCTL, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0) for capability in raised]
    if who.no_new_privs:
        ops.append((calls.PRCTL, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return ops


def _capset(area: Area, *sets: int) -> Op:
    head = area.put(struct.pack("<Ii", 0x20080522, 0))
    words = [word >> shift & 0xFFFFFFFF for shift in (0, 32) for word in sets]
    return (calls.CAPSET, head, area.put(struct.pack("<6I", *words)))


def process(area: Area, meta: model.Meta, exe: int) -> list[Op]:
    """What all threads share but limits: layout, signal actions, personality. The process starts without handlers."""
    ops: list[Op] = []
    auxv = area.put(meta.memory.auxv)
    with_exe, without = (
        area.put(struct.pack("<11QQII", *meta.memory.layout, auxv, len(meta.memory.auxv), fd))
        for fd in (exe & _NO_FD, _NO_FD)
    )
    # The link to the program's file needs a capability; everything else does not.
    ops.append((calls.PRCTL, _PR_SET_MM, _PR_SET_MM_MAP, without, 104, 0))
    if exe >= 0:
        ops.append((calls.PRCTL | MAY_FAIL, _PR_SET_MM, _PR_SET_MM_MAP, with_exe, 104, 0))
    actions = {number: bytes(32) for number in _OF_THE_C_LIBRARY} | dict(meta.signals.actions)
    ops += [
        (calls.RT_SIGACTION, number, area.put(action), 0, 8)
        for number, action in actions.items()
        if number not in (signal.SIGKILL, signal.SIGSTOP)
    ]
    ops.append((calls.PERSONALITY, meta.personality))
    return ops


def own_state(area: Area, thread: model.Thread, pending: bool, more: list[Op]) -> list[Op]:
    """What each thread must do for itself, and what else is wanted of it."""
    registers = Registers.unpack(thread.registers)
    ops: list[Op] = [
        (calls.ARCH_PRCTL, _ARCH_SET_FS, registers["fs_base"]),
        (calls.ARCH_PRCTL, _ARCH_SET_GS, registers["gs_base"]),
        (calls.SET_TID_ADDRESS, thread.tid_address),
        (calls.PRCTL, SET_NAME, area.put(thread.name[:15] + b"\0"), 0, 0, 0),
    ]
    if thread.tid_address:
        ops.append((PATCH_TID, thread.tid_address, thread.tid))
    if thread.robust[0]:
        ops.append((calls.SET_ROBUST_LIST, *thread.robust))
    if thread.rseq[0]:
        address, length, signature, flags = thread.rseq
        ops.append((calls.RSEQ, address, length, flags, signature))
    return ops + more + ([(QUEUE, info[0], area.put(info)) for info in thread.pending] if pending else [])


def thread(area: Area, one: model.Thread, keep_id: bool, pending: bool, more: list[Op]) -> Op:
    """Start another thread, which gets ready and waits."""
    stack, size = area.stack()
    ops = area.ops([*own_state(area, one, pending, more), (ARRIVE,), (SIGRETURN, frame(area, one))])
    tid = area.put(struct.pack("<Q", one.tid)) if keep_id else 0
    return (THREAD, area.put(struct.pack("<11Q", _THREAD_FLAGS, 0, 0, 0, 0, stack, size, 0, tid, int(keep_id), 0)), ops)


def frame(area: Area, one: model.Thread) -> int:
    """Place the frame by which a thread enters the program."""
    address = area.reserve(64)
    return area.put(signal_frame(Registers.unpack(one.registers), one.xstate, one.mask, one.altstack, address), 64)
