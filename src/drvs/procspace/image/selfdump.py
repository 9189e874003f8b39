"""A process that dumps itself, and returns twice: with the bytes written, and in each restored process with 0.

No process can look at itself standing still. So a helper, a fresh interpreter, does the dump, while the caller waits in
its mailbox as one does whose hooks have run; the helper's answer comes there too, so that there is no pipe to keep.
"""

from __future__ import annotations

import errno
import os
import sys

from drvs.core import _core
from drvs.procspace.image import calls, library
from drvs.procspace.image.errors import BadImage, ImageError, Mismatch, Refused
from drvs.procspace.image.mailbox import REFUSED, RESTORED

FD = 3
"""The helper's descriptor for the image."""
_MODULE = "drvs.procspace.image.helper"
_PR_SET_PTRACER = 0x59616D61
_GOES_ON = 1


def dump_self(fd: int, flags: int = 0) -> int:
    """Write the image of the calling process to a descriptor. Returns twice.

    All threads stand still meanwhile. The image keeps no descriptors: a restored process has those of its restorer. In
    a process that has imported `drvs.hooks` its hooks run, in the calling thread.

    Args:
        fd: any descriptor that can be written, a pipe included.
        flags: which files' contents go into the image: DUMP_LIBS for those on the library list, DUMP_EXEC for the
            program's, DUMP_OTHER for others. 0 keeps references wherever possible.

    Returns:
        The bytes of the image; in a restored process 0.

    Raises:
        Refused: the process cannot be dumped.
        OSError: the image could not be written.
        ValueError: there is another flag.

    Canonical: VMAD_DO_DUMP
    """
    os.fstat(fd)
    library.contents_wanted(flags, "")
    if not _core.mailbox_claim():
        raise Refused("another dump of this process is under way.", "Try again.")
    cycle = sys.modules.get("drvs.hooks.cycle")
    try:
        if cycle:
            cycle.registry.run_before()
        helper = _start_helper(fd, flags)
    except BaseException:
        if cycle:
            cycle.registry.run_end()
        _core.mailbox_fail(b"the process could not dump itself")
        raise
    verdict, nbytes = cycle.go_on(helper) if cycle else _wait(helper)
    if verdict == RESTORED:
        return 0
    _reap(helper)
    return _result(verdict, nbytes)


def _start_helper(fd: int, flags: int) -> int:
    if not sys.executable:
        raise Refused("this program does not know where Python is (sys.executable).")
    address, _ = _core.mailbox_place()
    command = [sys.executable, "-P", "-m", _MODULE, str(os.getpid()), str(address), str(flags)]
    helper = os.posix_spawn(sys.executable, command, environment(), file_actions=[(os.POSIX_SPAWN_DUP2, fd, FD)])
    try:
        calls.prctl(_PR_SET_PTRACER, helper)  # Yama allows a tracer only to parents otherwise
    except OSError:
        pass  # there is no Yama
    return helper


def environment() -> dict[str, str]:
    """Return an environment in which a fresh interpreter finds this drvs."""
    home = os.path.abspath(__file__).split(f"{os.sep}drvs{os.sep}procspace{os.sep}")[0]
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{path}" if path else home}


def _wait(helper: int) -> tuple[int, int]:
    verdict, nbytes, *_ = _core.mailbox_wait(helper)
    _core.mailbox_end()
    return verdict, nbytes


def _reap(helper: int) -> None:
    try:
        os.waitpid(helper, 0)
    except ChildProcessError:
        pass  # the program waits for all its children


def _result(verdict: int, nbytes: int) -> int:
    if verdict == _GOES_ON:
        return nbytes
    if verdict != REFUSED:
        raise ImageError("the helper that was to make the image has died.", "Try again.")
    text = _core.mailbox_problem().decode(errors="replace")
    if nbytes:
        raise OSError(nbytes, text or os.strerror(nbytes))
    raise Refused(text)


def error_number(error: BaseException) -> int:
    """Return the errno that stands for an error: EPERM for what is refused, EINVAL for a damaged image.

    ENOEXEC stands for one that does not fit here, EIO for a step that failed.
    """
    if isinstance(error, OSError):
        return error.errno or errno.EIO
    kinds = {ValueError: errno.EINVAL, BadImage: errno.EINVAL, Mismatch: errno.ENOEXEC, Refused: errno.EPERM}
    return next((number for kind, number in kinds.items() if isinstance(error, kind)), errno.EIO)
