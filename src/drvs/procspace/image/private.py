"""Open files that each copy has for itself: files at offsets of their own, pipes, timers and the rest with contents.

What cannot differ (devices, signalfds, placeholders) the template has, and copies inherit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from drvs.procspace.image import model
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.reopen import Reopener

_HINT = "share_files (--share-files) lets all copies write to it as after a fork."


class Private:
    """Makes the open files of each copy."""

    def __init__(self, meta: model.Meta, share_files: bool) -> None:
        """Take an image.

        Raises:
            Refused: it has files open for writing, and they are not to be shared.
        """
        if not share_files:
            _refuse_writers(meta)
        self._meta = meta
        self.indexes = [index for index, opened in enumerate(meta.open_files) if _is_private(opened)]
        self._data: list[tuple[int, int, bytes]] = []
        self._memfds: dict[int, int] = {}

    @contextmanager
    def common(self) -> Iterator[Reopener]:
        """Make what all copies share."""
        others = set(range(len(self._meta.open_files))) - set(self.indexes)
        with Reopener(self._meta, sorted(others)) as reopener:
            reopener.make()
            reopener.finish()
            yield reopener

    def keep(self, data: Iterable[tuple[int, int, bytes]]) -> None:
        """Keep what was inside them; memfds, which may be large, in memfds."""
        for index, offset, content in data:
            if isinstance(self._meta.open_files[index], model.MemFd):
                if index not in self._memfds:
                    self._memfds[index] = os.memfd_create("drvs-kept", os.MFD_CLOEXEC)
                os.pwrite(self._memfds[index], content, offset)
            else:
                self._data.append((index, offset, content))

    @contextmanager
    def made(self) -> Iterator[list[int]]:
        """Give descriptors for another copy, in the order of `indexes`."""
        if not self.indexes:
            yield []
            return
        with Reopener(self._meta, self.indexes) as reopener:
            reopener.make()
            reopener.fill(self._data)
            for index, kept in self._memfds.items():
                _pour(kept, reopener.made[index])
            reopener.finish()
            yield [reopener.made[index] for index in self.indexes]

    def close(self) -> None:
        """Forget the contents."""
        for fd in self._memfds.values():
            os.close(fd)
        self._memfds, self._data = {}, []


def _is_private(opened: model.AnyOpen) -> bool:
    match opened:
        case model.OnDisk():
            return opened.kind != "device" and not opened.flags & os.O_PATH and not _writes(opened)
        case model.Stream() | model.Dead() | model.SignalFd():
            return False
        case _:
            return True


def _writes(opened: model.OnDisk) -> bool:
    return opened.kind == "file" and not opened.flags & os.O_PATH and opened.flags & os.O_ACCMODE != os.O_RDONLY


def _refuse_writers(meta: model.Meta) -> None:
    for opened in meta.open_files:
        if isinstance(opened, model.OnDisk) and _writes(opened):
            raise Refused(f"the image has {opened.path} open for writing (descriptor {opened.numbers[0][0]}).", _HINT)
    for region in meta.regions:
        if region.shared and region.writable_file and region.file >= 0:
            raise Refused(f"the image maps {meta.files[region.file].path} shared for writing.", _HINT)


def _pour(source: int, target: int) -> None:
    """Copy what a memfd has, and leave its holes."""
    at = 0
    while True:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError:  # nothing follows
            return
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            at += os.sendfile(target, source, at, end - at)
