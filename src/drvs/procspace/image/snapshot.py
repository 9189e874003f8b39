"""A duplicate of a stopped process: a dump reads from it while the process itself runs on.

The first thread makes a helper that shares its memory and descriptors; the helper forks the duplicate and ends, and
the thread collects it at once. So the process never has a child that it could notice, and the duplicate belongs to
who adopts orphans. It is held at its birth, and never runs.

Should the dumper die at any moment, nothing stays: the only thing that the duplicate would do is end, the kernel kills
it besides (PTRACE_O_EXITKILL), the helper ends too, and the thread finds its way back as after every table.
"""

from __future__ import annotations

import os
import signal
import struct

from drvs.procspace.image import calls, maps, procfile
from drvs.procspace.image.errors import ImageError, Refused
from drvs.procspace.image.remote import AREA_BYTES, SPARE_AT, Remote, op
from drvs.procspace.image.tracer import EVENT_CLONE, OPTIONS, Gone, Tracer

_THREAD = 0x10001
_CLONE_VM, _CLONE_FILES, _CLONE_PARENT_SETTID = 0x100, 0x400, 0x100000
_WALL = 0x40000000
_TRACE_CLONE, _EXIT_KILL = 1 << 3, 1 << 20
_NOBODY = 0x7FFFFFFF
"""A pid that no process has: waiting for it fails, should there be no helper."""
_ARGS_OF_HELPER, _ARGS_OF_DUPLICATE, _OPS_OF_HELPER, _OPS_OF_DUPLICATE = 0, 0x80, 0x100, 0x200
_STACK_OF_HELPER, _STACK_OF_DUPLICATE, _STACK_BYTES = 0x1000, 0x2000, 0x1000


class Snapshot:
    """The duplicate; it has to be ended."""

    def __init__(self, remote: Remote) -> None:
        """Let the first thread of a stopped process make it.

        Raises:
            ImageError: there is no memory, or no process, left for it.
        """
        self.tracer: Tracer = remote.tracer
        self.area = remote.area, remote.area + AREA_BYTES
        self._held: list[int] = []
        self.pid = 0
        try:
            self._make(remote)
            self._tidy_up(remote)
        except BaseException:
            self.end()
            raise
        finally:
            self._let_go(remote)

    def end(self) -> None:
        """Kill it, and collect it as its tracer; who adopted it does so as its parent."""
        if not self.pid:
            return
        try:
            os.kill(self.pid, signal.SIGKILL)
            while True:
                self.tracer.wait(self.pid)
        except (Gone, ProcessLookupError):
            self.pid = 0

    # ---- making it ---------------------------------------------------------------------------------------------------

    def _make(self, remote: Remote) -> None:
        first = remote.threads[0].tid
        calls.ptrace(calls.PTRACE_SETOPTIONS, first, 0, OPTIONS | _TRACE_CLONE)
        self._write_tables(remote)
        helper = self._born_of(first, remote.harmless)
        self.tracer.wait(helper)  # at its birth
        self.pid = self._born_of(helper, 0)
        self.tracer.wait(self.pid)
        calls.ptrace(calls.PTRACE_SETOPTIONS, self.pid, 0, _EXIT_KILL)

    def _write_tables(self, remote: Remote) -> None:
        """The first thread: make the helper and collect it. The helper: make the duplicate and end. That: end."""
        spare = remote.area + SPARE_AT
        wait_for = _place_of_argument(remote.table, 1)
        parts = {
            _ARGS_OF_HELPER: _clone_args(
                _CLONE_VM | _CLONE_FILES | _CLONE_PARENT_SETTID, spare + _STACK_OF_HELPER, wait_for
            ),
            _ARGS_OF_DUPLICATE: _clone_args(_CLONE_FILES, spare + _STACK_OF_DUPLICATE, 0),
            _OPS_OF_HELPER: op(_THREAD, spare + _ARGS_OF_DUPLICATE, spare + _OPS_OF_DUPLICATE) + op(calls.EXIT, 0),
            _OPS_OF_DUPLICATE: op(calls.EXIT_GROUP, 0),
        }
        for at, content in parts.items():
            os.pwrite(remote.memory, content, spare + at)
        make = op(_THREAD, spare + _ARGS_OF_HELPER, spare + _OPS_OF_HELPER)
        remote.lead(0, [make, op(calls.WAIT4, _NOBODY, 0, _WALL, 0)])

    def _born_of(self, parent: int, end: int) -> int:
        """Let a thread run until it has made a child, and return that. `end` is the signal that ends its table."""
        while True:
            calls.ptrace(calls.PTRACE_CONT, parent)
            try:
                event, number = self.tracer.wait(parent)
            except Gone:
                number, event = end, 0
            if event == EVENT_CLONE:
                self._held.append(parent)
                return calls.event_message(parent)
            if event == 0 and number == end:
                raise ImageError(
                    f"process {self.tracer.pid} cannot be duplicated.",
                    "It lacks memory, or may have no more processes.",
                )
            if event == 0 and number == signal.SIGSTOP:
                self.tracer.owe(number)

    def _let_go(self, remote: Remote) -> None:
        """Let the helper end; the first thread collects it and comes to the end of its table."""
        first = remote.threads[0].tid
        for tid in self._held:
            if tid != first:
                calls.ptrace(calls.PTRACE_DETACH, tid)
        if first in self._held:
            remote.await_end(0)
        calls.ptrace(calls.PTRACE_SETOPTIONS, first, 0, OPTIONS)

    def _tidy_up(self, remote: Remote) -> None:
        """Write into the duplicate what the process gets back as well."""
        with procfile.opened(f"/proc/{self.pid}/mem", os.O_RDWR) as memory:
            for address, content in remote.debts:
                os.pwrite(memory, content, address)


def refuse_not_forked(pid: int, vmas: list[maps.Vma]) -> None:
    """Look at the memory map of a process that still runs.

    Raises:
        Refused: forks do not copy all of it.
    """
    for vma in vmas:
        if "dc" in vma.flags:
            raise Refused(
                f"process {pid} has memory at {vma.start:#x} that forks do not copy (MADV_DONTFORK).",
                "Dump it without a snapshot.",
            )


def _clone_args(flags: int, stack: int, parent_tid: int) -> bytes:
    return struct.pack("<11Q", flags, 0, 0, parent_tid, 0, stack, _STACK_BYTES, 0, 0, 0, 0)


def _place_of_argument(table: int, line: int) -> int:
    """Return where the first argument of a table's line stands: the kernel writes the helper's pid there."""
    return table + line * len(op(0)) + 8
