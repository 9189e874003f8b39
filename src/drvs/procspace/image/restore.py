"""Restore: from a stream to a running process, which is a child of the caller. No ptrace is needed, and no fork.

Everything that can be checked or made beforehand is: the files are open, the pipes filled, the table of system calls
(`plan`) complete. Then a program starts that is nothing but the code which works through that table; it gets the open
files through a socket, becomes the dumped process step by step, and tells when it is ready. Whatever fails before the
last step ends it, so nothing half-made is left; nothing of the image runs before its last checksum has passed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from drvs.procspace.image import birth, checks, machine, mailbox, model, plan
from drvs.procspace.image.errors import ImageError
from drvs.procspace.image.format import Reader
from drvs.procspace.image.parcel import Parcel, first_free
from drvs.procspace.image.reopen import Reopener


def restore(fd: int, *, keep_pid: bool = False, detach: bool = False) -> int:
    """Make the process of an image run again, as a child of the caller.

    Its standard streams are the caller's. Returns when it runs; wait for it with os.waitpid.

    Args:
        fd: the image; a pipe will do.
        keep_pid: give process and threads the ids they had; needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
        detach: put it into a session of its own.

    Returns:
        The pid.

    Raises:
        BadImage: the stream is damaged or none of ours.
        Mismatch: the image does not fit here, or the pid is taken.
        Refused: the image is not the caller's.
        ImageError: a step failed; no process is left.
    """
    reader, meta = begin(fd)
    told = mailbox.payload(None, None, keep_pid)
    wishes = plan.Wishes(
        pid=meta.pid if keep_pid else 0, detach=detach,
        before=lambda area: mailbox.restored_ops(meta, area, 0, 1, told),
    )  # fmt: skip
    with named_failures(), ExitStack() as stack:
        parcel, numbers = mapped(stack, meta, fd)
        reopened(stack, meta, reader, parcel, numbers)
        newborn = delivered(plan.restored(meta, numbers, wishes), parcel, wishes.pid)
        newborn.control.close()
        return newborn.pid


def begin(fd: int) -> tuple[Reader, model.Meta]:
    """Check whose image it is and read its description."""
    machine.blob()
    checks.check_owner(fd)
    reader = Reader(fd)
    reader.header()
    return reader, reader.meta()


def mapped(stack: ExitStack, meta: model.Meta, stream: int, *more: int, lowest: int = 0) -> tuple[Parcel, plan.Numbers]:
    """Open the files that an image maps, check that it fits here, and put them into a new parcel with the stream.

    Args:
        stack: closes them.
        meta: the description.
        stream: what the pages are read from.
        more: descriptors that are to come first.
        lowest: the least number that one may get.
    """
    control = max(lowest, first_free(meta))
    parcel = Parcel(control + 1)
    stack.callback(parcel.close)
    for fd in more:
        parcel.add(fd)
    numbers = plan.Numbers(control, stream=parcel.add(stream, own=False))
    files = _open_files(stack, meta)
    checks.check_fit(meta, files)
    numbers.files = {index: parcel.add(fd, own=False) for index, fd in files.items()}
    try:
        numbers.exe = parcel.add(os.open(meta.exe, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except (OSError, ValueError):
        pass
    return parcel, numbers


def reopened(stack: ExitStack, meta: model.Meta, reader: Reader, parcel: Parcel, numbers: plan.Numbers) -> None:
    """Make what the image has open, with its contents, and put it into the parcel, which is complete then."""
    reopener = stack.enter_context(Reopener(meta))
    reopener.make()
    reopener.fill(reader.data(meta))
    reopener.finish()
    numbers.opened = {index: parcel.add(made, own=False) for index, made in reopener.made.items()}
    numbers.count = len(parcel)


def _open_files(stack: ExitStack, meta: model.Meta) -> dict[int, int]:
    """Open what is mapped; what cannot be opened is left for the checks to name."""
    writable = {region.file for region in meta.regions if region.writable_file}
    files: dict[int, int] = {}
    for index, file in enumerate(meta.files):
        access = os.O_RDWR if index in writable else os.O_RDONLY
        try:
            files[index] = os.open(file.path, access | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            continue
        stack.callback(os.close, files[index])
    return files


def delivered(content: bytes, parcel: Parcel, pid: int = 0) -> birth.Newborn:
    """Start a process, send it its descriptors, and wait until it says that it is ready.

    Args:
        content: of its area.
        parcel: the descriptors.
        pid: the pid that it is to take, 0 for any.
    """
    newborn = birth.Newborn(content)
    try:
        _send(newborn, parcel)
        said = newborn.answer()
    except BaseException:
        newborn.end()
        if pid:
            birth.kill(pid)
        raise
    if said is None or said.what:
        newborn.control.close()
        raise birth.failure(said, birth.reap(newborn.pid), pid)
    if pid:
        birth.reap(newborn.pid)  # the one who made it, as a sibling
        newborn.pid = pid
    return newborn


def _send(newborn: birth.Newborn, parcel: Parcel) -> None:
    try:
        parcel.send(newborn.control)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has ended, and may have told why


@contextmanager
def named_failures() -> Iterator[None]:
    """Turn what a strange description provokes into an error of images."""
    try:
        yield
    except (OSError, ValueError, LookupError, OverflowError, StopIteration, struct.error) as error:
        raise ImageError(f"the process cannot be made: {error}.") from error
