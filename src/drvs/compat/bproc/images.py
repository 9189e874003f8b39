"""The calls for process images: ints in, a result or a negative errno out.

The mail names no errors beyond "-errno". Here: EPERM for what an image cannot keep, and for a library list of another
user; EINVAL for a damaged image, a flag that does not exist and a name that is no absolute path; ENOEXEC for an image
that does not fit this machine or its files; EIO for a step that failed; else what Linux says (EBADF, ENOENT, …).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence

from drvs.compat.bproc import constants
from drvs.procspace import image
from drvs.procspace.image.selfdump import error_number


def bproc_dump(fd: int, flags: int = 0) -> int:
    """Dump the calling process; returns the bytes written, and 0 in the restored process.

    Canonical: VMAD_DO_DUMP
    """
    return _result(lambda: image.dump_self(fd, flags))


def bproc_undump(fd: int) -> int:
    """Replace the calling process by an image; returns only if it fails.

    Canonical: VMAD_DO_UNDUMP
    """
    return _result(lambda: image.undump(fd))


def bproc_execdump(
    fd: int, flags: int, cmd: str, argv: Sequence[str], envp: Sequence[str] | Mapping[str, str] | None = None
) -> int:
    """Execute a program, dump it before its first instruction, and exit; returns only if that fails.

    Args:
        cmd: the path of the program.
        argv: its arguments, the name first.
        envp: "NAME=value" strings, or a mapping; None: those of the caller.

    Canonical: VMAD_DO_EXECDUMP
    """
    environ = dict(word.split("=", 1) for word in envp) if isinstance(envp, Sequence) else envp

    def dump() -> int:
        image.exec_dump(fd, argv, environ, flags, program=cmd)
        os._exit(0)

    return _result(dump)


def bproc_libclear() -> int:
    """Empty the library list.

    Canonical: VMAD_LIB_CLEAR
    """
    return _done(image.library_clear)


def bproc_libadd(name: str) -> int:
    """Add a file to the library list.

    Canonical: VMAD_LIB_ADD
    """
    return _done(lambda: image.library_add(name))


def bproc_libdel(name: str) -> int:
    """Take a file off the library list.

    Canonical: VMAD_LIB_DEL
    """
    return _done(lambda: image.library_remove(name))


def bproc_liblist(buffer: bytearray | memoryview) -> int:
    """Store the library list, each name ended by a NUL; returns the bytes stored, -ENOSPC if they do not fit.

    Canonical: VMAD_LIB_LIST
    """
    listed = image.library_list()
    data = b"".join(os.fsencode(name) + b"\0" for name in listed)
    if len(data) > len(buffer):
        return -errno.ENOSPC
    buffer[: len(data)] = data
    return len(data)


def bproc_libsize() -> int:
    """Return the bytes of the library list.

    Canonical: VMAD_LIB_SIZE
    """
    return _result(image.library_size)


def bproc_syscall(number: int, *args: object) -> int:
    """Make one of the calls by its number; -ENOSYS for others.

    Args:
        number: VMAD_DO_DUMP to VMAD_LIB_SIZE.
        args: as the mail lists them. A name comes as bytes with its length behind it, or as a string alone; a region as
            a bytearray, with its size behind it; the arguments of VMAD_DO_EXECDUMP as those of `bproc_execdump`.
    """
    call = _CALLS.get(number)
    if call is None:
        return -errno.ENOSYS
    try:
        return call(*args)
    except TypeError:
        return -errno.EFAULT


def _name(call: Callable[[str], int]) -> Callable[..., int]:
    def with_length(name: str | bytes, length: int | None = None) -> int:
        encoded = os.fsencode(name)
        return call(os.fsdecode(encoded if length is None else encoded[:length]))

    return with_length


def _region(buffer: bytearray, size: int | None = None) -> int:
    view = memoryview(buffer)
    return bproc_liblist(view if size is None else view[:size])


_CALLS: dict[int, Callable[..., int]] = {
    constants.VMAD_DO_DUMP: bproc_dump,
    constants.VMAD_DO_UNDUMP: bproc_undump,
    constants.VMAD_DO_EXECDUMP: bproc_execdump,
    constants.VMAD_LIB_CLEAR: bproc_libclear,
    constants.VMAD_LIB_ADD: _name(bproc_libadd),
    constants.VMAD_LIB_DEL: _name(bproc_libdel),
    constants.VMAD_LIB_LIST: _region,
    constants.VMAD_LIB_SIZE: bproc_libsize,
}


def _result(call: Callable[[], int]) -> int:
    try:
        return call()
    except (image.ImageError, OSError, ValueError) as error:
        return -error_number(error)


def _done(call: Callable[[], None]) -> int:
    def zero() -> int:
        call()
        return 0

    return _result(zero)
