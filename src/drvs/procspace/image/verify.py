"""Reading an image without making a process of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from drvs.procspace.image import model
from drvs.procspace.image.errors import BadImage
from drvs.procspace.image.format import Reader


def read_meta(fd: int) -> model.Meta:
    """Return what an image says about itself.

    Raises:
        BadImage: it is none, or damaged.
    """
    reader = Reader(fd)
    reader.header()
    return reader.meta()


def verify(fd: int, progress: Callable[[int], None] | None = None) -> tuple[model.Meta, int]:
    """Read an image to its end, checking every checksum.

    Args:
        fd: the image; a pipe will do.
        progress: told the bytes read so far.

    Returns:
        Its description, and its bytes of pages.

    Raises:
        BadImage: something is wrong; the text says what and where.
    """
    reader = Reader(fd)
    reader.header()
    meta = reader.meta()
    for _ in reader.data(meta):
        pass
    total, homes = 0, _Homes(meta)
    for address, nbytes in reader.pages():
        homes.check(address, nbytes)
        total += nbytes
        if progress:
            progress(reader.nbytes)
    if stat.S_ISREG(os.fstat(fd).st_mode) and not reader.at_end():
        raise BadImage("something follows the end of the image.", "Make the image again.")
    return meta, total


class _Homes:
    """Knows which addresses the image has mappings for."""

    def __init__(self, meta: model.Meta) -> None:
        self._regions = iter(meta.regions)
        self._now = next(self._regions)

    def check(self, address: int, nbytes: int) -> None:
        while self._now.end <= address:
            following = next(self._regions, None)
            if following is None:
                break
            self._now = following
        if not self._now.start <= address < address + nbytes <= self._now.end:
            raise BadImage(f"pages at {address:#x} belong to no mapping of the image.", "Make the image again.")
