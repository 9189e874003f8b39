"""The two clocks: CLOCK_MONOTONIC for deadlines and alarms, CLOCK_REALTIME for what people read."""

import time

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

now_ns = time.monotonic_ns
wall_ns = time.time_ns


def deadline_after(timeout: float | None) -> int | None:
    """Return the monotonic nanosecond `timeout` seconds from now; None, which means for ever, stays None."""
    return None if timeout is None else now_ns() + int(timeout * NS_PER_S)


def deadline_after_ms(timeout_ms: int) -> int | None:
    """Return the monotonic nanosecond `timeout_ms` milliseconds from now; None for -1, which waits for ever."""
    return None if timeout_ms < 0 else now_ns() + timeout_ms * NS_PER_MS


def remaining(deadline_ns: int | None) -> float | None:
    """Return the seconds left until a deadline, at least 0; None for no deadline."""
    return None if deadline_ns is None else max(0.0, (deadline_ns - now_ns()) / NS_PER_S)
