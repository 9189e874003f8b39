"""Process images: put a running program aside as a stream of bytes, and bring it back.

    dump(pid, fd)       the process goes on (or ends, with stop=True, once its image is complete)
    restore(fd)         a child of the caller becomes the program again
    start(fd, n)        copies of it, each told its rank; Template(fd) makes them one by one
    read_meta(fd)       what an image says about itself
    verify(fd)          every checksum of it
    ready()             in a program: here its copies start

`docs/explanation/how-an-image-is-made.md` tells the whole story. x86-64 Linux only.
"""

from drvs.procspace.image.dump import Dumped, dump
from drvs.procspace.image.errors import BadImage, ImageError, Mismatch, Refused
from drvs.procspace.image.ready import ready
from drvs.procspace.image.restore import restore
from drvs.procspace.image.template import Template, start
from drvs.procspace.image.verify import read_meta, verify

__all__ = [
    "BadImage",
    "Dumped",
    "ImageError",
    "Mismatch",
    "Refused",
    "Template",
    "dump",
    "read_meta",
    "ready",
    "restore",
    "start",
    "verify",
]
