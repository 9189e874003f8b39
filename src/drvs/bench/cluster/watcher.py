"""What the proxies of a node cost while nothing happens, seen from a program on that node."""

from __future__ import annotations

import time
from pathlib import Path

import drvs
from drvs.bench.cluster.peers import Peer
from drvs.bench.pair import BenchFailed


class Watcher(Peer):
    """Looks at the proxies of the node that it runs on."""

    def open(self) -> None:
        """Find them."""
        self.pid = proxies_pid(drvs.connect())

    def cpu_ns(self) -> int:
        """CPU time that they have used so far."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0])

    def idle(self, seconds: float) -> float:
        """The share of a core that they use during that time."""
        before, start = self.cpu_ns(), time.perf_counter_ns()
        time.sleep(seconds)
        return (self.cpu_ns() - before) / (time.perf_counter_ns() - start)


def proxies_pid(node: drvs.Node) -> int:
    """Return the process of the standard proxies of a node.

    Raises:
        BenchFailed: it has none.
    """
    for pair in node.proxies():
        if pair.sender.pid:
            return int(pair.sender.pid)
    raise BenchFailed("the node has no proxies")
