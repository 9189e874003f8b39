"""How much memory a process has for itself. Light: the workers' parent imports it."""

from __future__ import annotations


def private_dirty_kib(pid: int) -> int:
    """Return what a process has written and shares with no other."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
