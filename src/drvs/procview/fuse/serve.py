"""One mount: serve the tree until somebody unmounts it, a signal comes, or the node ends.

libfuse has the main thread. What it says goes to stderr until the mount is there, and nowhere from then on.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import Any

from drvs.api.node import Node
from drvs.procview.fuse.filesystem import Filesystem
from drvs.procview.fuse.watch import NodeWatch
from drvs.procview.tree import tree

KIND = "drvs"
"""The type that the mount shows in /proc/mounts, behind "fuse."."""

_ENDED_BY_SIGNAL = 8  # what libfuse's main returns when its loop ends before somebody unmounts
_SIMPLE = re.compile(r"[\w/.+-]+")


def serve(runtime_dir: str, where: str, *, allow_other: bool = False, ready_fd: int | None = None) -> None:
    """Mount the view of a node at `where`, and serve it; returns when it is unmounted.

    Raises:
        RuntimeError: libfuse refused; it has said why on stderr.
        OSError: libfuse is not there.
    """
    import mfusepy

    node = Node(runtime_dir)
    watch = NodeWatch(runtime_dir)
    node.client.call("hello")  # from now on a noded that does not answer is one that restarts
    threading.Thread(target=_leave_with, args=(watch, threading.get_ident()), daemon=True).start()
    system = Filesystem(tree(node), lambda: _say_ready(ready_fd))
    try:
        mfusepy.FUSE(system, where, **_options(runtime_dir, allow_other))
    except RuntimeError as error:
        if error.args != (_ENDED_BY_SIGNAL,):
            raise
    finally:
        node.close()


def _options(runtime_dir: str, allow_other: bool) -> dict[str, Any]:
    return {
        "foreground": True,
        "ro": True,
        "direct_io": True,
        "attr_timeout": 0,
        "entry_timeout": 0,
        "negative_timeout": 0,
        "fsname": runtime_dir if _SIMPLE.fullmatch(runtime_dir) else KIND,
        "subtype": KIND,
        "allow_other": allow_other,
    }


def _leave_with(watch: NodeWatch, main: int) -> None:
    """When the node has ended, let libfuse end in order: it unmounts on SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    watch.wait()
    signal.pthread_kill(main, signal.SIGTERM)


def _say_ready(fd: int | None) -> None:
    if fd is not None:
        os.write(fd, b"ready")
        os.close(fd)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
