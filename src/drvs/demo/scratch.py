"""A node in a directory of its own, for as long as a block runs: what the demo and the benchmarks work in."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from types import FrameType

from drvs.api import connect
from drvs.api.node import Node
from drvs.base.errors import DaemonGone
from drvs.daemon import launch

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_VARIABLE = "DRVS_RUNTIME_DIR"


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def interruptions_wait() -> Iterator[None]:
    """Let Ctrl-C and its like wait until the block is done: half a start could not be cleaned up."""
    came: list[int] = []
    former = {number: signal.signal(number, lambda n, _: came.append(n)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable, for this process and for those it starts."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.contextmanager
def endings_interrupt() -> Iterator[None]:
    """Have SIGTERM, and SIGHUP when the terminal is closed, end the block as Ctrl-C does."""
    former = {number: signal.signal(number, _terminated) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def scratch_node(title: str, **limits: int) -> Iterator[Node]:
    """Start a node in a new directory; stop it and remove the directory when the block ends, however it ends.

    Processes started in the block find it by themselves (DRVS_RUNTIME_DIR). SIGTERM, and SIGHUP when the terminal is
    closed, end the block as Ctrl-C does.

    Args:
        title: becomes part of the directory's name.
        limits: of the node, as for `Node.init`.
    """
    folder = tempfile.mkdtemp(prefix=f"drvs-{title}-")
    runtime_dir = os.path.join(folder, "run")
    try:
        with endings_interrupt(), _environment(_VARIABLE, runtime_dir):
            try:
                with interruptions_wait():
                    launch.up(runtime_dir, size=limits)
                with connect(runtime_dir) as node:
                    yield node
            finally:
                with contextlib.suppress(DaemonGone), interruptions_wait():
                    launch.down(runtime_dir)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
