"""Where images are made: a directory on tmpfs, and this process as the parent of whatever loses its own."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drvs.demo.scratch import endings_interrupt

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_TMPFS = "/dev/shm"
_folder: Path | None = None


@contextmanager
def stage() -> Iterator[None]:
    """Make the directory; it is gone when the block ends."""
    global _folder
    prctl = ctypes.CDLL(None).prctl
    _folder = Path(tempfile.mkdtemp(prefix="drvs-bench-", dir=_TMPFS))
    before = ctypes.c_int()
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what a command restores and leaves behind is ours to wait for
    try:
        with endings_interrupt():
            yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, before.value)
        shutil.rmtree(_folder, ignore_errors=True)
        _folder = None


def folder() -> Path:
    """Return the directory."""
    assert _folder is not None, "outside of stage()"
    return _folder
