"""What a mount needs of this host, and what to do where it is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
from collections.abc import Iterator

from drvs.base.codes import Code
from drvs.base.errors import DrvsError, make_error

DEVICE = "/dev/fuse"
HELPER = "fusermount3"

_PYTHON = "Install it beside drvs: pip install mfusepy (or drvs with its extra: pip install 'drvs[fuse]')."
_PACKAGE = "Install fuse3 (Debian, Ubuntu: apt-get install fuse3; Fedora: dnf install fuse3)."
_KERNEL = "Load it (modprobe fuse), or start the container with --device /dev/fuse --cap-add SYS_ADMIN."
_ACCESS = f"Have the administrator open it to users, as the package fuse3 does: chmod 0666 {DEVICE}."


def missing() -> Iterator[tuple[str, str]]:
    """Yield what is missing, each with the next step."""
    if importlib.util.find_spec("mfusepy") is None:
        yield "the Python package mfusepy is not there", _PYTHON
    if shutil.which(HELPER) is None:
        yield f"{HELPER} is not there", _PACKAGE
    if not _is_device(DEVICE):
        yield f"{DEVICE} is not there", _KERNEL
    elif not os.access(DEVICE, os.R_OK | os.W_OK):
        yield f"{DEVICE} may not be opened by this user", _ACCESS


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False


def check() -> None:
    """Check that a mount is possible here.

    Raises:
        NotSupported: something is missing; the text says what, and the hint what to do.
    """
    for what, hint in missing():
        raise unsupported(what, hint)


def unsupported(what: str, hint: str) -> DrvsError:
    """Return the error for a host on which nothing can be mounted."""
    return make_error(Code.NOSYS, "mount", detail=f"the view cannot be mounted: {what}", hint=hint)


def refused(said: str) -> DrvsError:
    """Return the error for what libfuse, fusermount3 or the process that serves said when a mount failed."""
    lines = [line for line in said.splitlines() if line.strip() and _NOISE not in line]
    hint = next((hint for word, hint in _SAID.items() if word in said), _LOOK)
    return unsupported(lines[0] if lines else "it was refused without a word", hint)


_NOISE = "Ignoring invalid max threads"  # libfuse 3.14 says so of its own default
_LOOK = "`drvs mount --foreground` shows all that libfuse says."

_SAID = {
    "user_allow_other": "Put the line user_allow_other into /etc/fuse.conf (as root), or leave --allow-other out.",
    f"{DEVICE}: Permission denied": _ACCESS,
    "Operation not permitted": _KERNEL,
    DEVICE: _KERNEL,
    "Unable to find libfuse": _PACKAGE,
    "no write access to mountpoint": "Mount it on a directory of your own.",
}
