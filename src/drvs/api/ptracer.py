"""Yama: where Linux lets a process read only the memory of its children, name noded as one who may.

With kernel.yama.ptrace_scope = 1 `process_vm_readv` between two unrelated processes is refused. A bound process
declares noded its tracer (PR_SET_PTRACER), and noded copies for those who are refused.
"""

from __future__ import annotations

import os

SETTING = "/proc/sys/kernel/yama/ptrace_scope"
_PR_SET_PTRACER = 0x59616D61

_allowed: tuple[int, int] | None = None


def scope() -> int:
    """Return kernel.yama.ptrace_scope: 0 where the kernel does not restrict copies, or has no Yama."""
    try:
        with open(SETTING) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def allow(noded: int) -> None:
    """Let noded, by its process id, copy from and to this process; once per process."""
    global _allowed
    if scope() != 0 and _allowed != (os.getpid(), noded):
        _set_ptracer(noded)
        _allowed = os.getpid(), noded


def _set_ptracer(pid: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, pid, 0, 0, 0)  # EINVAL without Yama: then nothing is restricted either
