"""The tree as a read-only file system: what libfuse calls, from any of its threads.

As in /proc, a file's size is 0 and its text is made when it is opened, and anew whenever it is read from its beginning
again: however small the pieces, what one reads through is of one moment. (`direct_io` makes Linux read on until the end
instead of trusting the size.) Nothing is cached, so names come and go with what they stand for.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from drvs.base.errors import AccessDenied, DaemonGone, DrvsError, NotRunning, TimedOut
from drvs.procview.tree import Directory, Entry, File

_FILE = stat.S_IFREG | 0o444
_DIRECTORY = stat.S_IFDIR | 0o555

_ERRNO: dict[type[DrvsError], int] = {
    DaemonGone: errno.EHOSTDOWN,
    NotRunning: errno.ENOENT,
    AccessDenied: errno.EACCES,
    TimedOut: errno.ETIMEDOUT,
}
"""What a program that reads the view gets for an error of ours; anything else is EIO."""


@contextmanager
def _as_errno() -> Iterator[None]:
    try:
        yield
    except DrvsError as error:
        number = next((number for kind, number in _ERRNO.items() if isinstance(error, kind)), errno.EIO)
        raise OSError(number, os.strerror(number)) from error


class OpenFile:
    """A file that somebody holds open, and its text."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._text = self._look()
        self._fresh = True

    def _look(self) -> bytes:
        return self._file.read().text.encode(errors="replace")

    def read(self, size: int, offset: int) -> bytes:
        """Return a piece; at offset 0 the text is made anew, unless it has not been read yet."""
        if offset == 0 and not self._fresh:
            self._text = self._look()
        self._fresh = False
        return self._text[offset : offset + size]


class Filesystem:
    """What mfusepy wants: a method for each operation of libfuse that there is.

    Args:
        root: the tree.
        ready: called once, when the file system is mounted.
    """

    use_ns = True

    def __init__(self, root: Directory, ready: Callable[[], None]) -> None:
        self._root = root
        self._ready = ready
        self._lock = threading.Lock()
        self._handles = count(1)
        self._open: dict[int, OpenFile] = {}
        self._owner = {"st_uid": os.geteuid(), "st_gid": os.getegid()}

    def init(self, _path: str) -> None:
        """The mount is there."""
        self._ready()

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, Any]:
        """Return what `stat` shows."""
        with _as_errno():
            return self._attributes(self._root.find(path))

    def readdir(self, path: str, _handle: int) -> list[str]:
        """Return the names in a directory."""
        with _as_errno():
            entry = self._root.find(path)
            if isinstance(entry, File):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            return [".", "..", *entry.entries()]

    def open(self, path: str, _flags: int) -> int:
        """Open a file, and make its text."""
        with _as_errno():
            entry = self._root.find(path)
            if isinstance(entry, Directory):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            opened = OpenFile(entry)
        with self._lock:
            handle = next(self._handles)
            self._open[handle] = opened
        return handle

    def read(self, _path: str, size: int, offset: int, handle: int) -> bytes:
        """Read a piece of an open file."""
        with _as_errno():
            return self._open[handle].read(size, offset)

    def release(self, _path: str, handle: int) -> int:
        """Forget an open file."""
        with self._lock:
            self._open.pop(handle, None)
        return 0

    def _attributes(self, entry: Entry) -> dict[str, Any]:
        now = time.time_ns()
        shape = {"st_mode": _FILE, "st_nlink": 1} if isinstance(entry, File) else {"st_mode": _DIRECTORY, "st_nlink": 2}
        return {**shape, **self._owner, "st_size": 0, "st_atime": now, "st_mtime": now, "st_ctime": now}
