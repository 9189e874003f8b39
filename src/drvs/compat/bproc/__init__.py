"""BProc's library under its own names: so far the calls for process images (VMADump, 0x1000-0x1034).

    from drvs.compat.bproc import *

    n = bproc_dump(fd, VMAD_DUMP_OTHER)     # bytes written; 0 in the process that bproc_undump makes of it

Arguments are ints and strings, results are ints, negative errno for errors. New programs are better served by
`drvs.procspace.image`, which raises exceptions that say what to do.
"""

from drvs.compat.bproc import constants as _constants
from drvs.compat.bproc import images as _images
from drvs.compat.bproc.constants import *  # noqa: F403
from drvs.compat.bproc.images import *  # noqa: F403

__all__ = [  # noqa: PLE0604
    *(name for name in vars(_constants) if name.isupper()),
    *(name for name in vars(_images) if name.startswith("bproc_")),
]
