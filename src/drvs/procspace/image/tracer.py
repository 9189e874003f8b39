"""Stopping all threads of a process, and letting them go.

Threads may appear while others are being stopped, so passes over the list repeat until one finds nothing new. Waits
never block: the process may exec, exit or lose threads at any moment, and the caller may have children of its own.

What stands still is let go of here; what does not, by the end of the thread that traces it: see `tracing`.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from drvs.base import yama
from drvs.core._core import image_wait
from drvs.procspace.image import calls, procfile
from drvs.procspace.image.errors import Refused

_WALL = 0x40000000
_ATTEMPTS = 5
_SPIN_US, _NAP_S = 300, 200e-6
"""A stop is awaited actively at first: it takes about 45 us, a sleep of the shortest kind longer."""
OPTIONS = 1 | 16
"""PTRACE_O_TRACESYSGOOD: stops at system calls are told apart; PTRACE_O_TRACEEXEC: an exec is seen."""
EVENT_STOP, EVENT_EXEC, EVENT_CLONE = 128, 4, 3
CALL_STOP = signal.SIGTRAP | 0x80
PATIENCE_S = 5.0
"""How long a thread may take to stop: one in an uninterruptible wait (a dead disk) does not."""


class Gone(Exception):
    """The thread has ended."""


class Tracer:
    """Holds a process by ptrace; all but `collect_dead` is to be called in one thread. Use it in a `with`, which lets
    go."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.stopped: list[int] = []
        self._owed: list[int] = []
        self._stopping = False
        self.since = self.until = time.monotonic()
        """When the process began to stand still, and when it went on."""
        self._deadline = self.since
        self._ours = int(procfile.stat(pid)[4]) == os.getpid()
        """Is it a child of ours? Then its end is for whoever waits for it."""

    def __enter__(self) -> Tracer:
        self.since = time.monotonic()
        self._deadline = self.since + PATIENCE_S
        self._stopping = True
        try:
            self._stop_all()
        except BaseException:
            self.release()
            raise
        finally:
            self._stopping = False
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def collect_dead(self) -> None:
        """Look for dead threads, while others are being stopped; to be called by another thread every now and then.

        A thread that executes a program waits until all others have ended, and those we hold end when we look. The
        call that would stop the one that waits is held up meanwhile, so its caller cannot look.
        """
        if self._stopping:
            self._collect_dead()

    def wait(self, tid: int) -> tuple[int, int]:
        """Wait for the next stop of a thread: event (0 for a plain signal) and signal.

        Raises:
            Gone: it ended.
            Refused: it does not stop.
        """
        self._deadline = max(self._deadline, time.monotonic() + 1)
        while True:
            try:
                got, status = image_wait(tid, _SPIN_US, tid == self.pid and self._ours)
            except ChildProcessError:
                raise Gone from None
            if got and os.WIFSTOPPED(status):
                return status >> 16, os.WSTOPSIG(status)
            if got:
                raise Gone
            if time.monotonic() > self._deadline:
                raise Refused(f"thread {tid} does not stop.", "It may wait for a device; try again later.")
            self._collect_dead()
            if not self._holds(tid):
                raise Gone
            time.sleep(_NAP_S)

    def _holds(self, tid: int) -> bool:
        """Who executes a program has taken over the first thread's id, but maybe not its tracer; a child of ours is
        waited for even so.
        """
        try:
            with open(f"/proc/{tid}/status", "rb") as file:
                return b"\nTracerPid:\t0\n" not in file.read()
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _collect_dead(self) -> None:
        for tid in list(self.stopped):
            if tid != self.pid and _is_dead(tid):
                with suppress(ChildProcessError):
                    os.waitid(os.P_PID, tid, os.WEXITED | os.WNOHANG | _WALL)

    def run_to(self, tid: int, request: int, event: int, number: int) -> None:
        """Let a thread run until it stops in one way; a stop signal that comes meanwhile is sent again at the end."""
        while True:
            calls.ptrace(request, tid)
            found_event, found = self.wait(tid)
            if (found_event, found) == (event, number) or (event == EVENT_STOP == found_event):
                return
            if found_event == 0 and found == signal.SIGSTOP:
                self.owe(found)

    def owe(self, number: int) -> None:
        """Note a signal that came from elsewhere and was held back: it is sent again at the end."""
        self._owed.append(number)

    def release(self) -> None:
        """Let all threads go on that stand still. The others do so when the calling thread ends."""
        for tid in self.stopped:
            with suppress(OSError):
                calls.ptrace(calls.PTRACE_DETACH, tid)
        self.stopped = []
        for number in self._owed:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                break
        self._owed = []
        self.until = time.monotonic()

    def _stop_all(self) -> None:
        self._stop_each()
        if not self.stopped:
            raise Refused(f"process {self.pid} has ended.")
        if self.stopped[0] != self.pid:
            raise Refused(f"the first thread of process {self.pid} has ended.", "")
        for tid in self.stopped:
            self._check(tid)

    def _stop_each(self) -> None:
        while True:
            new = [tid for tid in procfile.threads(self.pid) if tid not in self.stopped]
            if not new:
                break
            if time.monotonic() > self._deadline:
                raise Refused(f"process {self.pid} has threads that cannot be stopped ({new[0]}).", "Try again later.")
            for tid in [tid for tid in new if self._seize(tid)]:
                self._settle(tid)

    def _check(self, tid: int) -> None:
        """A thread that executes a program takes over the id of the first one, which seemed to be stopped."""
        try:
            _, code, _ = calls.signal_info(tid)
        except ProcessLookupError:
            code = 0
        if code >> 8 != EVENT_STOP:
            raise Refused(f"process {self.pid} executed another program meanwhile, or is ending.", "Try again.")

    def _seize(self, tid: int) -> bool:
        """Begin to stop a thread; false if it has ended.

        The dead give EPERM too, and an id of theirs may belong to somebody who lives when we look.
        """
        for _ in range(_ATTEMPTS):
            try:
                calls.ptrace(calls.PTRACE_SEIZE, tid, 0, OPTIONS)
                self.stopped.append(tid)
                calls.ptrace(calls.PTRACE_INTERRUPT, tid)
                return True
            except ProcessLookupError:
                return tid in self.stopped
            except PermissionError:
                if self._has_ended(tid):
                    return False
        raise Refused(f"ptrace of process {self.pid} is not permitted.", remedy())

    def _has_ended(self, tid: int) -> bool:
        """Say whether a thread is dead. It is no loss, but for the first one, whom another may be about to replace."""
        try:
            dead = procfile.status(self.pid, tid)["State"][0] in "ZX"
        except (Refused, KeyError):
            dead = True
        if dead and tid == self.pid:
            text = f"process {self.pid} has no first thread now: it ended, or a program is being executed."
            raise Refused(text, "Try again.")
        return dead

    def _settle(self, tid: int) -> None:
        """Wait for the stop that was asked for; signals that come first are passed on."""
        while True:
            try:
                event, number = self.wait(tid)
                if event == EVENT_EXEC:
                    raise Refused(f"process {self.pid} executed another program meanwhile.", "Try again.")
                if event == EVENT_STOP:
                    return
                calls.ptrace(calls.PTRACE_CONT, tid, 0, number if event == 0 else 0)
            except (Gone, ProcessLookupError):
                self.stopped.remove(tid)
                return


def _is_dead(tid: int) -> bool:
    """Look without taking: what a tracer waits for includes stops, even if it does not ask for them."""
    try:
        found = os.waitid(os.P_PID, tid, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except ChildProcessError:
        return False
    return found is not None and found.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)


def remedy() -> str:
    """Say what may keep ptrace from working here."""
    usual = "Be its user or root; in a container, allow ptrace in the seccomp profile (docker: --cap-add SYS_PTRACE)."
    return yama.remedy(least=0) or usual
