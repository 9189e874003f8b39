"""The machines that images exist for. What depends on one is in `registers`, `checks` and csrc/image/blob.c."""

from __future__ import annotations

import fcntl
import functools
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from drvs.core import _core
from drvs.procspace.image.errors import ImageError

PAGE = 4096
HIGHEST = 0x7FFF_FFFF_F000
"""The end of what a program may map, with 47-bit addresses."""
SYSTEM_MAPPINGS = ("[vdso]", "[vvar]", "[vvar_vclock]")
PROGRAM_AT = 0x400000
"""Where the program of `program` stands."""
_ELF_BYTES = 256
_MFD_EXEC = 0x10
_LIFTED = 16
"""Descriptors of ours stay above those that a new program is given."""


def blob() -> tuple[bytes, int]:
    """Return the injected code and its entry.

    Raises:
        ImageError: there is none for this machine.
    """
    return _blob()[:2]


@contextmanager
def program() -> Iterator[int]:
    """Give a descriptor of a program that is nothing but the injected code: it becomes what its area says.

    It lives in memory, and starts in a fraction of the time that a fork of this Python takes.
    """
    fd = _written(_elf())
    try:
        yield fd
    finally:
        os.close(fd)


def _written(content: bytes) -> int:
    try:
        fd = os.memfd_create("drvs-image", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError:  # before Linux 6.3 every memfd can be executed
        fd = os.memfd_create("drvs-image", os.MFD_CLOEXEC)
    lifted = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LIFTED)
    os.close(fd)
    os.write(lifted, content)
    return lifted


@functools.cache
def _elf() -> bytes:
    code, _, begin = _blob()
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, PROGRAM_AT + _ELF_BYTES + begin, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    size = _ELF_BYTES + len(code)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0, PROGRAM_AT, PROGRAM_AT, size, size, PAGE)
    head += struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # the stack is not executable
    return head.ljust(_ELF_BYTES, b"\0") + code


def _blob() -> tuple[bytes, int, int]:
    found = _core.image_blob()
    if found is None:
        raise ImageError(f"process images do not exist for {os.uname().machine} yet.", "Use an x86-64 machine.")
    return found


@functools.cache
def cpu_flags() -> list[str]:
    """Return what the first processor says it can do."""
    said = b""
    with open("/proc/cpuinfo", "rb", buffering=0) as file:
        while part := file.read(4096):  # of many processors the first is all that is wanted
            said += part
            line = said.partition(b"\nflags")[2]
            if b"\n" in line:
                return sorted(line.partition(b"\n")[0].partition(b":")[2].decode(errors="replace").split())
    return []


@functools.cache
def own_system() -> list[tuple[str, int, int]]:
    """Return name, start and end of each mapping that the kernel has put into this process; they never move."""
    found = []
    with open("/proc/self/maps", "rb") as file:
        for line in file.read().splitlines():
            name = line.rpartition(b" ")[2].decode(errors="replace")
            if name in SYSTEM_MAPPINGS:
                start, end = (int(part, 16) for part in line.split(None, 1)[0].split(b"-"))
                found.append((name, start, end))
    return found


@functools.cache
def own_vdso_checksum() -> int:
    """Return the checksum of this kernel's vDSO."""
    crc = 0
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for name, start, end in own_system():
            if name == "[vdso]":
                crc = _core.image_crc32c(os.pread(memory.fileno(), end - start, start), crc)
    return crc


def boot_id() -> str:
    """Return what tells this boot of the kernel from others; monotonic times mean nothing across boots."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
