"""What an executor raises beside what the calls themselves raise."""

from __future__ import annotations

import signal
from concurrent.futures.process import BrokenProcessPool


class WorkerDiedError(BrokenProcessPool):
    """The worker that ran this call died. Other calls go on; repeat this one if it may run twice.

    `ex.options(idempotent=True, retries=1)` repeats such calls by itself.

    Attributes:
        pid: the worker's process id.
        status: its exit status, negative if a signal ended it (as in `subprocess`).
        last_words: the end of what it wrote to stderr, at most 2 KiB.
    """

    def __init__(self, pid: int, status: int, last_words: str = "", *, aborted: bool = False) -> None:
        self.pid = pid
        self.status = status
        self.last_words = last_words
        super().__init__(_text(pid, status, last_words, aborted))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.pid, self.status, self.last_words)


def _text(pid: int, status: int, last_words: str, aborted: bool) -> str:
    said = f"; its last words on stderr:\n{last_words}" if last_words else ""
    verb = "was ended by abort()" if aborted else f"died: {how_it_ended(status)}"
    return f"the worker (process {pid}) that ran this call {verb}{said}"


def how_it_ended(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
