"""Where labs live: a directory for each, named as the lab is.

    root                        /run/drvs-lab/NAME
    a user with a session       $XDG_RUNTIME_DIR/drvs-lab/NAME
    a user without one          /tmp/drvs-lab-UID/NAME (0700, checked)
    DRVS_LAB_DIR=DIR            DIR/NAME

In it, while the lab is there: spec.json, lab.lock (held by the supervisor, with its pid), lab.sock, lab.log, and for
each node a directory with its cluster file, its console and its runtime directory.
"""

from __future__ import annotations

import fcntl
import os
import re

from drvs.base import paths
from drvs.lab.errors import LabError

LOCK, SOCKET, LOG = "lab.lock", "lab.sock", "lab.log"
CONSOLE, OLD_LOG = "console.log", "noded.old.log"

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,14}")


def base() -> str:
    """Return the directory of all labs of this user."""
    if given := os.environ.get("DRVS_LAB_DIR", ""):
        return os.path.abspath(given)
    if os.geteuid() == 0:
        return "/run/drvs-lab"
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    return os.path.join(session, "drvs-lab") if session else f"/tmp/drvs-lab-{os.geteuid()}"


def folder_of(name: str) -> str:
    """Return the directory of a lab; it need not be there.

    Raises:
        LabError: no lab can have that name.
    """
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is no name for a lab", "Use 1 to 15 letters, digits, dots, dashes and underscores.")
    return os.path.join(base(), name)


def names() -> list[str]:
    """Return the names of this user's labs, dead ones included."""
    try:
        return sorted(name for name in os.listdir(base()) if _NAME.fullmatch(name))
    except FileNotFoundError:
        return []


def make(folder: str) -> None:
    """Make a lab's directory, which nobody else may write to.

    Raises:
        LabError: it cannot be made, or is somebody else's.
    """
    try:
        os.makedirs(os.path.dirname(folder), mode=0o755, exist_ok=True)
        os.makedirs(folder, mode=0o755, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"{folder} cannot be made: {error.strerror}", "Set DRVS_LAB_DIR to a directory of yours."
        ) from None
    for path in (folder,):
        if problem := paths.check_owned(path, os.geteuid()):
            raise LabError(problem.partition(": ")[0], "Set DRVS_LAB_DIR to a directory of yours.")
    if not paths.short_enough(os.path.join(folder, "99", "run", paths.KEEPER_SOCKET)):
        raise LabError(f"{folder} is too long for the sockets in it", "Set DRVS_LAB_DIR to a shorter path.")


def lock(folder: str) -> int | None:
    """Take the lock of a lab that exists as a directory: its descriptor, or None if somebody holds it."""
    fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def holder(folder: str) -> int | None:
    """Return the pid of the supervisor that holds a lab's lock; None if nobody does."""
    try:
        fd = os.open(os.path.join(folder, LOCK), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(fd)
    return None
