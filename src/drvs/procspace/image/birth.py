"""The start of a process that works through a table, and what it says on its socket."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from drvs.procspace.image import area, calls, machine
from drvs.procspace.image.errors import BadImage, ImageError, Mismatch

_ANSWER = struct.Struct("<QqQQq")
_LIFTED = 16
_SET = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_DAMAGED = {
    errno.EILSEQ: "a checksum is wrong",
    errno.ENODATA: "it ends too early",
    errno.EFAULT: "its pages have no mapping to go to",
}


class Answer(NamedTuple):
    """What a process being made tells; csrc/image/blob.h explains it."""

    serial: int
    pid: int
    what: int
    argument: int
    result: int


class Newborn:
    """A process that has just been started, and its socket."""

    def __init__(self, content: bytes) -> None:
        """Start a program that reads its area and works through the table in it."""
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, start_files(theirs, content) as (control, file):
                self.pid = _spawn(control, file)
        except BaseException:
            self.control.close()
            raise

    def answer(self) -> Answer | None:
        """Wait for what it says next; None if it has ended."""
        return receive(self.control)

    def end(self) -> None:
        """Kill it."""
        self.control.close()
        kill(self.pid)


@contextmanager
def start_files(theirs: socket.socket, content: bytes) -> Iterator[tuple[int, int]]:
    """Give the two files that a program starts with, its socket and its area, above the numbers they will have."""
    with ExitStack() as stack:
        file = os.memfd_create("drvs-area", os.MFD_CLOEXEC)
        stack.callback(os.close, file)
        os.write(file, content)
        lifted = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LIFTED) for fd in (theirs.fileno(), file)]
        for fd in lifted:
            stack.callback(os.close, fd)
        yield lifted[0], lifted[1]


def receive(control: socket.socket) -> Answer | None:
    """Wait for the next answer on a socket; None if nobody is left to give one."""
    for _ in range(2):
        try:
            said = control.recv(_ANSWER.size)
            break
        except ConnectionResetError:  # it has ended with orders unread; what it said before is still to come
            continue
    else:
        return None
    return Answer(*_ANSWER.unpack(said)) if len(said) == _ANSWER.size else None


def _spawn(control: int, file: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, control, area.CONTROL_FD), (os.POSIX_SPAWN_DUP2, file, area.AREA_FD)]
    with machine.program() as program:
        path = f"/proc/self/fd/{program}"
        try:
            return os.posix_spawn(path, ["drvs-image"], {}, file_actions=actions, setsigmask=_SET, setsigdef=_SET)
        except PermissionError:
            raise ImageError(
                "the restorer's code, which is in memory, may not be executed here.", "Set vm.memfd_noexec to 0 or 1."
            ) from None


def reap(pid: int) -> int:
    """Wait for the end of a child; returns its exit status, -N for signal N, or 0 if somebody else has waited."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


def kill(pid: int) -> None:
    """Kill a child and wait for its end; does nothing if it is no child of ours."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        os.kill(pid, signal.SIGKILL)
    except (ChildProcessError, ProcessLookupError):
        return
    reap(pid)


def failure(said: Answer | None, status: int, pid: int = 0) -> ImageError:
    """Turn a failed step into an error.

    Args:
        said: what the process told, if anything.
        status: its exit status.
        pid: the pid that was wanted.
    """
    if said is None:
        return ImageError(f"the restored process ended before it was complete ({status}).")
    reason = os.strerror(-said.result)
    if said.what == area.PAGES:
        return BadImage(f"the image is damaged: {_DAMAGED.get(-said.result, reason)}.", "Make it again.")
    if said.what == area.SYSTEM and said.result == -errno.EPERM:
        return Mismatch("this kernel seals its vDSO in place (CONFIG_MSEAL_SYSTEM_MAPPINGS).")
    if said.what == area.THREAD and said.result == -errno.EEXIST:
        return Mismatch("the id of a thread is taken.", "Restore it without --keep-pid.")
    if said.what in (area.BECOME, area.SERVE) and pid:
        return _pid_not_had(pid, -said.result)
    name = calls.NAMES.get(said.what & area.MAY_FAIL - 1, f"system call {said.what}")
    return ImageError(f"{name} ({said.argument:#x}) failed: {reason}.")


def _pid_not_had(pid: int, error: int) -> ImageError:
    if error == errno.EEXIST:
        return Mismatch(f"pid {pid} is taken.", "Do without it (no --keep-pid), or end that process first.")
    return ImageError(
        f"pid {pid} cannot be chosen: {os.strerror(error)}.",
        "That needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE in this pid namespace.",
    )
