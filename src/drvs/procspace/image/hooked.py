"""The hooks of a process around its dump: run before it is stopped, and told how it goes on in any case."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from drvs.procspace.image import mailbox


@dataclass
class Waiting:
    """A process whose hooks have run, and which waits for a verdict; or one that has none (`hooked` is false)."""

    pid: int
    address: int = 0
    """Of its mailbox, 0 if it has none."""
    hooked: bool = False
    ticket: int = 0
    told: bool = False

    def check(self, memory: int) -> None:
        """Check, when the process stands still, that it still waits.

        Raises:
            Refused: it went on by itself.
        """
        if self.hooked:
            mailbox.check_ready(memory, self.address, self.ticket)

    def goes_on(self, memory: int, nbytes: int = 0) -> None:
        """Let the original go on, as soon as it is no longer stopped; it may be told the bytes of its image."""
        if self.hooked:
            mailbox.store_verdict(memory, self.address, mailbox.GOES_ON, nbytes)
            self.told = True


@contextmanager
def hooks_run(pid: int, enabled: bool, timeout_s: float, waits_at: int = 0) -> Iterator[Waiting]:
    """Have a process run its hooks before the body, and let it go on after it at the latest.

    Args:
        pid: the process.
        enabled: false leaves the hooks out.
        timeout_s: how long they may take.
        waits_at: the address of its mailbox, if it waits there by itself (it dumps itself).

    Raises:
        Refused: a hook failed, or time is up.
    """
    waiting = Waiting(pid, waits_at or mailbox.find(pid), bool(waits_at))
    if waits_at:
        mailbox.await_ready(pid, waits_at, timeout_s)
    elif waiting.address and enabled:
        waiting.ticket = mailbox.prepare(pid, waiting.address, timeout_s)
        waiting.hooked = True
    try:
        yield waiting
    finally:
        if waiting.hooked and not waiting.told and not waits_at:  # who waits by itself is told more
            _let_go(waiting)


def _let_go(waiting: Waiting) -> None:
    try:
        memory = os.open(f"/proc/{waiting.pid}/mem", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # it has ended
    try:
        waiting.goes_on(memory)
    finally:
        os.close(memory)
