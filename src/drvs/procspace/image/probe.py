"""Do images work here? A small child is dumped into memory and restored."""

from __future__ import annotations

import os
import signal

from drvs.procspace.image.dumping import dump
from drvs.procspace.image.errors import ImageError
from drvs.procspace.image.restore import restore


def problem() -> tuple[str, str] | None:
    """Try it; None if it works, else what is wrong and what to do about it."""
    child = os.fork()
    if not child:
        _rest()
    image = os.memfd_create("drvs-probe", os.MFD_CLOEXEC)
    try:
        os.fchmod(image, 0o600)
        dump(child, image, close_fds=True)
        os.lseek(image, 0, os.SEEK_SET)
        _end(restore(image))
    except ImageError as error:
        return str(error).removesuffix(error.hint).rstrip(" ."), error.hint or "Nothing to do: drvs works without."
    except OSError as error:
        return str(error), "Allow ptrace, clone3 and prctl in the seccomp profile of this container."
    finally:
        os.close(image)
        _end(child)
    return None


def _rest() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    while True:
        signal.pause()


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
