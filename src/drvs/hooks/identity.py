"""Ids that a restored process keeps in memory although it has others now: of threads, and asyncio's of the process."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

_PATIENCE_S = 0.2
"""How long loops of other threads may take to come to a stop before a dump."""

_own: Any = None
_stopped: list[_Stop] = []


def refresh_thread_ids() -> None:
    """Give all threads their native ids. The restorer has put them right in the C library, whose clocks show them."""
    for thread in list(threading._active.values()):  # type: ignore[attr-defined]
        if thread.ident is not None and hasattr(thread, "_native_id"):
            thread._native_id = ~(time.pthread_getcpuclockid(thread.ident) >> 3)


class _Stop:
    """A callback in which the loop of another thread waits from before a dump to after it."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.here = threading.Event()
        self.over = threading.Event()
        self.restored = False

    def __call__(self) -> None:
        self.here.set()
        self.over.wait()
        if self.restored:
            sys.modules["asyncio.events"]._set_running_loop(self.loop)


def stop_loops() -> None:
    """Note the loop that runs in this thread, and let those of other threads wait.

    asyncio denies a running loop under another pid until it is set again in the thread that runs it. Nothing of it may
    run before. A loop that does not come in time learns it at its next turn.
    """
    global _own
    events = sys.modules.get("asyncio.events")
    if events is None:
        return
    _own = events._get_running_loop()
    for loop in _loops_of_tasks() - {_own}:
        if loop.is_running():
            stop = _Stop(loop)
            _stopped.append(stop)
            loop.call_soon_threadsafe(stop)
    until = time.monotonic() + _PATIENCE_S
    for stop in _stopped:
        stop.here.wait(max(0, until - time.monotonic()))


def let_loops_go(restored: bool) -> None:
    """Let all loops go on, in a restored process with the knowledge that they run. Does nothing the second time."""
    global _own
    own, _own = _own, None
    if restored and own is not None:
        sys.modules["asyncio.events"]._set_running_loop(own)
    while _stopped:
        stop = _stopped.pop()
        stop.restored = restored
        stop.over.set()


def _loops_of_tasks() -> set[Any]:
    tasks = sys.modules.get("asyncio.tasks")
    known: Any = getattr(tasks, "_scheduled_tasks", None) or getattr(tasks, "_all_tasks", ())
    return {task.get_loop() for task in list(known)}
