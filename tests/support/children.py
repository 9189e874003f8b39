"""Child processes that a test talks with over pipes, line by line, without ever sleeping.

    def serve(me, runtime_dir):          # runs in the child
        ...
        me.say("ready")                  # the test's child.wait_line() returns this
        word = me.hear()                 # waits for the test's child.tell(...)
        return 42                        # the test's child.result()

    child = spawn(serve, runtime_dir)

`spawn(function, ...)` forks; `spawn(source_text, ...)` starts a fresh interpreter in which `me` and `args` are defined.
Children die with the test process, keep their stderr in a file that failures quote, and print their Python stacks there
on SIGUSR1.
"""

from __future__ import annotations

import base64
import contextlib
import faulthandler
import os
import pickle
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any

from support import procfs
from support.patience import FACTOR

PATIENCE_S = 30.0 * FACTOR
"""How long a test waits for a line or a result before it calls the child hung."""


class ChildFailed(AssertionError):
    """The child raised, died or kept silent; the text quotes its traceback, stderr or stacks."""


class Me:
    """The child's side: `say` a line to the test, `hear` one from it."""

    def __init__(self, hear_fd: int, say_fd: int) -> None:
        self._lines = LineReader(hear_fd)
        self._say_fd = say_fd

    def say(self, text: object = "") -> None:
        """Send one line to the test."""
        os.write(self._say_fd, b"L" + str(text).encode() + b"\n")

    def hear(self, timeout: float = PATIENCE_S) -> str:
        """Wait for one line from the test."""
        line = self._lines.next_line(timeout)
        if line is None:
            raise TimeoutError(f"the test said nothing for {timeout} s")
        return line

    def _finish(self, tag: bytes, value: object) -> None:
        os.write(self._say_fd, tag + base64.b64encode(pickle.dumps(value)) + b"\n")


class LineReader:
    """Lines from a descriptor, each waited for with a deadline."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._rest = b""

    def next_line(self, timeout: float) -> str | None:
        """The next line; None if none came in time. EOFError at the end."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._rest:
            left_ms = max(0, int((deadline - time.monotonic()) * 1000))
            poller = select.poll()
            poller.register(self.fd, select.POLLIN)
            if not poller.poll(left_ms):
                return None
            chunk = os.read(self.fd, 65536)
            if not chunk:
                raise EOFError
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")


class Child:
    """One child process as the test sees it."""

    def __init__(self, pid: int, lines: LineReader, tell_fd: int, log_path: str, name: str) -> None:
        self.pid = pid
        self.name = name
        self.pidfd = os.pidfd_open(pid)
        self._lines = lines
        self._tell_fd = tell_fd
        self._log_path = log_path
        self._status: int | None = None
        self._ended: tuple[str, Any] | None = None

    # ---- talking ----

    def wait_line(self, expected: str | None = None, timeout: float = PATIENCE_S) -> str:
        """The next line the child says; with `expected`, it must be that one."""
        kind, line = self._next(timeout)
        if kind != "L":
            self._ended = (kind, line)
            raise ChildFailed(f"{self} ended instead of saying {expected or 'a line'}: {line}{self._log()}")
        if expected is not None and line != expected:
            raise ChildFailed(f"{self} said {line!r}, expected {expected!r}{self._log()}")
        return line

    def tell(self, text: object = "") -> None:
        """Send one line to the child's `me.hear()`."""
        os.write(self._tell_fd, str(text).encode() + b"\n")

    def result(self, timeout: float = PATIENCE_S) -> Any:
        """What the child's function returned, once it has ended; raises ChildFailed with its traceback."""
        deadline = time.monotonic() + timeout
        while self._ended is None:
            kind, value = self._next(max(0.0, deadline - time.monotonic()))
            if kind != "L":
                self._ended = (kind, value)
        kind, value = self._ended
        self.wait(timeout)
        if kind != "R":
            raise ChildFailed(f"{self} failed:\n{value}{self._log()}")
        return value

    def _next(self, timeout: float) -> tuple[str, Any]:
        try:
            line = self._lines.next_line(timeout)
        except EOFError:
            return "D", f"died with status {self.wait()}"
        if line is None:
            raise ChildFailed(f"{self} said nothing for {timeout:.1f} s\n{self.stacks()}")
        if line[0] == "L":
            return "L", line[1:]
        return line[0], pickle.loads(base64.b64decode(line[1:]))

    # ---- living and dying ----

    @property
    def alive(self) -> bool:
        """Whether the process still runs (a stopped one does)."""
        return self._status is None and not select.select([self.pidfd], [], [], 0)[0]

    def send_signal(self, number: int) -> None:
        """Send a signal to this very process (by its pidfd)."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def stop(self) -> None:
        """SIGSTOP it, and return once all of it has stopped."""
        self.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT it."""
        self.send_signal(signal.SIGCONT)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a deadly signal and wait for the death; returns the exit status as `wait` does."""
        self.send_signal(number)
        return self.wait()

    def wait(self, timeout: float = PATIENCE_S) -> int:
        """Exit status, negative for the signal that killed it; ChildFailed if it still runs after `timeout` seconds."""
        if self._status is None:
            if not select.select([self.pidfd], [], [], timeout)[0]:
                raise ChildFailed(f"{self} did not end within {timeout} s\n{self.stacks()}")
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def close(self) -> None:
        """Kill it if it runs, and release what the test holds of it."""
        self.kill()
        for fd in (self.pidfd, self._tell_fd, self._lines.fd):
            os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._log_path)

    # ---- post mortem ----

    def stacks(self) -> str:
        """Kernel and Python stacks of the child, for a report."""
        if not self.alive:
            return f"{self} is dead{self._log()}"
        kernel = procfs.stacks(self.pid)
        before = os.stat(self._log_path).st_size
        self.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 2
        while os.stat(self._log_path).st_size == before and time.monotonic() < deadline:
            select.select([self.pidfd], [], [], 0.02)
        return f"{kernel}{self._log()}"

    def _log(self) -> str:
        with contextlib.suppress(FileNotFoundError), open(self._log_path, errors="replace") as log:
            return f"\n--- stderr of {self}:\n{log.read()[-8000:]}"
        return ""

    def __str__(self) -> str:
        return f"child {self.pid} ({self.name})"


live: list[Child] = []
"""Children of the running test; conftest closes them after it."""


def spawn(
    what: Callable[..., Any] | str, *args: Any, prepare: Callable[[], None] | None = None, **kwargs: Any
) -> Child:
    """Start a child that runs a function (forked: `what(me, *args)`) or a program text (fresh interpreter).

    Args:
        what: function or source text.
        args, kwargs: for the function; for a text they must pickle and are found in `args` and `kwargs`.
        prepare: called in the child first (before it execs, where it does), to become another user for instance.
    """
    hear_fd, tell_fd = os.pipe()
    lines_fd, say_fd = os.pipe()
    log_fd, log_path = tempfile.mkstemp(prefix="drvs-child-")
    os.fchmod(log_fd, 0o666)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _child(what, args, kwargs, prepare, Me(hear_fd, say_fd), log_fd, parent, {tell_fd, lines_fd})
    for fd in (hear_fd, say_fd, log_fd):
        os.close(fd)
    child = Child(pid, LineReader(lines_fd), tell_fd, log_path, getattr(what, "__name__", "source text"))
    live.append(child)
    return child


def _child(what: Any, args: Any, kwargs: Any, prepare: Any, me: Me, log_fd: int, parent: int, others: set[int]) -> None:
    """The forked side: never returns, runs no `finally` of the test that forked it."""
    status = 1
    try:
        procfs.prctl(procfs.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the test died before the line above
        live.clear()
        for fd in others:
            os.close(fd)
        os.dup2(log_fd, 2)
        os.dup2(log_fd, 1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115 - pytest's capture stays with the test
        sys.stdout = open(1, "w", closefd=False, buffering=1)  # noqa: SIM115
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
        if prepare is not None:
            prepare()
        if isinstance(what, str):
            _exec_source(what, args, kwargs, me)
        status = run(what, me, args, kwargs)
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(status)


def run(what: Callable[..., Any], me: Me, args: Any, kwargs: Any) -> int:
    """Call the child's function and report its end to the test; returns the exit status."""
    try:
        me._finish(b"R", what(me, *args, **kwargs))
        return 0
    except BaseException:
        me._finish(b"E", traceback.format_exc())
        return 1


def _exec_source(source: str, args: Any, kwargs: Any, me: Me) -> None:
    fds = [me._lines.fd, me._say_fd]
    for fd in fds:
        os.set_inheritable(fd, True)
    package = base64.b64encode(pickle.dumps((source, args, kwargs, fds))).decode()
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    start = f"sys.path.insert(0, {tests!r}); from support import children; children.run_package({package!r})"
    os.execv(sys.executable, [sys.executable, "-c", f"import sys; {start}"])


def run_package(package: str) -> None:
    """Entry of a fresh interpreter: run the source text it was started for."""
    source, args, kwargs, fds = pickle.loads(base64.b64decode(package))
    procfs.prctl(procfs.PR_SET_PDEATHSIG, signal.SIGKILL)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)

    def program(me: Me, *args: Any, **kwargs: Any) -> Any:
        names = {"__name__": "__main__", "me": me, "args": args, "kwargs": kwargs, "result": None}
        exec(compile(source, "<child>", "exec"), names)
        return names["result"]

    status = run(program, Me(*fds), args, kwargs)
    sys.stdout.flush()
    os._exit(status)


def close_all() -> None:
    """Kill and release every child that is left."""
    while live:
        live.pop().close()
