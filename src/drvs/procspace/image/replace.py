"""Undump: the calling process becomes the program of an image, under its own pid, as by an exec.

It is the restore of `restore`, but the program that is nothing but the code which works through a table replaces the
caller instead of being started as a child. The parcel waits in its socket, sent beforehand.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NoReturn

from drvs.procspace.image import area, birth, machine, mailbox, model, plan
from drvs.procspace.image.parcel import Parcel, first_free
from drvs.procspace.image.restore import begin, mapped, named_failures, reopened

_FIRST_REAL = 3


def undump(fd: int, *, argv: Sequence[str] = ()) -> NoReturn:
    """Replace the calling process by that of an image. Does not return.

    The pid stays, and so do parent, session and standard streams; the threads of the caller end, those of the image get
    new ids. As in an exec, descriptors of the caller that are not close-on-exec stay open, but for the numbers that the
    image uses; nothing is flushed, and no atexit function runs. Everything that can be checked is checked before; once
    the caller's memory is gone, a damaged page ends the process with status 127.

    Args:
        fd: the image; a pipe will do.
        argv: arguments for a program with hooks, which finds them in sys.argv[1:].

    Raises:
        BadImage: the stream is damaged or none of ours.
        Mismatch: the image does not fit here.
        Refused: the image is not the caller's.
        OSError: a step failed; the caller goes on.

    Canonical: VMAD_DO_UNDUMP
    """
    reader, meta = begin(fd)
    told = mailbox.payload(list(argv) or None, None, pid_kept=os.getpid() == meta.pid)
    wishes = plan.Wishes(before=lambda area: mailbox.restored_ops(meta, area, 0, 1, told), replaces=True)
    kept = _inherited(meta)
    with named_failures(), ExitStack() as stack:
        lowest = max([first_free(meta) + 2 * len(kept), *(number + 1 for number in kept)])
        parcel, numbers = mapped(stack, meta, fd, lowest=lowest)
        numbers.kept = {number: parcel.add(number, own=False) for number in kept}
        reopened(stack, meta, reader, parcel, numbers)
        _become(plan.restored(meta, numbers, wishes), parcel)


def _inherited(meta: model.Meta) -> list[int]:
    """Return the descriptors that an exec would leave open and the image has no use for."""
    used = {number for opened in meta.open_files for number, _ in opened.numbers}
    open_now = sorted(map(int, os.listdir("/proc/self/fd")))
    return [number for number in open_now if number >= _FIRST_REAL and number not in used and _inheritable(number)]


def _inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False  # it was that of the folder


def _become(content: bytes, parcel: Parcel) -> NoReturn:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        ours, theirs, birth.start_files(theirs, content) as files, machine.program() as program,
        ExitStack() as back,
    ):  # fmt: skip
        parcel.send(ours)
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        back.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        for file, number in zip(files, (area.CONTROL_FD, area.AREA_FD), strict=True):
            back.callback(_put_back, number, _saved(number))
            os.dup2(file, number)
        os.execve(f"/proc/self/fd/{program}", ["drvs-image"], {})


def _saved(number: int) -> tuple[int, bool] | None:
    """Keep what a number leads to; None if it leads nowhere."""
    try:
        return os.dup(number), os.get_inheritable(number)
    except OSError:
        return None


def _put_back(number: int, saved: tuple[int, bool] | None) -> None:
    if saved is None:
        os.close(number)
        return
    os.dup2(saved[0], number, inheritable=saved[1])
    os.close(saved[0])
