"""What can only be learnt of a process while it stands still: threads, descriptors, and what it answers itself."""

from __future__ import annotations

import os

from drvs.procspace.image import descriptors, maps, model, procfile, state
from drvs.procspace.image.area import AREA_MAGIC
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.remote import PATCH, Place, Remote, harmless_signal
from drvs.procspace.image.snapshot import Snapshot
from drvs.procspace.image.tracer import Tracer

_STACK_GAP = 1 << 20
"""The kernel keeps that much free below a stack that grows."""


class Standing:
    """A process whose threads are all stopped."""

    def __init__(self, tracer: Tracer, memory: int, pidfd: int) -> None:
        """Take who stopped it, and a descriptor of its /proc/PID/mem."""
        self.tracer, self.pid = tracer, tracer.pid
        self.memory, self.pidfd = memory, pidfd
        self.found: list[descriptors.Found] = []
        self.open_files: list[model.AnyOpen] = []
        self.removed: list[tuple[int, int]] = []
        """Start and size of what earlier dumps or a restore had left in it."""
        self.snapshot: Snapshot | None = None

    def look_at_descriptors(self, close_unknown: bool) -> None:
        """Describe what it has open.

        Raises:
            Refused: something that cannot be kept.
        """
        self.found = descriptors.look(self.pid, self.pidfd)
        self.open_files = descriptors.describe(self.found, close_unknown)

    def ask(self, vmas: list[maps.Vma], duplicate: bool = False) -> state.Asked:
        """Let it answer what only it knows; afterwards its map is as `vmas` says, but for what was `removed`.

        Args:
            vmas: its memory map.
            duplicate: let it also make the `snapshot`.
        """
        status = procfile.status(self.pid)
        caught, pending = state.masks(status)
        remote = Remote(self.tracer, self.memory)
        harmless = harmless_signal([thread.mask for thread in remote.threads], caught, pending)
        self.removed = self._leftovers(vmas, remote)
        remote.open(self._place(vmas, remote.threads[0].registers["rsp"]), harmless, self.removed)
        try:
            asked = state.Asked(remote)
            if duplicate:
                self.snapshot = Snapshot(remote)
            return asked
        finally:
            remote.close()

    def end_snapshot(self) -> None:
        """End the duplicate, if there is one."""
        if self.snapshot:
            self.snapshot.end()

    def _leftovers(self, vmas: list[maps.Vma], remote: Remote) -> list[tuple[int, int]]:
        """Find what killed dumpers left, but for an area that a thread is just on its way out of."""
        inside = {thread.registers["rip"] for thread in remote.threads}
        return [
            (start, nbytes)
            for start, nbytes in maps.leftovers(vmas, self.memory, AREA_MAGIC)
            if not any(start <= address < start + nbytes for address in inside)
        ]

    def _place(self, vmas: list[maps.Vma], stack_pointer: int) -> Place:
        entry = state.entry_point(procfile.content(self.pid, "auxv"))
        vma, stack = maps.at(vmas, entry), maps.at(vmas, stack_pointer - 1)
        if vma is None or stack is None or stack.shared or stack.prot & 3 != 3:
            raise Refused(f"process {self.pid} has unmapped its stack or its program's entry.")
        return Place(entry, self._code(vma, entry), (_lowest(vmas, stack), stack.end))

    def _code(self, vma: maps.Vma, entry: int) -> bytes:
        """Return the bytes that belong at the entry: if a dumper was killed, the file has them."""
        code = os.pread(self.memory, len(PATCH), entry)
        if code == PATCH:
            with procfile.opened(f"/proc/{self.pid}/map_files/{vma.start:x}-{vma.end:x}", os.O_RDONLY, vma.name) as fd:
                code = os.pread(fd, len(PATCH), entry - vma.start + vma.offset)
        return code


def _lowest(vmas: list[maps.Vma], stack: maps.Vma) -> int:
    """Return down to where a signal's frame may reach."""
    if "gd" not in stack.flags:
        return stack.start
    below = max((vma.end for vma in vmas if vma.end <= stack.start), default=0)
    return min(stack.start, below + _STACK_GAP)
