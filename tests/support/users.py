"""The unprivileged side: run something as uid 65534, in a forked process."""

import importlib
import os
import pkgutil
from collections.abc import Callable
from typing import Any

from support import procfs
from support.children import PATIENCE_S, Child, spawn

NOBODY = 65534
OPTIONAL = ("bench", "cli", "demo", "ui")
"""Packages that nothing run as another user needs, and that pull in the heavy dependencies."""


def become_nobody(uid: int = NOBODY) -> None:
    """Give up root for good, and be a process like one that `uid` started itself."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # A process that changed its uid is not dumpable: its own user could not read its /proc nor copy its memory.
    procfs.prctl(procfs.PR_SET_DUMPABLE, 1)
    os.environ["HOME"] = "/"
    os.environ.pop("XDG_RUNTIME_DIR", None)


def import_everything() -> None:
    """Import all of drvs now: the interpreter's files may be out of reach for the user the child becomes."""
    import drvs

    for module in pkgutil.walk_packages(drvs.__path__, "drvs."):
        if module.name.split(".")[1] not in OPTIONAL and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("asyncio", "encodings.idna", "json", "subprocess", "traceback"):
        importlib.import_module(name)


def spawn_as_nobody(function: Callable[..., Any], *args: Any, uid: int = NOBODY, **kwargs: Any) -> Child:
    """Start `function(me, *args)` in a forked child of uid 65534."""
    import_everything()
    return spawn(function, *args, prepare=lambda: become_nobody(uid), **kwargs)


def as_nobody(function: Callable[..., Any], *args: Any, timeout: float = PATIENCE_S) -> Any:
    """Run `function(*args)` as uid 65534 in a forked child and return its result."""
    return spawn_as_nobody(lambda me: function(*args)).result(timeout)
