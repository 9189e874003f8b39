"""Process images: put a running program aside as a stream of bytes, and bring it back.

    dump(pid, fd)       the process goes on (or ends, with stop=True, once its image is complete)
    dump_apart(pid, fd) the same in a process of its own
    restore(fd)         a child of the caller becomes the program again
    start(fd, n)        copies of it, each told its rank; Template(fd) makes them one by one
    fork(pid, n)        the same from a process that runs, and goes on
    read_meta(fd)       what an image says about itself
    verify(fd)          every checksum of it
    ready()             in a program: here its copies start
    dump_self(fd)       the caller's own image; returns 0 in the restored process
    undump(fd)          the caller becomes the program, under its pid
    exec_dump(fd, argv) a program before its first instruction; ready_dump: at its ready()
    library_list()      files that are presumed to be there at a restore; library_add, _remove, _clear, _size

`docs/explanation/how-an-image-is-made.md` tells the whole story. x86-64 Linux only.

What dumps is loaded when it is first used: whoever only restores (above all, the spawner of an executor) needs half of
it.
"""

from typing import TYPE_CHECKING

from drvs.procspace.image.errors import BadImage, ImageError, Mismatch, Refused
from drvs.procspace.image.ready import ready
from drvs.procspace.image.restore import restore
from drvs.procspace.image.template import Template, start
from drvs.procspace.image.verify import read_meta, verify

if TYPE_CHECKING:
    from drvs.procspace.image.apart import dump_apart
    from drvs.procspace.image.dumping import Dumped, dump
    from drvs.procspace.image.execdump import exec_dump, ready_dump
    from drvs.procspace.image.library import (
        DUMP_ALL,
        DUMP_EXEC,
        DUMP_LIBS,
        DUMP_OTHER,
        library_add,
        library_clear,
        library_list,
        library_remove,
        library_size,
    )
    from drvs.procspace.image.live import fork
    from drvs.procspace.image.replace import undump
    from drvs.procspace.image.selfdump import dump_self

__all__ = [
    "DUMP_ALL",
    "DUMP_EXEC",
    "DUMP_LIBS",
    "DUMP_OTHER",
    "BadImage",
    "Dumped",
    "ImageError",
    "Mismatch",
    "Refused",
    "Template",
    "dump",
    "dump_apart",
    "dump_self",
    "exec_dump",
    "fork",
    "library_add",
    "library_clear",
    "library_list",
    "library_remove",
    "library_size",
    "read_meta",
    "ready",
    "ready_dump",
    "restore",
    "start",
    "undump",
    "verify",
]

_LATE = {
    "apart": ("dump_apart",),
    "dumping": ("Dumped", "dump"),
    "execdump": ("exec_dump", "ready_dump"),
    "library": (
        "DUMP_ALL", "DUMP_EXEC", "DUMP_LIBS", "DUMP_OTHER", "library_add", "library_clear", "library_list",
        "library_remove", "library_size",
    ),
    "live": ("fork",),
    "replace": ("undump",),
    "selfdump": ("dump_self",),
}  # fmt: skip


def __getattr__(name: str) -> object:
    import importlib

    for module, names in _LATE.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
