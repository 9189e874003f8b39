"""Knows when a node has ended, other than a noded that was killed and is started again.

A node's private directory lives as long as the node: whoever ends it removes it. So it is held open here, and the node
has ended when another one, or none, stands in its place. When to look is told by a connection to noded, which breaks
with it.
"""

from __future__ import annotations

import os
import select
import socket
import time

from drvs.base import limits, paths


class NodeWatch:
    """Watches the node of a runtime directory.

    Raises:
        FileNotFoundError: there is none.
    """

    def __init__(self, runtime_dir: str) -> None:
        self._runtime_dir = runtime_dir
        self._private = os.path.join(runtime_dir, paths.PRIVATE)
        self._held = os.open(self._private, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._held)

    def ended(self) -> bool:
        """Say whether the node has ended."""
        try:
            return not os.path.samestat(os.stat(self._private, follow_symlinks=False), os.fstat(self._held))
        except OSError:
            return True

    def wait(self) -> None:
        """Wait until the node has ended, through any number of restarts of its noded."""
        while not self.ended():
            self._wait_for_noded_to_go()
            if not self.ended():
                time.sleep(limits.VIEW_LOOK_MS / 1000)

    def _wait_for_noded_to_go(self) -> None:
        """Return when noded has gone, at once if it is not there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as sock:
            try:
                sock.connect(os.path.join(self._runtime_dir, paths.SOCKET))
            except OSError:
                return
            poll = select.poll()
            poll.register(sock, select.POLLHUP)
            poll.poll()
