"""A VM at one node: the real region, and a look at the words in it that processes sleep on.

A process of a simulation does not sleep in the kernel. It does what one does that is about to: it sets `waiting` in
its slot
and remembers `seq`; it goes on when `seq` has changed, and not before. So a wake-up that the core forgets is missed
here as
it would be missed there. The same goes for the proxies, whose doorbell is an eventfd that has to be written.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import TYPE_CHECKING

from drvs.core import LAYOUT, Region
from drvs.core._core import KERNEL_SLOTS, RTS_ONCOPY, RTS_RECEIVING, RTS_RMTOPER, RTS_SENDING
from drvs.daemon.vm import Vm, VmLimits
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from drvs.sim.process import Process

BLOCKED = RTS_SENDING | RTS_RECEIVING | RTS_ONCOPY | RTS_RMTOPER
SLOT_BYTES = LAYOUT["slot_bytes"]
NR_TASKS = 4
NR_SYSPROCS = 6
#: What the head of an empty queue holds.
EMPTY = 0xFFFFFFFF


class Arena:
    """The memory of all processes, dead ones too: no address is ever used again, so that a write that comes late is
    seen.
    """

    def __init__(self) -> None:
        self._blocks: list[ctypes.Array[ctypes.c_char]] = []

    def block(self, nbytes: int) -> ctypes.Array[ctypes.c_char]:
        """Return fresh memory."""
        block = (ctypes.c_char * nbytes)()
        self._blocks.append(block)
        return block


class Space:
    """One VM of one node."""

    def __init__(
        self,
        vmid: int,
        serial: int,
        number: int,
        span: tuple[int, ...],
        size: VmLimits,
        bell: int,
        ring: Callable[[], None],
        generation: int = 0,
    ) -> None:
        name = f"vm{vmid}"
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
        try:
            Region.format(
                fd, vmid=vmid, node=number, owner_uid=os.geteuid(), name=name, generation=generation, **size._asdict()
            )  # fmt: skip
            self.region = Region(fd, doorbell=bell)
            self._mapped = mmap.mmap(fd, 0)
        finally:
            os.close(fd)
        self.words = memoryview(self._mapped).cast("I")
        self.vm = Vm(vmid, serial, name, number, 1 << number, size, self.region, -1, bell)
        self.vm.span = list(span)
        self.vmid = vmid
        self.span = span
        #: Processes asleep in a call, by the number of the word `seq` in their slots; and what that held.
        self.sleepers: dict[int, Process] = {}
        self._seqs: dict[int, int] = {}
        self.names: dict[str, Process] = {}
        self._slots = self.region.layout["slots"]
        self._bell, self._ring = bell, ring
        sender = self.region.members + KERNEL_SLOTS
        self._armed_at = self.at(sender, "armed")
        #: The word at which the queue of what waits for the proxies begins: `words`, and its number.
        self.queue = self.words, self.at(sender, "px_head")
        self._armed = False

    def at(self, slot: int, field: str) -> int:
        """Return the number of a slot's word."""
        return (self._slots + slot * SLOT_BYTES + LAYOUT[f"slot.{field}"]) >> 2

    def word(self, slot: int, field: str) -> int:
        """Return a slot's word."""
        return self.words[self.at(slot, field)]

    def signed(self, slot: int, field: str) -> int:
        """Return a slot's word that may be negative."""
        word = self.word(slot, field)
        return word - (1 << 32) if word >> 31 else word

    # ---- sleeping ----

    def sleep(self, process: Process) -> None:
        """A process goes to sleep in its call, or on."""
        at = process.seq_at
        self.sleepers[at], self._seqs[at] = process, self.words[at]

    def rise(self, process: Process) -> None:
        """It sleeps no more."""
        if self.sleepers.pop(process.seq_at, None) is not None:
            del self._seqs[process.seq_at]

    # ---- after something has happened in the region ----

    def look(self) -> None:
        """Let those go on who have been woken, and the proxies if their doorbell was rung."""
        words = self.words
        for at in [at for at, seq in self._seqs.items() if words[at] != seq]:
            if at in self.sleepers:
                self.sleepers[at].woken()
        if self._armed and not words[self._armed_at]:
            self._rung()

    def armed(self) -> None:
        """The proxies sleep now."""
        self._armed = True

    def disarmed(self) -> None:
        """They have died."""
        self._armed = False

    def _rung(self) -> None:
        self._armed = False
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            raise Violation(
                f"VM {self.vmid}: the proxies are no longer armed, and their doorbell was not rung"
            ) from None
        self._ring()

    @property
    def queue_is_empty(self) -> bool:
        """Whether nothing waits for the proxies."""
        words, head = self.queue
        return words[head] == EMPTY

    def audit(self) -> list[str]:
        """Return what does not hold: of the region, and of those who sleep in it."""
        found = self.region.audit()
        for process in self.sleepers.values():
            if not self.words[process.rts_at] & BLOCKED:
                found.append(f"slot {process.slot}: its call has ended, and nobody woke it")
        return found

    def close(self) -> None:
        """Throw it away: its node is gone."""
        self.sleepers.clear()
        self.names.clear()
        self.words.release()
        self._mapped.close()
