"""Unbinding workers that have died, in a VM that has no noded to do it: the spawner reaps them, so it knows first."""

from __future__ import annotations

import os

from drvs.core import CODES, LAYOUT, Region
from drvs.executor import seat

LOCK_MS = 50
#: Until the next try, if somebody stands still with the VM's lock in his hand.
RETRY_MS = 50


class Undertaker:
    """See above.

    Attributes:
        due: ranks and pids of the dead that are bound still.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._region = Region(fd)
        self._pids_at = self._region.layout["slots"] + LAYOUT["slot.pid"]
        self.due: list[tuple[int, int]] = []

    def bury(self, rank: int, pid: int) -> None:
        """Unbind worker number `rank`, which has been reaped, or try again later."""
        self.due.append((rank, pid))
        self.go_on()

    def go_on(self) -> None:
        """Try those that are due, the oldest first."""
        while self.due and self._unbind(*self.due[0]):
            self.due.pop(0)

    def _unbind(self, rank: int, pid: int) -> bool:
        """Free the slot that it is in, if it ever came to be in one; False if the VM's lock does not come."""
        for slot in seat.slots(self._region.members, rank):
            if self._pid_in(slot) != pid:
                continue
            code = self._region.unbind(slot, 0, force=True, lock_ms=LOCK_MS)
            if code == CODES["TIMEDOUT"]:
                return False
            if code == 0:
                self._region.pay_debts(slot)
                break
        return True

    def _pid_in(self, slot: int) -> int:
        """Return the pid of who is in a slot, or was."""
        return int.from_bytes(os.pread(self._fd, 4, self._pids_at + slot * LAYOUT["slot_bytes"]), "little")
