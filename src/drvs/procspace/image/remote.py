"""Asking a stopped process what only it can say: system calls made in its own threads.

A dumper may be killed at any moment, and its target must run on unharmed. So before a thread is led anywhere, the way
back is in place, and it needs no tracer: whatever is injected ends in `rt_sigreturn` with a frame that holds all the
thread had.

1. Nine bytes at the program's entry (run once, long ago) become `syscall; mov $15,%eax; syscall`: any call, then
   sigreturn. The first thread's frame stands below the red zone of its stack, where a signal's would. By this way it
   makes one mapping, and at the end removes it.
2. In the mapping every thread, one after the other, works through a table of calls (csrc/image/blob.c) with all signals
   blocked but one that the process ignores, raises that one, and so stops again.
3. Then it gets its untouched registers and mask back: a call that was interrupted goes on as if nothing had been.

A killed dumper leaves at most the mapping and the nine bytes; the next dump takes them away.
"""

from __future__ import annotations

import os
import signal
import struct
from dataclasses import dataclass

from drvs.core import _core
from drvs.procspace.image import calls
from drvs.procspace.image.area import AREA_MAGIC
from drvs.procspace.image.errors import ImageError, Refused
from drvs.procspace.image.machine import blob
from drvs.procspace.image.registers import (
    KEEP_ALTSTACK,
    NT_PRSTATUS,
    NT_X86_XSTATE,
    Registers,
    check_extended,
    signal_frame,
)
from drvs.procspace.image.tracer import CALL_STOP, EVENT_STOP, Tracer

PATCH = bytes.fromhex("0f05 b80f000000 0f05")
RED_ZONE = 128
_CODE_AT = 64
_FRAME_AT, _OPS_AT, _ANSWERS_AT, _STACK_END = 0x2000, 0x6000, 0x8000, 0xB000
SPARE_AT, SPARE_BYTES, AREA_BYTES = 0xB000, 0x3000, 0xE000
"""Head and code, a frame, a table, its answers, a stack; then what a duplicate needs. Threads use it one by one."""
QUESTIONS_MAX, ANSWERS_MAX = 120, 0x1000
_OP = struct.Struct("<7Qq")
MAY_FAIL, SIGRETURN = 1 << 32, 0x10006
_SI_TKILL = -6
_HARMLESS = (signal.SIGURG, signal.SIGWINCH, signal.SIGCONT, signal.SIGCHLD)
"""Signals that do nothing to a process without a handler for them."""


@dataclass
class Stopped:
    """A thread as it was found, which is how it will be left."""

    tid: int
    registers: Registers
    xstate: bytes
    mask: int
    rseq: tuple[int, int, int, int]


@dataclass
class Call:
    """A system call to be made in a thread; `answer` bytes of space go where an argument is None."""

    number: int
    arguments: tuple[int | None, ...]
    answer: int = 0


@dataclass
class Place:
    """Where in the process the first step can be made: its entry, the bytes that belong there, and how far the memory
    that the first thread has its stack in reaches, or may grow."""

    entry: int
    code: bytes
    stack: tuple[int, int]


class Remote:
    """Makes calls in the threads of a stopped process."""

    def __init__(self, tracer: Tracer, memory: int) -> None:
        self.tracer = tracer
        self.pid = tracer.pid
        self.memory = memory
        self.threads = [self._look(tid) for tid in tracer.stopped]
        self.harmless = 0
        self._mask = 0
        self.area = 0
        self.entry = 0
        self._frame = 0
        self._below = b""

    @property
    def table(self) -> int:
        """The address of the first line of every table."""
        return self.area + _OPS_AT

    @property
    def debts(self) -> list[tuple[int, bytes]]:
        """What stands elsewhere while the way is prepared: addresses, and the bytes that belong there."""
        return [(self.place.entry, self.place.code), (self._frame, self._below)]

    # ---- the way in and the way out ----------------------------------------------------------------------------------

    def open(self, place: Place, harmless: int, leftovers: list[tuple[int, int]]) -> None:
        """Prepare the way, remove what earlier dumps left, and map the area the tables work in."""
        self.place, self.harmless = place, harmless
        self._mask = (2**64 - 1) & ~(1 << harmless - 1)
        first = self.threads[0]
        code, entry = blob()
        stack_pointer = first.registers["rsp"]
        frame = self._frame_of(first, 0)
        self._frame = (stack_pointer - RED_ZONE - len(frame)) & ~63
        self._below = self._read_stack(stack_pointer)
        os.pwrite(self.memory, self._frame_of(first, self._frame), self._frame)
        os.pwrite(self.memory, PATCH, self.place.entry)
        for start, nbytes in leftovers:
            self._call(calls.MUNMAP, start, nbytes)
        area = self._call(calls.MMAP, 0, AREA_BYTES, 7, 0x22, -1 & 2**64 - 1, 0)
        os.pwrite(self.memory, struct.pack("<16sQ", AREA_MAGIC, AREA_BYTES).ljust(_CODE_AT, b"\0") + code, area)
        self.area, self.entry = area, area + _CODE_AT + entry

    def _read_stack(self, stack_pointer: int) -> bytes:
        """Read what stands where the frame will; that lets a stack grow, as a signal would."""
        start, end = self.place.stack
        try:
            found = os.pread(self.memory, stack_pointer - self._frame, self._frame) if start <= self._frame else b""
        except OSError:
            found = b""
        if stack_pointer > end or len(found) < stack_pointer - self._frame:
            raise Refused("the stack of the first thread has no room for a signal.", "Try again later.")
        return found

    def close(self) -> None:
        """Remove the area and the nine bytes, and leave the first thread as it was found."""
        if self.area:
            self._call(calls.MUNMAP, self.area, AREA_BYTES)
            self.area = 0
        first = self.threads[0]
        # Out of the call's stop, into one from which the kernel still sees that a call was interrupted.
        calls.ptrace(calls.PTRACE_INTERRUPT, first.tid)
        self.tracer.run_to(first.tid, calls.PTRACE_CONT, EVENT_STOP, signal.SIGTRAP)
        self._give_back(first)
        for address, content in self.debts:
            os.pwrite(self.memory, content, address)

    def ask(self, index: int, questions: list[Call]) -> list[tuple[int, bytes]]:
        """Make calls in one thread; for each its result and its answer. Errors are results here."""
        answers, ops = self.area + _ANSWERS_AT, []
        for question in questions:
            filled = [answers if argument is None else argument for argument in question.arguments]
            ops.append(op(question.number, *filled))
            answers += question.answer
        self.lead(index, ops)
        self.await_end(index)
        results = os.pread(self.memory, _OP.size * len(questions), self.area + _OPS_AT)
        space = os.pread(self.memory, answers - self.area - _ANSWERS_AT, self.area + _ANSWERS_AT)
        return self._sorted_out(questions, results, space)

    def lead(self, index: int, ops: list[bytes]) -> None:
        """Point a thread at a table, at whose end it stops, or goes on as it was if nobody watches it."""
        thread, area = self.threads[index], self.area
        os.pwrite(self.memory, self._frame_of(thread, area + _FRAME_AT), area + _FRAME_AT)
        end = [op(calls.TGKILL, self.pid, thread.tid, self.harmless), op(SIGRETURN, area + _FRAME_AT)]
        os.pwrite(self.memory, b"".join([*ops, *end]), area + _OPS_AT)
        stack = area + _STACK_END - 8
        self._lead(thread, rip=self.entry, rdi=area + _OPS_AT, rsi=area, rsp=stack, rbp=0)

    def await_end(self, index: int) -> None:
        """Let a thread work through the table it was led to; all but the first are then given back what was theirs."""
        thread = self.threads[index]
        while True:
            self.tracer.run_to(thread.tid, calls.PTRACE_CONT, 0, self.harmless)
            if calls.signal_info(thread.tid) == (self.harmless, _SI_TKILL, self.pid):
                break
            self.tracer.owe(self.harmless)
        if thread is not self.threads[0]:
            self._give_back(thread)

    @staticmethod
    def _sorted_out(questions: list[Call], results: bytes, space: bytes) -> list[tuple[int, bytes]]:
        found, at = [], 0
        for question, op in zip(questions, _OP.iter_unpack(results), strict=True):
            found.append((op[7], space[at : at + question.answer]))
            at += question.answer
        return found

    # ---- steps -------------------------------------------------------------------------------------------------------

    def _look(self, tid: int) -> Stopped:
        registers = Registers.unpack(_core.image_regset_get(tid, NT_PRSTATUS))
        xstate = _core.image_regset_get(tid, NT_X86_XSTATE)
        check_extended(xstate)
        rseq = calls.rseq_area(tid)
        return Stopped(tid, self._out_of_rseq(registers, rseq[0]), xstate, calls.signal_mask(tid), rseq)

    def _out_of_rseq(self, registers: Registers, area: int) -> Registers:
        """A restartable sequence that a stop interrupts begins again; the kernel would do it, but sees our detour
        first."""
        if not area:
            return registers
        section = int.from_bytes(os.pread(self.memory, 8, area + 8), "little")
        if section:
            _, start, nbytes, abort = struct.unpack("<Q3Q", os.pread(self.memory, 32, section))
            if start <= registers["rip"] < start + nbytes:
                return registers.replaced(rip=abort, orig_rax=-1)
        return registers

    @staticmethod
    def _frame_of(thread: Stopped, address: int) -> bytes:
        return signal_frame(thread.registers.out_of_call(), thread.xstate, thread.mask, KEEP_ALTSTACK, address)

    def _lead(self, thread: Stopped, **values: int) -> None:
        """Point a thread elsewhere. Registers first: from then on its way back restores the mask too."""
        registers = thread.registers.replaced(orig_rax=-1, **values)
        _core.image_regset_set(thread.tid, NT_PRSTATUS, registers.pack())
        calls.set_signal_mask(thread.tid, self._mask)

    def _give_back(self, thread: Stopped) -> None:
        """The mask first, as long as the thread's way back would restore it anyway."""
        calls.set_signal_mask(thread.tid, thread.mask)
        _core.image_regset_set(thread.tid, NT_PRSTATUS, thread.registers.pack())

    def _call(self, number: int, *arguments: int) -> int:
        """Make one call in the first thread at the program's entry."""
        first = self.threads[0]
        values = dict(zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments, strict=False))
        self._lead(first, rip=self.place.entry, rsp=self._frame, rax=number, **values)
        for _entry_and_exit in range(2):
            self.tracer.run_to(first.tid, calls.PTRACE_SYSCALL, 0, CALL_STOP)
        result = Registers.unpack(_core.image_regset_get(first.tid, NT_PRSTATUS))["rax"]
        if result > 2**64 - 4096:
            raise ImageError(f"system call {number} in process {self.pid} failed: {os.strerror(2**64 - result)}.")
        return result


def op(number: int, *arguments: int) -> bytes:
    """Encode a line of a table whose failure is an answer."""
    return _OP.pack(number | MAY_FAIL, *arguments, *[0] * (6 - len(arguments)), 0)


def harmless_signal(masks: list[int], caught: int, pending: int) -> int:
    """Choose the signal that ends a table: one without a handler, with none pending, and best one that no thread
    blocks.

    A blocked one may be waited for (sigwait, signalfd): if it comes just then, it is sent again at the end.

    Raises:
        Refused: there is none.
    """
    blocked = 0
    for mask in masks:
        blocked |= mask
    for taken in (caught | pending | blocked, caught | pending):
        for number in _HARMLESS:
            if not taken >> (number - 1) & 1:
                return number
    raise Refused("the process handles every signal that could be used for stopping it.")
