"""A process's mailbox seen from outside: finding it, asking for its hooks, and telling how it goes on.

The struct is that of csrc/image/mailbox.h. It lies in a process that may be hostile: what is read there is checked, and
every wait has an end.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable

import msgspec

from drvs.core._core import image_syscall
from drvs.procspace.image import model, procfile
from drvs.procspace.image.area import STORE, STORE_RANK, STORE_SIZE, Area, Op
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.machine import HIGHEST

THREAD = "drvs-hooks"
MAGIC = b"drvs mailbox 1\0\0"
IDLE, ASKED, HOOKS, READY, AFTER, FAILED = range(6)
GOES_ON, RESTORED, ABANDONED, REFUSED = 1, 2, 3, 4
AT_READY = 1

_LAYOUT = struct.Struct("<16sIIIIiiIIQQQQQQ256s")
_VERDICT_AT, _BYTES_AT, _RANK_AT, _SIZE_AT, _PAYLOAD_AT, _PAYLOAD_BYTES_AT = 24, 48, 56, 64, 72, 80
_CANCELLED_AT, _PROBLEM_AT = 88, 96
_INFO_AT = _LAYOUT.size + 8
_PROBLEM_MAX = 256
_RT_SIGTIMEDWAIT, _RT_TGSIGQUEUEINFO = 128, 297
_SI_QUEUE = -1
_LOOK_S = 0.25
_THREADS_MAX = 8
"""A process has one with that name; one that lies may have thousands."""
_FIRST_PAUSE_S, _PAUSE_S = 50e-6, 1e-3

REMEDY = "Try again when it comes back to Python code, or dump it without its hooks (--no-hooks)."
SHARED = (
    "copies will share its random state (random, numpy, ssl, uuid), what its streams have not written yet, thread ids "
    "and log files; asyncio will not know its running loop, and endpoints of drvs will look bound"
)
"""What has not been put right in an image that was made without hooks."""


class Letter(msgspec.Struct):
    """The mailbox at one moment."""

    state: int
    ticket: int
    verdict: int
    dumper: int
    signal: int
    flags: int
    rounds: int
    problem: str


def find(pid: int) -> int:
    """Return the address of a process's mailbox; 0 if it has none."""
    return _find(pid)[1]


def _find(pid: int) -> tuple[int, int]:
    named = [tid for tid in procfile.threads(pid) if _name(pid, tid) == THREAD]
    until = time.monotonic() + _LOOK_S
    while named and time.monotonic() < until:  # the thread may just be on its way back to its wait
        for tid in named[:_THREADS_MAX]:
            address = _address(pid, tid)
            if address and _looks_like_one(pid, address):
                return tid, address
        time.sleep(_PAUSE_S)
    return 0, 0


def _name(pid: int, tid: int) -> str:
    try:
        with open(f"/proc/{pid}/task/{tid}/comm", "rb") as file:
            return file.read(32).decode(errors="replace").rstrip("\n")
    except OSError:
        return ""


def _address(pid: int, tid: int) -> int:
    try:
        with open(f"/proc/{pid}/task/{tid}/syscall", "rb") as file:
            words = file.read(512).split()
    except OSError:
        return 0
    if len(words) < 4 or words[0] != str(_RT_SIGTIMEDWAIT).encode():
        return 0
    address = int(words[2], 16) - _INFO_AT
    return address if 0 < address < HIGHEST and address % 8 == 0 else 0


def _looks_like_one(pid: int, address: int) -> bool:
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            read(memory.fileno(), address)
    except (OSError, Refused):
        return False
    return True


def read(memory: int, address: int) -> Letter:
    """Read a mailbox through /proc/PID/mem.

    Raises:
        Refused: there is none.
    """
    try:
        data = os.pread(memory, _LAYOUT.size, address)
    except (OSError, OverflowError):
        data = b""
    if len(data) < _LAYOUT.size or data[:16] != MAGIC:
        raise Refused("its mailbox is gone.", "Try again.")
    _, state, ticket, verdict, _, dumper, signal, flags, rounds, *_, problem = _LAYOUT.unpack(data)
    if state > FAILED or not (32 <= signal <= 64 or signal == 0):
        raise Refused("its mailbox is damaged.", REMEDY)
    text = problem.split(b"\0", 1)[0].decode(errors="replace")
    return Letter(state, ticket, verdict, dumper, signal, flags, rounds, "".join(c for c in text if c.isprintable()))


def waits_to_be_dumped(pid: int) -> bool:
    """Say whether a program has come to `image.ready()` and waits there."""
    tid, address = _find(pid)
    if not tid:
        return False
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        return bool(read(memory.fileno(), address).flags & AT_READY)


# ---- asking ----------------------------------------------------------------------------------------------------------


def prepare(pid: int, address: int, timeout_s: float) -> int:
    """Have a process run its hooks. It waits afterwards, for a verdict or for the death of the calling process.

    Args:
        address: of its mailbox.
        timeout_s: how long it may take until its main thread has run them.

    Returns:
        The ticket that its mailbox shows as long as it waits for us: see `check_ready`.

    Raises:
        Refused: a hook failed, or time is up; the process goes on.
    """
    tid, found = _find(pid)
    if not found or found != address:
        raise Refused(f"process {pid} has no mailbox any more.", "Try again.")
    ticket = int.from_bytes(os.urandom(4), "little") >> 1 | 1
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        _Request(pid, tid, memory, address, ticket, time.monotonic() + timeout_s).run(timeout_s)
    finally:
        os.close(memory)
    return ticket


def await_ready(pid: int, address: int, timeout_s: float) -> None:
    """Wait until a process that dumps itself waits in its mailbox.

    Raises:
        Refused: it does not.
    """
    deadline = time.monotonic() + timeout_s
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        while read(memory.fileno(), address).state != READY:
            if time.monotonic() > deadline:
                raise Refused(f"process {pid} does not wait to be dumped.")
            time.sleep(_PAUSE_S)


def check_ready(memory: int, address: int, ticket: int) -> None:
    """Check, when the process stands still, that it still waits for us.

    Raises:
        Refused: it went on by itself.
    """
    letter = read(memory, address)
    if (letter.state, letter.ticket, letter.verdict) != (READY, ticket, 0):
        raise Refused("the process did not wait any longer after its hooks.", "Try again.")


class _Request(msgspec.Struct):
    pid: int
    tid: int
    memory: int
    address: int
    ticket: int
    deadline: float

    def run(self, timeout_s: float) -> None:
        self._await(lambda letter: letter.state in (IDLE, FAILED), "another dump of it is under way", timeout_s)
        self._await(self._handled, "its main thread did not come to Python code", timeout_s)
        self._send(read(self.memory, self.address).signal)
        try:
            self._await(
                lambda letter: letter.ticket == self.ticket and letter.state in (READY, FAILED),
                "its main thread did not come to run its hooks", timeout_s,
            )  # fmt: skip
        except BaseException:
            _write(self.memory, self.address + _CANCELLED_AT, self.ticket)
            raise
        letter = read(self.memory, self.address)
        if letter.state == FAILED:
            raise Refused(f"a hook of process {self.pid} failed: {letter.problem}.", "--no-hooks leaves them out.")

    def _handled(self, letter: Letter) -> bool:
        """A process without a handler for the signal would be ended, should its mailbox lie."""
        caught = int(procfile.status(self.pid).get("SigCgt", "0"), 16)
        return letter.signal > 0 and bool(caught >> (letter.signal - 1) & 1)

    def _send(self, signal: int) -> None:
        info = struct.pack("<iiiiiIQ", signal, 0, _SI_QUEUE, 0, os.getpid(), os.getuid(), self.ticket).ljust(128, b"\0")
        try:
            image_syscall(_RT_TGSIGQUEUEINFO, self.pid, self.tid, signal, info)
        except PermissionError:
            raise Refused(f"process {self.pid} may not be asked.", "Be its user, or root.") from None
        except OSError:
            raise Refused(f"process {self.pid} cannot be asked for its hooks.", REMEDY) from None

    def _await(self, done: Callable[[Letter], bool], otherwise: str, timeout_s: float) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            letter = read(self.memory, self.address)
            if done(letter):
                return
            if time.monotonic() > self.deadline:
                raise Refused(f"process {self.pid}: {otherwise} within {timeout_s:g} s.", REMEDY)
            time.sleep(pause)
            pause = min(_PAUSE_S, pause * 1.5)


# ---- telling ---------------------------------------------------------------------------------------------------------


def store_verdict(memory: int, address: int, verdict: int, bytes_written: int, problem: str = "") -> None:
    """Tell a process that waits how it goes on. One that has gone is none of our concern."""
    if problem:
        text = problem.encode(errors="replace")[: _PROBLEM_MAX - 1]
        try:
            os.pwrite(memory, text.ljust(_PROBLEM_MAX, b"\0"), address + _PROBLEM_AT)
        except OSError:
            return
    _write(memory, address + _BYTES_AT, bytes_written)
    _write(memory, address + _VERDICT_AT, verdict)


def _write(memory: int, address: int, value: int) -> None:
    try:
        os.pwrite(memory, value.to_bytes(8, "little"), address)
    except OSError:
        pass


def payload(argv: list[str] | None, environ: dict[str, str] | None, pid_kept: bool) -> bytes:
    """Encode what a restored process is told; None leaves arguments or environment as they were."""
    return msgspec.msgpack.encode({
        "argv": None if argv is None else [os.fsencode(word) for word in argv],
        "environ": None if environ is None else {os.fsencode(k): os.fsencode(v) for k, v in environ.items()},
        "pid_kept": pid_kept,
    })  # fmt: skip


def restored_ops(meta: model.Meta, area: Area, rank: int | None, size: int, told: bytes) -> list[Op]:
    """Return the lines of a restore's table that tell the process it is restored; none if it does not wait for that.

    Args:
        area: where `told` is placed; it has to stay mapped.
        rank: which copy it is; None in a template, whose copies know it and their number themselves.
        told: as `payload` encodes it; may be empty.
    """
    if not (meta.mailbox and meta.hooked):
        return []
    box = meta.mailbox
    which: list[Op] = [(STORE, box + _RANK_AT, rank or 0), (STORE, box + _SIZE_AT, size)]
    if rank is None:
        which = [(STORE_RANK, box + _RANK_AT), (STORE_SIZE, box + _SIZE_AT)]
    return [
        *which,
        (STORE, box + _PAYLOAD_AT, area.put(told) if told else 0),
        (STORE, box + _PAYLOAD_BYTES_AT, len(told)),
        (STORE, box + _VERDICT_AT, RESTORED),
    ]
