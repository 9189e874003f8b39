"""Stopping all threads of a process, and letting them go.

Threads may appear while others are being stopped, so passes over the list repeat until one finds nothing new. Waits
never block: the process may exec, exit or lose threads at any moment, and the caller may have children of its own.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

from drvs.base import yama
from drvs.core._core import image_wait
from drvs.procspace.image import calls, procfile
from drvs.procspace.image.errors import Refused

_WALL = 0x40000000
_SPIN_US, _NAP_S, _COLLECT_S = 300, 200e-6, 0.02
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
    """Holds a process by ptrace; everything is to be called in one thread. Use it in a `with`, which lets go."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.stopped: list[int] = []
        self._owed: list[int] = []
        self._lost = False
        self._collector: threading.Thread | None = None
        self.since = self.until = time.monotonic()
        """When the process began to stand still, and when it went on."""
        self._deadline = time.monotonic() + PATIENCE_S
        self._ours = int(procfile.stat(pid)[4]) == os.getpid()
        """Is it a child of ours? Then its end is for whoever waits for it."""

    def __enter__(self) -> Tracer:
        done = threading.Event()
        if len(procfile.threads(self.pid)) > 1:
            self._start_collector(done)
        self.since = time.monotonic()
        try:
            self._stop_all()
        except BaseException:
            done.set()
            self.release()
            raise
        done.set()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

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
        """A thread that executes a program waits until all others have ended, and those we hold end when we look."""
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
        """Let all threads go on."""
        moving = [tid for tid in self.stopped if not self._detach(tid)]
        for tid in reversed(moving):  # the first thread's end cannot be collected before that of the others
            self._detach_later(tid)
        if moving or self._lost:
            self._let_go_of_the_rest()
        self.stopped = []
        for number in self._owed:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                break
        self._owed = []
        self.until = time.monotonic()
        if self._collector:
            self._collector.join()

    def _let_go_of_the_rest(self) -> None:
        """Who executes a program takes over the first thread's id, and our hold with it; until then both are there."""
        until = time.monotonic() + 1
        while time.monotonic() < until:
            tracers = {tid: self._tracer_of(tid) for tid in procfile.threads(self.pid)}
            held = [tid for tid, tracer in tracers.items() if tracer == threading.get_native_id()]
            for tid in held:
                self._detach_later(tid)
            if not held and None not in tracers.values():
                return

    def _tracer_of(self, tid: int) -> int | None:
        try:
            return int(procfile.status(self.pid, tid)["TracerPid"])
        except (Refused, KeyError):
            return None  # it has just changed its id, or ended

    def _detach(self, tid: int) -> bool:
        try:
            calls.ptrace(calls.PTRACE_DETACH, tid)
        except OSError:
            return False
        return True

    def _detach_later(self, tid: int) -> None:
        """A thread that does not stand still was killed, or is executing a program: that one stops once more.

        A killed one is a zombie until we look.
        """
        try:
            while True:
                self.wait(tid)
                if self._detach(tid):
                    return
        except (Gone, Refused):
            pass

    def _stop_all(self) -> None:
        self._stop_each()
        if not self.stopped:
            raise Refused(f"process {self.pid} has ended.")
        if self.stopped[0] != self.pid:
            raise Refused(f"the first thread of process {self.pid} has ended.", "")
        for tid in self.stopped:
            self._check(tid)

    def _start_collector(self, done: threading.Event) -> None:
        """Look for dead threads all the time: while a program is being executed, the call that stops another thread
        waits for the end of that, which waits for us to look.
        """

        def collect() -> None:
            while not done.wait(_COLLECT_S):
                self._collect_dead()

        self._collector = threading.Thread(target=collect, daemon=True)
        self._collector.start()

    def _stop_each(self) -> None:
        while True:
            new = [tid for tid in procfile.threads(self.pid) if tid not in self.stopped]
            if not new:
                break
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
        try:
            calls.ptrace(calls.PTRACE_SEIZE, tid, 0, OPTIONS)
            self.stopped.append(tid)
            calls.ptrace(calls.PTRACE_INTERRUPT, tid)
        except ProcessLookupError:
            return tid in self.stopped
        except PermissionError:
            return self._forbidden(tid)
        return True

    def _forbidden(self, tid: int) -> bool:
        """A thread that is ending gives EPERM too; one that has ended is no loss."""
        try:
            if procfile.status(self.pid, tid)["State"][0] in "ZX":
                if tid == self.pid:
                    raise Refused(f"the first thread of process {self.pid} has ended.")
                return False
        except Refused:
            if tid == self.pid or procfile.threads(self.pid):
                raise
            return False
        raise Refused(f"ptrace of process {self.pid} is not permitted.", remedy())

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
                self._lost = True
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
