"""Finding and ending the processes of nodes that no pid namespace holds together: by a mark in their environment."""

from __future__ import annotations

import os
import select
import shutil
import signal

from drvs.lab import place
from drvs.lab.errors import LabError
from drvs.lab.spec import MARK

_ROUNDS = 100
_GONE_MS = 10_000


def marked(where: str) -> list[int]:
    """Return the processes of a node (its directory is given) or of a whole lab (its directory), oneself excepted."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _has_mark(name, where)]


def _has_mark(pid: str, where: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    mark = f"{MARK}={where}".encode()
    return int(pid) != os.getpid() and any(word == mark or word.startswith(mark + b"/") for word in words)


def kill(where: str) -> None:
    """SIGKILL all processes of a node or a lab, those included that they start meanwhile; returns when they are gone.

    Raises:
        LabError: some do not end.
    """
    for _ in range(_ROUNDS):
        found = marked(where)
        if not found:
            return
        _kill_all(found, where)
    raise LabError(f"processes in {where} go on and on: {found}", "Kill them, then run `drvs lab down` again.")


def _kill_all(pids: list[int], where: str) -> None:
    dying = []
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        if _has_mark(str(pid), where):  # still that process
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            except ProcessLookupError:
                pass
        dying.append(fd)
    for fd in dying:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(_GONE_MS)
        os.close(fd)


def clear(folder: str) -> None:
    """Remove all but the lock from a lab's directory."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif entry.name != place.LOCK:
            os.unlink(entry.path)


def remove(folder: str) -> None:
    """Remove a lab's directory, and the directory of labs if it was the last one and nobody chose it."""
    shutil.rmtree(folder, ignore_errors=True)
    if os.environ.get("DRVS_LAB_DIR") or os.path.dirname(folder) != place.base():
        return
    try:
        os.rmdir(os.path.dirname(folder))
    except OSError:
        pass
