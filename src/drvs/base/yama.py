"""Yama: `kernel.yama.ptrace_scope`, which may keep processes from reading each other's memory.

0  processes of one user may     1  only of children, and of those that allowed it     2  only root     3  nobody
"""

import os

SETTING = "/proc/sys/kernel/yama/ptrace_scope"


def scope() -> int:
    """Return the setting: 0 where the kernel does not restrict copies, or has no Yama."""
    try:
        with open(SETTING, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def remedy(least: int) -> str:
    """Return what to do about it where it forbids what would be allowed at `least`; empty where it forbids nothing."""
    found = scope()
    if found <= least:
        return ""
    if found > 2:
        return "kernel.yama.ptrace_scope is 3, and stays so: set it lower in /etc/sysctl.d, and start the machine anew."
    be_root = "" if os.geteuid() == 0 else ", or be root"
    return f"kernel.yama.ptrace_scope is {found}: set it to {least} (sysctl){be_root}."
