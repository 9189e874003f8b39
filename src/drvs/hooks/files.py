"""Streams and log files around a dump."""

from __future__ import annotations

import os
import sys
from typing import Any


def flush() -> None:
    """Write what waits in sys.stdout and sys.stderr: copies would write it again."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def close_logs() -> None:
    """Close the files of logging handlers that can be opened again; logging does so at the next record.

    So an image holds no log file open for writing, which copies could not share, and each copy appends by itself.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    for reference in list(logging._handlerList):
        handler = reference()
        if isinstance(handler, logging.FileHandler) and _can_reopen(handler):
            _close(handler)


def _can_reopen(handler: Any) -> bool:
    """Is it open, on the file that its name still leads to, which we may write?"""
    try:
        now, opened = os.stat(handler.baseFilename), os.fstat(handler.stream.fileno())
    except (AttributeError, OSError, ValueError):
        return False
    same = (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)
    return same and handler.mode in ("a", "w") and os.access(handler.baseFilename, os.W_OK)


def _close(handler: Any) -> None:
    """Unless somebody is writing a record just now, which may be this very thread."""
    if handler.lock._is_owned() or not handler.lock.acquire(blocking=False):
        return
    try:
        handler.flush()
        stream, handler.stream = handler.stream, None
        handler.mode = "a"
        stream.close()
    finally:
        handler.lock.release()
