"""`image.ready()`: the point in a program from which its copies start. The work is done by `drvs.hooks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drvs.hooks.registry import RestoreInfo


def ready(wait: bool | None = None) -> RestoreInfo:
    """Mark the point in the program from which copies start, and say which copy this is: see `drvs.hooks.ready`.

    Imports `drvs.hooks`; a program that needs little else may call `drvs.hooks.ready()` directly.
    """
    # Not before: who only makes images wants no thread that takes requests.
    from drvs import hooks

    return hooks.ready(wait)
