"""The machines that images exist for. What depends on one is in `registers`, `checks` and csrc/image/blob.c."""

from __future__ import annotations

import platform

from drvs.core import _core
from drvs.procspace.image.errors import ImageError

PAGE = 4096
HIGHEST = 0x7FFF_FFFF_F000
"""The end of what a program may map, with 47-bit addresses."""


def blob() -> tuple[bytes, int]:
    """Return the injected code and its entry.

    Raises:
        ImageError: there is none for this machine.
    """
    found = _core.image_blob()
    if found is None:
        raise ImageError(f"process images do not exist for {platform.machine()} yet.", "Use an x86-64 machine.")
    return found


def cpu_flags() -> list[str]:
    """Return what the first processor says it can do."""
    with open("/proc/cpuinfo", "rb") as file:
        for line in file.read(65536).decode(errors="replace").splitlines():
            if line.startswith("flags"):
                return sorted(line.partition(":")[2].split())
    return []


def boot_id() -> str:
    """Return what tells this boot of the kernel from others; monotonic times mean nothing across boots."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
