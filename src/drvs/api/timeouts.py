"""Timeouts: seconds in Python, milliseconds on the control socket.

None waits for ever, 0 never waits; anything between is rounded up, so that a wait never ends before its time.
"""

from __future__ import annotations

import math

FOREVER_MS = -1
LONGEST_MS = 2**31 - 1


def to_milliseconds(timeout: float | None) -> int:
    """Return `timeout` seconds as the milliseconds of the control protocol.

    Raises:
        ValueError: the timeout is negative or not a number.
    """
    if timeout is None:
        return FOREVER_MS
    if not timeout >= 0:
        raise ValueError(f"a timeout is None, 0 or a positive number of seconds, not {timeout!r}")
    return min(math.ceil(timeout * 1000), LONGEST_MS) if math.isfinite(timeout) else FOREVER_MS
