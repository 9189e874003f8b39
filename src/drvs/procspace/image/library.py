"""The library list: files that are presumed to be there at a restore, one list for each node.

A dump with flags decides by it: LIBS puts the contents of listed files into the image, OTHER those of files that are
neither listed nor the program itself. The list is a file in the node's runtime directory, its names ended by NULs, and
is replaced as a whole under a lock; only the owner of the node may change it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drvs.base import paths

DUMP_LIBS, DUMP_EXEC, DUMP_OTHER = 1, 2, 4
DUMP_ALL = 7
PATH_MAX = 4096
"""Bytes of a name, its NUL included."""
_LIST, _LOCK = "image-libraries", "image-libraries.lock"
_TOTAL_MAX = 1 << 20


def library_list() -> list[str]:
    """Return the names on the list, in the order they were added.

    Canonical: VMAD_LIB_LIST
    """
    return [os.fsdecode(name) for name in encoded().split(b"\0")[:-1]]


def library_size() -> int:
    """Return the bytes of the list as `encoded` gives it.

    Canonical: VMAD_LIB_SIZE
    """
    return len(encoded())


def library_clear() -> None:
    """Empty the list.

    Raises:
        PermissionError: the node is another user's.

    Canonical: VMAD_LIB_CLEAR
    """
    with _changing():
        _write([])


def library_add(name: str) -> None:
    """Add a file to the list. It need not exist.

    Args:
        name: an absolute path, as the memory map of a process shows it.

    Raises:
        FileExistsError: it is on the list.
        OSError: the name is too long (ENAMETOOLONG), not absolute (EINVAL), or the list is full (ENOSPC).
        PermissionError: the node is another user's.

    Canonical: VMAD_LIB_ADD
    """
    _check(name)
    with _changing():
        names = library_list()
        if name in names:
            raise OSError(errno.EEXIST, "it is on the library list already", name)
        _write([*names, name])


def library_remove(name: str) -> None:
    """Take a file off the list.

    Raises:
        FileNotFoundError: it is not on the list.
        PermissionError: the node is another user's.

    Canonical: VMAD_LIB_DEL
    """
    _check(name)
    with _changing():
        names = library_list()
        if name not in names:
            raise OSError(errno.ENOENT, "it is not on the library list", name)
        _write([other for other in names if other != name])


def encoded() -> bytes:
    """Return the list as the calls of the mail give it: each name ended by a NUL."""
    try:
        with open(os.path.join(paths.find_runtime_dir(), _LIST), "rb") as file:
            return file.read(_TOTAL_MAX)
    except FileNotFoundError:
        return b""


def contents_wanted(flags: int, exe: str) -> Callable[[str], bool]:
    """Return the function that says of a mapped file whether its contents belong into an image.

    Args:
        flags: of DUMP_LIBS, DUMP_EXEC and DUMP_OTHER; 0 keeps references wherever possible.
        exe: the program.

    Raises:
        ValueError: there is another flag.
    """
    if flags & ~DUMP_ALL:
        raise ValueError(f"dump flags are at most {DUMP_ALL}, and these are {flags}")
    listed = frozenset(library_list())

    def wanted(name: str) -> bool:
        kind = DUMP_EXEC if name == exe else DUMP_LIBS if name in listed else DUMP_OTHER
        return bool(flags & kind)

    return wanted


def _check(name: str) -> None:
    size = len(os.fsencode(name))
    if size >= PATH_MAX:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    if not os.path.isabs(name) or "\0" in name:
        raise OSError(errno.EINVAL, "a library is listed by its absolute path", name)


@contextmanager
def _changing() -> Iterator[None]:
    """Hold the lock; the directory is made where no node has run yet."""
    folder = paths.find_runtime_dir()
    os.makedirs(folder, 0o755, exist_ok=True)
    owner = os.stat(folder).st_uid
    if os.geteuid() not in (0, owner):
        raise PermissionError(errno.EPERM, f"the library list of this node is user {owner}'s", folder)
    lock = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _write(names: list[str]) -> None:
    data = b"".join(os.fsencode(name) + b"\0" for name in names)
    if len(data) > _TOTAL_MAX:
        raise OSError(errno.ENOSPC, "the library list is full")
    path = os.path.join(paths.find_runtime_dir(), _LIST)
    part = f"{path}.part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.replace(part, path)
