"""Who ends with whom, and who inherits whose children."""

from __future__ import annotations

import os

from drvs.core._core import image_syscall

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SIGKILL = 9
#: The number of the system call of that name here.
_PRCTL = {"x86_64": 157, "aarch64": 167}.get(os.uname().machine)


def follow(spawner: int) -> None:
    """Die with the spawner, in a process group that Ctrl-C in the terminal does not reach."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    if _PRCTL is not None:
        image_syscall(_PRCTL, _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != spawner:
        os._exit(1)  # it died before we could ask for that


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends."""
    if _PRCTL is not None:
        image_syscall(_PRCTL, _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
