"""Ids that a restored process keeps in memory although it has others now: of threads, and asyncio's of the process."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

_loop: Any = None


def refresh_thread_ids() -> None:
    """Give all threads their native ids. The restorer has put them right in the C library, whose clocks show them."""
    for thread in threading.enumerate():
        if thread.ident is not None and hasattr(thread, "_native_id"):
            thread._native_id = ~(time.pthread_getcpuclockid(thread.ident) >> 3)


def note_running_loop() -> None:
    """Remember the loop that runs in the main thread: asyncio denies it under another pid."""
    global _loop
    events = sys.modules.get("asyncio.events")
    _loop = events._get_running_loop() if events else None


def set_running_loops() -> None:
    """Tell asyncio that the loops still run. In other threads that happens by a callback: only then do they know."""
    events = sys.modules.get("asyncio.events")
    if events is None:
        return
    if _loop is not None:
        events._set_running_loop(_loop)
    for loop in _loops_of_tasks():
        if loop is not _loop and loop.is_running():
            loop.call_soon_threadsafe(events._set_running_loop, loop)


def _loops_of_tasks() -> set[Any]:
    tasks = sys.modules.get("asyncio.tasks")
    known: Any = getattr(tasks, "_scheduled_tasks", None) or getattr(tasks, "_all_tasks", ())
    return {task.get_loop() for task in list(known)}
