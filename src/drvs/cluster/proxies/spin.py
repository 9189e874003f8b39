"""When it pays to look again instead of sleeping.

Waking a process that sleeps on an idle CPU costs far more than the answer takes. So the proxies look on for a moment
after traffic, but only where the other sides can work meanwhile: the process that was served last runs on another
CPU, and the packet that came last was handled on another one. On one CPU the looking would only be in the way.
"""

from drvs import core
from drvs.base import clock


class Spin:
    """At most `budget_us` of looking after the last traffic; 0: none."""

    def __init__(self, budget_us: int) -> None:
        self._budget_ns = budget_us * 1000
        self._until_ns = 0

    def traffic(self) -> None:
        """Something was moved just now."""
        if self._budget_ns:
            self._until_ns = clock.now_ns() + self._budget_ns

    def go_on(self, *others: int) -> bool:
        """Say whether to look again. `others`: the CPUs where the other sides are, -1 for one that is not known."""
        if not self._until_ns:
            return False
        if clock.now_ns() >= self._until_ns or core.this_cpu() in others:
            self._until_ns = 0
            return False
        return True
