"""Exec and dump: the image of a program before its first instruction, or where it marks itself ready.

A child is held by ptrace from its exec on: it stands at the first instruction of its dynamic linker (or of itself, if
it is static). It ends with whoever made it, and when its image is there.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

from drvs.procspace.image import birth, calls, library, mailbox
from drvs.procspace.image.dumping import Dumped, Options, Work, dump
from drvs.procspace.image.errors import ImageError
from drvs.procspace.image.format import Writer
from drvs.procspace.image.hooked import Waiting
from drvs.procspace.image.tracer import EVENT_EXEC, EVENT_STOP, OPTIONS, Gone, Tracer

READY = "DRVS_IMAGE_READY"
_EXITKILL = 0x100000
_POLL_S = 2e-3


def exec_dump(
    fd: int,
    argv: Sequence[str],
    environ: Mapping[str, str] | None = None,
    flags: int = 0,
    *,
    program: str | None = None,
) -> Dumped:
    """Execute a program, write its image before its first instruction, and end it.

    The image keeps no descriptors: a restored process has its restorer's standard streams.

    Args:
        fd: any descriptor that can be written, a pipe included.
        argv: the program's arguments, its name first.
        environ: its environment; None for the caller's.
        flags: which files' contents go into the image: see `dump_self`.
        program: its path; None looks for argv[0] in PATH.

    Raises:
        OSError: the program cannot be executed, or the image not written.
        Refused: the program is of a kind that cannot be dumped.
        ValueError: there is another flag, or no argv[0].

    Canonical: VMAD_DO_EXECDUMP
    """
    os.fstat(fd)
    wanted = library.contents_wanted(flags, os.path.realpath(path := program or _found(argv, environ)))
    with _Child(path, argv, environ) as child:
        options = Options(no_descriptors=True, wanted=wanted, tracer=_AtExec(child))
        return Work(child.pid, Writer(fd), options, Waiting(child.pid)).standing_still()


def ready_dump(
    fd: int,
    argv: Sequence[str],
    environ: Mapping[str, str] | None = None,
    flags: int = 0,
    *,
    timeout_s: float | None = None,
) -> Dumped:
    """Start a Python program, write its image when it comes to `image.ready()`, and end it.

    Its standard streams are the caller's meanwhile, and the restorer's later.

    Args:
        fd: any descriptor that can be written, a pipe included.
        argv: the program's arguments, its name first.
        environ: its environment; None for the caller's.
        flags: which files' contents go into the image: see `dump_self`.
        timeout_s: how long it may take to get ready; None waits for ever.

    Raises:
        OSError: the program cannot be executed, or the image not written.
        Refused: the program cannot be dumped.
        ImageError: it ended before it was ready, or time is up.
    """
    whole = {**(os.environ if environ is None else environ), READY: "1"}
    with subprocess.Popen(list(argv), env=whole) as started:
        try:
            _await_ready(started, timeout_s)
            return dump(started.pid, fd, stop=True, flags=flags)
        finally:
            started.kill()


def _await_ready(started: subprocess.Popen[bytes], timeout_s: float | None) -> None:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while not mailbox.waits_to_be_dumped(started.pid):
        if started.poll() is not None:
            raise ImageError(
                f"the program ended ({started.returncode}) before it came to image.ready().",
                "Call drvs.procspace.image.ready() where copies are to start.",
            )
        if deadline is not None and time.monotonic() > deadline:
            raise ImageError(f"the program did not come to image.ready() within {timeout_s:g} s.")
        time.sleep(_POLL_S)


def _found(argv: Sequence[str], environ: Mapping[str, str] | None) -> str:
    if not argv:
        raise ValueError("a program has a name: argv is empty")
    if "/" in argv[0]:
        return argv[0]
    path = shutil.which(argv[0], path=(os.environ if environ is None else environ).get("PATH"))
    if path is None:
        raise FileNotFoundError(2, os.strerror(2), argv[0])
    return path


# ---- the child -------------------------------------------------------------------------------------------------------


class _Child:
    """A fork of the caller that waits for a word before it executes a program, and is killed at the end."""

    def __init__(self, path: str, argv: Sequence[str], environ: Mapping[str, str] | None) -> None:
        told, self.go = os.pipe2(os.O_CLOEXEC)
        self._failed, failed = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if not self.pid:
            os.close(self.go)
            _execute(told, failed, path, list(argv), dict(os.environ if environ is None else environ))
        os.close(told)
        os.close(failed)

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self.go)
        os.close(self._failed)
        birth.kill(self.pid)

    def failure(self) -> OSError:
        """Return why it could not execute its program."""
        number = int.from_bytes(os.read(self._failed, 4), "little") or errno.EIO
        return OSError(number, os.strerror(number))


def _execute(told: int, failed: int, path: str, argv: list[str], environ: dict[str, str]) -> NoReturn:
    try:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; its children should not
            signal.signal(number, signal.SIG_DFL)
        if os.read(told, 1):
            os.execve(path, argv, environ)
    except OSError as error:
        os.write(failed, (error.errno or errno.EIO).to_bytes(4, "little"))
    finally:
        os._exit(127)


class _AtExec(Tracer):
    """Holds the child from its exec on."""

    def __init__(self, child: _Child) -> None:
        super().__init__(child.pid)
        self._child = child

    def _stop_all(self) -> None:
        calls.ptrace(calls.PTRACE_SEIZE, self.pid, 0, OPTIONS | _EXITKILL)
        self.stopped = [self.pid]
        os.write(self._child.go, b"x")
        while (event := self._next())[0] != EVENT_EXEC:
            calls.ptrace(calls.PTRACE_CONT, self.pid, 0, event[1] if event[0] == 0 else 0)
        # Out of the exec, to where the program would begin.
        calls.ptrace(calls.PTRACE_INTERRUPT, self.pid)
        self.run_to(self.pid, calls.PTRACE_CONT, EVENT_STOP, signal.SIGTRAP)

    def release(self) -> None:
        """Not one instruction of it is to run."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            self.stopped = []  # it could not execute
        super().release()

    def _next(self) -> tuple[int, int]:
        try:
            return self.wait(self.pid)
        except Gone:
            raise self._child.failure() from None
