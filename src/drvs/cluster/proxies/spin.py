"""When it pays to look again instead of sleeping.

Waking a process that sleeps on an idle CPU costs far more than the answer takes. So the proxies look on for a moment
after traffic, where that is in nobody's way:

- after a command was taken, whose process waits now, but not if the link's packets are handled on this CPU, for then
  the other side may need it (`Proxy.look` asks the socket);
- after something was put, unless the process that it is for runs on this CPU: then it is its turn.
"""

from drvs import core
from drvs.base import clock


class Spin:
    """At most `budget_us` of looking after the last traffic; 0: none."""

    def __init__(self, budget_us: int) -> None:
        self._budget_ns = budget_us * 1000
        self.until_ns = 0

    def sent(self) -> None:
        """Commands were taken just now."""
        if self._budget_ns:
            self.until_ns = clock.now_ns() + self._budget_ns

    def delivered(self, cpu: int) -> None:
        """Something was put for a process that runs on `cpu`; -1: that is not known."""
        if self._budget_ns:
            self.until_ns = 0 if cpu == core.this_cpu() else clock.now_ns() + self._budget_ns
