"""What runs for every program: flushed before the dump, put right in each restored process before its own hooks."""

from __future__ import annotations

from drvs.hooks import endpoints, files, identity, randomness
from drvs.hooks.registry import RestoreInfo, after_restore, at_end, before_dump


def register() -> None:
    """Register them; first of all, so that they run last before a dump and first after a restore."""
    before_dump(_before)
    after_restore(_after)
    at_end(_end)


def _before() -> None:
    endpoints.hang_up()
    files.close_logs()
    files.flush()
    identity.stop_loops()


def _after(info: RestoreInfo) -> None:
    randomness.reseed()
    identity.refresh_thread_ids()
    endpoints.unbind()
    identity.let_loops_go(restored=True)


def _end() -> None:
    identity.let_loops_go(restored=False)
