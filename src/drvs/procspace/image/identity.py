"""How a file is recognised later: by the build id in it, else by its size and the time of its last change."""

from __future__ import annotations

import os
import struct

from drvs.procspace.image.model import File

_NT_GNU_BUILD_ID = 3
_PT_NOTE = 4
_HEADERS_MAX = 1 << 16
_HEAD_BYTES = 4096


def identify(path: str, shown: str | None = None) -> File:
    """Describe a file.

    Args:
        path: where to read it.
        shown: the path to keep, if another.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return identify_open(fd, shown or path)
    finally:
        os.close(fd)


def identify_open(fd: int, path: str) -> File:
    """Describe an open file."""
    found = os.fstat(fd)
    return File(path=path, size=found.st_size, mtime_ns=found.st_mtime_ns, build_id=_build_id(fd))


def same(one: File, other: File) -> bool:
    """Say whether two descriptions are of one content."""
    if one.build_id or other.build_id:
        return one.build_id == other.build_id and one.size == other.size
    return (one.size, one.mtime_ns) == (other.size, other.mtime_ns)


def _build_id(fd: int) -> bytes:
    """Find the GNU build id among the notes of an ELF file; empty if it is none, or a strange one."""
    head = os.pread(fd, _HEAD_BYTES, 0)
    if head[:5] != b"\x7fELF\x02" or len(head) < 64:
        return b""
    offset, count = struct.unpack_from("<Q", head, 32)[0], struct.unpack_from("<H", head, 56)[0]
    for at in range(offset, min(offset + 56 * count, len(head) - 55), 56):
        kind, _, start = struct.unpack_from("<IIQ", head, at)
        size = struct.unpack_from("<Q", head, at + 32)[0]
        if kind == _PT_NOTE and size < _HEADERS_MAX:
            found = _in_notes(os.pread(fd, size, start))
            if found:
                return found
    return b""


def _in_notes(notes: bytes) -> bytes:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        start = at + 12 + (name_size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and notes[at + 12 : at + 15] == b"GNU":
            return notes[start : start + size]
        at = start + (size + 3 & ~3)
    return b""
