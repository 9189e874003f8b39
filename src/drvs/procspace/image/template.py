"""A template: an image restored once, stopped before its first instruction, of which copies are made by a fork.

It keeps one thread and works through no more of its table until an order comes through its socket; then it clones
itself, and the copy does the rest: it takes its rank and descriptors, makes its threads, and enters the program. Pages
that nobody changes are shared by all. What copies must not share is made anew for each (`private`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

from drvs.procspace.image import birth, mailbox, model, plan, private
from drvs.procspace.image.errors import ImageError, Refused
from drvs.procspace.image.orders import Orders
from drvs.procspace.image.parcel import Parcel
from drvs.procspace.image.restore import begin, delivered, mapped, named_failures

_INHERITED = (0, 1, 2)


class Template:
    """An image that is ready to be copied: a process of its own, which ends with its maker or by `close`.

    Attributes:
        pid: of the template; the copies have others.
    """

    def __init__(
        self,
        fd: int,
        *,
        argv: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        share_files: bool = False,
        detach: bool = False,
    ) -> None:
        """Restore an image into a template. Nothing of it runs.

        Args:
            fd: the image; a pipe will do, so that a dump can stream into it.
            argv: the arguments that a program with `drvs.hooks` finds in each copy.
            environ: the environment that it finds; None leaves it as it was.
            share_files: files open for writing are one for all copies, offset included, as after a fork; else such an
                image is refused.
            detach: each copy gets a session of its own.

        Raises:
            BadImage: the stream is damaged or none of ours.
            Mismatch: the image does not fit here.
            Refused: the image is not the caller's, or has files open for writing.
            ImageError: a step failed; no process is left.
        """
        reader, meta = begin(fd)
        self._private = private.Private(meta, share_files)
        self._lock = threading.Lock()
        self._maker = os.getpid()
        told = _told(meta, argv, environ)
        wishes = plan.Wishes(detach=detach, before=lambda area: mailbox.restored_ops(meta, area, None, 0, told))
        with named_failures(), ExitStack() as stack:
            parcel, numbers = mapped(stack, meta, fd, os.pidfd_open(self._maker))
            numbers.maker = numbers.control + 1
            reopener = stack.enter_context(self._private.common())
            self._private.keep(reader.data(meta))
            numbers.opened = {index: parcel.add(made, own=False) for index, made in reopener.made.items()}
            self._first = numbers.control + 2
            numbers.private = {index: self._first + at for at, index in enumerate(self._private.indexes)}
            numbers.count = len(parcel)
            newborn = delivered(plan.template(meta, numbers, wishes), parcel)
        self.pid = newborn.pid
        self._orders = Orders(newborn)

    def copy(self, rank: int, size: int, *, streams: tuple[int, int, int] = _INHERITED, pid: int | None = None) -> int:
        """Make a copy: a child of the caller that goes on where the image was made.

        It has no pending signals and no timers but those of descriptors. Wait for it with os.waitpid.

        Args:
            rank: which one it is, told to it.
            size: how many there are, told to it.
            streams: descriptors for its standard streams. (0, 1, 2) means those of the template, which are the caller's
                of when that was made.
            pid: the pid it is to have; needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.

        Returns:
            Its pid; it runs.

        Raises:
            Mismatch: the pid is taken, or a file of the image is another one now.
            ImageError: a step failed, or the template is dead; no copy is left.
        """
        with self._working():
            return self._orders.wait(self._order(rank, size, streams, pid))

    def copies(self, n: int, *, streams: tuple[int, int, int] = _INHERITED, size: int | None = None) -> Iterator[int]:
        """Make copies with ranks from 0 on, several at a time; yield their pids by rank.

        Args:
            n: how many.
            streams: as for `copy`.
            size: what they are told; n if None.

        Raises:
            ImageError: as for `copy`; those already yielded go on.
        """
        waiting: list[int] = []
        try:
            for rank in range(n):
                with self._working():
                    waiting.append(self._order(rank, n if size is None else size, streams, None))
                    now = self._orders.wait(waiting.pop(0)) if len(waiting) > _AT_ONCE else 0
                if now:
                    yield now
            while waiting:
                with self._working():
                    now = self._orders.wait(waiting.pop(0))
                yield now
        finally:
            for serial in waiting:
                self._orders.abandon(serial)

    def close(self) -> None:
        """End the template; copies go on."""
        if self._maker != os.getpid():
            return
        with self._lock:
            self._orders.close()
            self._private.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _order(self, rank: int, size: int, streams: tuple[int, int, int], pid: int | None) -> int:
        parcel = Parcel(self._first)
        with named_failures(), self._private.made() as made:
            for fd in made:
                parcel.add(fd, own=False)
            if streams != _INHERITED:
                for fd in streams:
                    parcel.add(fd, own=False)
            return self._orders.send(parcel, rank, size, pid or 0)

    @contextmanager
    def _working(self) -> Iterator[None]:
        if self._maker != os.getpid():
            raise ImageError("a template belongs to the process that made it.", "Make one here.")
        with self._lock:
            yield


def _told(meta: model.Meta, argv: Sequence[str], environ: Mapping[str, str] | None) -> bytes:
    if (argv or environ) and not (meta.mailbox and meta.hooked):
        raise Refused(
            "the program of the image takes no arguments: it had not imported drvs.hooks, or its hooks were left out.",
            "Start it without arguments.",
        )
    if not argv and environ is None:
        return b""  # a copy that need not read it makes less memory its own
    return mailbox.payload(list(argv) or None, None if environ is None else dict(environ), pid_kept=False)


_AT_ONCE = 4
"""Copies on their way at a time: a few, so that all processors have work."""


def start(
    fd: int,
    n: int,
    *,
    argv: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    share_files: bool = False,
) -> list[int]:
    """Start copies of an image, as children of the caller.

    Args:
        fd: the image; a pipe will do.
        n: how many.
        argv: the arguments that a program with `drvs.hooks` finds in each copy.
        environ: the environment that it finds; None leaves it as it was.
        share_files: files open for writing are one for all copies; else such an image is refused.

    Returns:
        The pids, by rank.

    Raises:
        ImageError: as for `Template`; none of the copies is left.
    """
    pids: list[int] = []
    with Template(fd, argv=argv, environ=environ, share_files=share_files) as template:
        try:
            pids.extend(template.copies(n))
        except BaseException:
            for pid in pids:
                birth.kill(pid)
            raise
    return pids
