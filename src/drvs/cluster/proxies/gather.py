"""When it pays to let commands come together before they are taken.

The proxies sleep, and many processes of their node are about to go on: their requests were answered, or they were given
requests. If the first command rings the doorbell, the scheduler mostly runs the proxies at once, which have slept and
are owed the CPU; they carry one command and sleep again, and so for each. The processes that would have made the others
meanwhile wait for their turn, and the node does a quarter of what it can.

So the proxies count whom they have roused and who has had something for them since. While some are expected, they have
the doorbell rung when the last of them has come, or `LINK_GATHER` have, and look by themselves `LINK_GATHER_US` later.
Where that was in vain, because those processes do something else first, they do not try it again for a while, which is
longer each time.
"""

from drvs.base import limits
from drvs.cluster.timers import NEVER


class Gather:
    """How many commands to sleep for.

    Args:
        most: at most; 1: the first command always rings.
        wait_s: how long the first of them waits at most.
    """

    def __init__(self, most: int = limits.LINK_GATHER, wait_s: float = limits.LINK_GATHER_US / 1e6) -> None:
        self._most = most
        self.wait_s = wait_s
        self._longest_s = limits.LINK_GATHER_OFF_MS / 1000
        self._taken = 0
        self._quits = 0  # roused minus taken when nobody was expected
        self._off_s = 0.0
        self._off_until = 0.0
        #: When to look without having been rung for; inf: not before.
        self.until = NEVER

    def ask(self, taken: int, roused: int, now: float) -> int:
        """Return for how many commands to sleep: 1, or more and then only until `until`.

        Args:
            taken: commands taken so far (`Proxy.taken`).
            roused: processes that were given something so far (`Proxy.roused`).
            now: in seconds, of any clock that goes on.
        """
        came, self._taken = taken - self._taken, taken
        if self.until != NEVER:
            self._learn(came, taken, roused, now)
        expected = roused - taken - self._quits
        if expected < 2:
            if expected < 0:
                self._quits += expected
            return 1
        if now < self._off_until or self._most < 2:
            return 1
        self.until = now + self.wait_s
        return min(expected, self._most)

    def _learn(self, came: int, taken: int, roused: int, now: float) -> None:
        """The last wait is over."""
        vain = came < 2 and now >= self.until
        self.until = NEVER
        if vain:
            self._quits = roused - taken
            self._off_s = min(self._longest_s, 2 * self._off_s or 10 * self.wait_s)
            self._off_until = now + self._off_s
        elif came > 1:
            self._off_s = 0.0
