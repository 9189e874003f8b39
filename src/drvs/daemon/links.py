"""The standard proxies' process, which noded starts and starts again: `drvs up --cluster FILE`.

It is a program of its own (`python -m drvs.cluster`): a privileged client of the node like any other pair of proxies,
which goes on when noded is killed. noded knows it by the name of its pair. When that is gone, and the node is still
meant to be in its cluster, another one is started: LINKS_RESTARTS times, and once it has worked for a while, as often
again.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from drvs.base import clock, limits

if TYPE_CHECKING:
    from drvs.daemon.node import Node

PAIR = "links"


class LinksProcess:
    """What noded knows of it."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.options: list[str] | None = None  # of its command line; None: the node is in no cluster
        self.strangers: list[dict[str, str | float]] = []  # the last ones who never proved who they are
        self.report: list[dict[str, str | int]] = []  # what the proxies said last of their links
        self._child: subprocess.Popen[bytes] | None = None
        self._ready_fd = -1
        self._tell: Callable[[str], None] | None = None
        self._restarts = 0
        self._started_ns = 0

    @property
    def runs(self) -> bool:
        """Whether its proxies are registered."""
        return any(pair.name == PAIR for pair in self._node.pairs.in_use.values())

    def start(self, options: list[str], tell: Callable[[str], None] | None = None) -> None:
        """Start it, and `tell` when it is ready, or why it cannot be."""
        self.options, self._tell = options, tell
        ready, word = os.pipe()
        command = [sys.executable, "-P", "-m", "drvs.cluster", "--runtime-dir", self._node.runtime_dir, *options]
        try:
            with open(os.devnull, "r+b") as nothing:
                self._child = subprocess.Popen(
                    [*command, "--ready-fd", str(word)], stdin=nothing, stdout=nothing, stderr=nothing,
                    pass_fds=(word,), start_new_session=True,
                )  # fmt: skip
        finally:
            os.close(word)
        self._started_ns = clock.now_ns()
        self._ready_fd = ready
        self._node.loop.watch(ready, self._said)

    def _said(self, fd: int, _events: int) -> None:
        word = os.read(fd, 4096).decode(errors="replace") or "the proxies ended before they were ready"
        self._node.loop.forget(fd)
        os.close(fd)
        self._ready_fd = -1
        if word != "ready":
            self._node.log.note(f"the links cannot be started: {word}")
        if self._tell is not None:
            tell, self._tell = self._tell, None
            tell(word)

    def tick(self) -> None:
        """Look once a second whether it is there."""
        if self._child is not None and self._child.poll() is not None:
            self._node.log.note(f"the links (process {self._child.pid}) ended with {self._child.returncode}")
            self._child = None
        if self.options is None or self._child is not None or self._ready_fd >= 0 or self.runs:
            return
        if clock.now_ns() - self._started_ns > limits.LINKS_STEADY_MS * clock.NS_PER_MS:
            self._restarts = 0
        if self._restarts >= limits.LINKS_RESTARTS:
            return
        self._restarts += 1
        self._node.log.note("the links are started again")
        self.start(self.options)
        if self._restarts == limits.LINKS_RESTARTS:
            self._node.log.note("the links ended too often: they are not started again; see `drvs status`")

    def end(self) -> None:
        """Do without it: it ends with its pair, which the caller forgets."""
        self.options = None
