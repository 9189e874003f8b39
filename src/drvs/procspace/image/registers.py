"""x86-64 registers: what a stopped thread has, and the signal frame that gives it all back in one system call.

`rt_sigreturn` restores general registers, extended state, signal mask and alternate stack together. A dump uses such a
frame so that a thread whose tracer dies cures itself; a restore uses one to enter the program.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from msgspec import Struct

from drvs.core._core import image_xsave_parts
from drvs.procspace.image.errors import Refused

NT_PRSTATUS, NT_X86_XSTATE = 1, 0x202

NAMES = [
    "r15",
    "r14",
    "r13",
    "r12",
    "rbp",
    "rbx",
    "r11",
    "r10",
    "r9",
    "r8",
    "rax",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "orig_rax",
    "rip",
    "cs",
    "eflags",
    "rsp",
    "ss",
    "fs_base",
    "gs_base",
    "ds",
    "es",
    "fs",
    "gs",
]
_INDEX = {name: index for index, name in enumerate(NAMES)}
_LAYOUT = struct.Struct("<27Q")
_IN_FRAME = [
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
    "rdi",
    "rsi",
    "rbp",
    "rbx",
    "rdx",
    "rax",
    "rcx",
    "rsp",
    "rip",
    "eflags",
]
_MASK64 = 2**64 - 1
_NONE = _MASK64
"""orig_rax of a thread that is in no system call."""

_ERESTART, _ERESTART_BLOCK, _EINTR = (512, 513, 514), 516, 4
_FUTEX, _FUTEX_WAIT_BITSET = 202, 9

_XFEATURES_AT, _SOFTWARE_AT = 512, 464
_AMX = 1 << 17 | 1 << 18
_MAGIC1, _MAGIC2 = 0x46505853, 0x46505845
_UC_FLAGS = 1 | 2 | 4
"""Extended state follows; SS is in the frame, and is meant."""

FRAME_AT = 320
"""Where the extended state stands behind the start of a frame: the ucontext has 304 bytes, and XRSTOR wants 64-byte
steps."""

KEEP_ALTSTACK = (0, 0x7FFFFFFF, 0)
"""An alternate stack that the kernel rejects, and so leaves as it is."""


class Registers(Struct, frozen=True):
    """The general registers of a thread."""

    words: tuple[int, ...]

    @classmethod
    def unpack(cls, data: bytes) -> Registers:
        """Take them as ptrace gives them."""
        return cls(_LAYOUT.unpack(data))

    def pack(self) -> bytes:
        """Return them as ptrace takes them."""
        return _LAYOUT.pack(*self.words)

    def __getitem__(self, name: str) -> int:
        return self.words[_INDEX[name]]

    def replaced(self, **values: int) -> Registers:
        """Return a copy with some registers changed."""
        words = list(self.words)
        for name, value in values.items():
            words[_INDEX[name]] = value & _MASK64
        return Registers(tuple(words))

    def out_of_call(self) -> Registers:
        """Return them as they must be for going on elsewhere, or without the kernel's memory of an interrupted call.

        A call that can simply be made again will be. One that the kernel would continue from its own notes (a relative
        sleep) ends with EINTR, but a futex wait with an absolute time can be made again too.
        """
        error = -(self["rax"] - 2**64) if self["rax"] >= 2**63 else 0
        if self["orig_rax"] >= 2**63:
            return self
        again = self.replaced(rax=self["orig_rax"], rip=self["rip"] - 2, orig_rax=_NONE)
        if error in _ERESTART:
            return again
        if error == _ERESTART_BLOCK:
            absolute = self["orig_rax"] == _FUTEX and self["rsi"] & 0x7F == _FUTEX_WAIT_BITSET
            return again if absolute else self.replaced(rax=-_EINTR, orig_rax=_NONE)
        return self.replaced(orig_rax=_NONE)


def enabled_features(xstate: bytes) -> int:
    """Return which parts of extended state the kernel lets programs use (XCR0)."""
    return int.from_bytes(xstate[_SOFTWARE_AT : _SOFTWARE_AT + 8], "little")


def check_extended(xstate: bytes) -> None:
    """Refuse AMX tiles: no signal frame of ours carries them.

    Raises:
        Refused: the thread uses them.
    """
    if len(xstate) > 576 and int.from_bytes(xstate[_XFEATURES_AT : _XFEATURES_AT + 8], "little") & _AMX:
        raise Refused("a thread has AMX tiles loaded.", "Dump it when its matrix work is done.")


@lru_cache(maxsize=16)
def _extended_bytes(features: int) -> int:
    """Return how far the parts of extended state reach."""
    return max([576, *(offset + nbytes for _, offset, nbytes in image_xsave_parts(features) if offset)])


def _frame_state(xstate: bytes) -> bytes:
    """Turn ptrace's extended state into a signal frame's: the parts that every thread has, between two magic words."""
    features = enabled_features(xstate) & ~_AMX
    size = _extended_bytes(features)
    software = struct.pack("<IIQI28x", _MAGIC1, size + 4, features, size)
    return xstate[:_SOFTWARE_AT] + software + xstate[512:size].ljust(size - 512, b"\0") + struct.pack("<I", _MAGIC2)


def signal_frame(registers: Registers, xstate: bytes, mask: int, altstack: tuple[int, int, int], address: int) -> bytes:
    """Build the frame that `rt_sigreturn` enters a program by, with the stack pointer at `address`.

    Args:
        registers: of a thread that is in no call (see `Registers.out_of_call`).
        altstack: address, flags and size; KEEP_ALTSTACK leaves it.
        address: where the frame will be; a multiple of 64.
    """
    stack, flags, size = altstack
    segments = registers["cs"] & 0xFFFF | (registers["ss"] & 0xFFFF) << 48
    return b"".join(
        (
            struct.pack("<QQQIIQ", _UC_FLAGS, 0, stack, flags, 0, size),
            struct.pack("<18Q", *(registers[name] for name in _IN_FRAME)),
            struct.pack("<QQQQQQ64x", segments, 0, 0, 0, 0, address + FRAME_AT),
            struct.pack("<Q16x", mask),
            _frame_state(xstate),
        )
    )
