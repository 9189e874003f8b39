"""A dump in a process of its own, beside the caller, which can use what is written meanwhile."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import msgspec

from drvs.procspace.image import calls, errors
from drvs.procspace.image.dumping import Dumped, dump
from drvs.procspace.image.errors import ImageError

_PR_SET_PDEATHSIG = 1


class Apart:
    """A dump under way. A caller with one thread is forked; with more, whose locks a fork would keep, a fresh
    interpreter does the work.

    The dumper dies with its caller. Yama may let only ancestors of a process dump it, which no helper is.
    """

    def __init__(self, pid: int, fd: int, **options: Any) -> None:
        """Start dumping a process to a descriptor; `options` are those of `dump`, without a progress."""
        self._told, tell = os.pipe2(os.O_CLOEXEC)
        self._fd = fd
        try:
            alone = len(os.listdir("/proc/self/task")) == 1
            self._pid = (_forked if alone else _fresh)(pid, fd, tell, options)
        finally:
            os.close(tell)

    def result(self) -> Dumped:
        """Wait for the end of the dump.

        Raises:
            ImageError: as `dump` does.
        """
        said = b""
        while part := os.read(self._told, 65536):
            said += part
        self._collect()
        if not said:
            raise ImageError("the process that made the image has ended.", "Try again.")
        answer = msgspec.msgpack.decode(said)
        if "error" in answer:
            kind = getattr(errors, answer["error"], ImageError)
            error: ImageError = kind(answer["text"])
            error.hint = answer["hint"]
            raise error
        return Dumped(**answer)

    def end(self) -> None:
        """Kill it, if it still works."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._collect()

    def _collect(self) -> None:
        if self._pid:
            os.waitpid(self._pid, 0)
            os.close(self._told)
            self._pid = 0


def dump_apart(pid: int, fd: int, **options: Any) -> Dumped:
    """Dump a process like `dump`, in a process of its own that dies with the caller.

    For callers with other threads that wait for any child, or that handle SIGCHLD: a dump in the calling process makes
    stops of the dumped process appear there. A caller with one thread is forked (about a millisecond), any other
    starts a fresh interpreter (about a tenth of a second).

    Args:
        pid: the process.
        fd: any descriptor that can be written.
        options: those of `dump`, without a progress.

    Raises:
        ImageError: as for `dump`.
    """
    dumper = Apart(pid, fd, **options)
    try:
        return dumper.result()
    finally:
        dumper.end()


def _forked(pid: int, fd: int, tell: int, options: dict[str, Any]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        gc.disable()  # nothing of the caller's is to be finalised here
        _work(parent, pid, fd, tell, options)
    finally:
        os._exit(0)


def _fresh(pid: int, fd: int, tell: int, options: dict[str, Any]) -> int:
    words = [str(os.getpid()), str(pid), str(fd), str(tell), msgspec.json.encode(options).decode()]
    command = [sys.executable, "-c", "from drvs.procspace.image.apart import main; main()", *words]
    process = subprocess.Popen(command, pass_fds=(fd, tell), stdin=subprocess.DEVNULL)
    process.returncode = 0  # it is collected here, by its pid
    return process.pid


def main() -> None:
    """Be the fresh interpreter."""
    parent, pid, fd, tell = map(int, sys.argv[1:5])
    _work(parent, pid, fd, tell, msgspec.json.decode(sys.argv[5]))


def _work(parent: int, pid: int, fd: int, tell: int, options: dict[str, Any]) -> None:
    calls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # our parent has them too
    if os.getppid() != parent:
        return
    try:
        said: dict[str, Any] = asdict(dump(pid, fd, **options))
    except ImageError as error:
        said = {"error": type(error).__name__, "text": str(error), "hint": error.hint}
    except (OSError, ValueError) as error:
        said = {"error": "ImageError", "text": str(error), "hint": ""}
    os.write(tell, msgspec.msgpack.encode(said))
