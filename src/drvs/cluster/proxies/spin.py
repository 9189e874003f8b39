"""When it pays to look again instead of sleeping.

Waking a process that sleeps on an idle CPU costs far more than the answer takes. So the proxies look on for a moment
after traffic, but only where the other side can work meanwhile: the local process that was served last ran on
another CPU, and so did the packet that came last. On one CPU the looking would only be in the way.
"""

import os
import socket

from drvs import core
from drvs.base import clock

_INCOMING_CPU = getattr(socket, "SO_INCOMING_CPU", 49)


class Spin:
    """At most `budget_us` of looking after the last traffic; 0: none."""

    def __init__(self, proxy: core.Proxy, budget_us: int) -> None:
        self._proxy = proxy
        self._budget_ns = budget_us * 1000
        self._until_ns = 0

    def traffic(self) -> None:
        """Something was moved just now."""
        if self._budget_ns:
            self._until_ns = clock.now_ns() + self._budget_ns

    def worthwhile(self, incoming_cpu: int) -> bool:
        """Say whether to look again. `incoming_cpu`: where the last packet was handled, -1 if unknown."""
        if not self._until_ns:
            return False
        if clock.now_ns() >= self._until_ns:
            self._until_ns = 0
            return False
        here = this_cpu()
        return here not in (incoming_cpu, self._proxy.peer_cpu)


def this_cpu() -> int:
    """The CPU that this thread runs on; -1 if that cannot be known."""
    return os.sched_getcpu() if hasattr(os, "sched_getcpu") else core.this_cpu()


def incoming_cpu(sock: socket.socket) -> int:
    """The CPU on which the last packet of a socket was handled; -1 where the system does not say."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, _INCOMING_CPU)
    except OSError:
        return -1
