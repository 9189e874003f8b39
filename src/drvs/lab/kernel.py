"""The few system calls of namespaces that Python 3.11 has no function for."""

from __future__ import annotations

import ctypes
import os

NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWPID = 0x20000000
NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_REC, MS_SLAVE = 0x4000, 1 << 19

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` name for new ones (of pids: for children to come)."""
    _call("unshare", flags)


def setns(fd: int, flags: int) -> None:
    """Enter the namespaces of `flags`: of one kind by its own descriptor, of several by a pidfd (Linux 5.8)."""
    _call("setns", fd, flags)


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2)."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    _call("mount", words[0], words[1], words[2], ctypes.c_ulong(flags), words[3])


def die_with_parent(number: int) -> None:
    """Ask for a signal when the parent ends. Whoever asks has to look afterwards whether it has ended already."""
    _call("prctl", PR_SET_PDEATHSIG, ctypes.c_ulong(number), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parents end."""
    zero = ctypes.c_ulong(0)
    _call("prctl", PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), zero, zero, zero)


def namespaces_allowed() -> str:
    """Return why this process cannot make namespaces; empty if it can. Tried in a child, which then ends."""
    if os.geteuid() != 0:
        return "it needs root"
    pid = os.fork()
    if pid == 0:
        try:
            unshare(NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
        finally:
            os._exit(255)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return "" if status == 0 else f"unshare: {os.strerror(status)}"
