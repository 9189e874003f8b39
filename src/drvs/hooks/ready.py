"""The point in a program from which its copies start."""

from __future__ import annotations

import os

from drvs.core import _core
from drvs.hooks import cycle
from drvs.hooks.registry import RestoreInfo

WAIT = "DRVS_IMAGE_READY"
"""Set in the environment of a program that is to wait here until its image has been made."""


def ready(wait: bool | None = None) -> RestoreInfo:
    """Mark the point in the program from which copies start, and say which copy this is.

    In an ordinary run it returns at once. A program started by `drvs image exec --ready` waits here until its image has
    been made; what is restored from that returns from here. Signals are handled while it waits.

    Args:
        wait: wait for being dumped; None: if the environment asks for it (DRVS_IMAGE_READY).

    Returns:
        The rank of this copy and how many there are, sys.argv and os.environ. Arguments that a copy was given are in
        sys.argv[1:] by then, and variables that it was given are set in os.environ.
    """
    asked = os.environ.pop(WAIT, None)
    if asked if wait is None else wait:
        before = _core.mailbox_at_ready(True)
        try:
            while _core.mailbox_rounds_after(before) == before:
                pass
        finally:
            _core.mailbox_at_ready(False)
    return cycle.info()
