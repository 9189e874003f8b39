"""What runs for every program: flushed before the dump, put right in each restored process before its own hooks."""

from __future__ import annotations

from drvs.hooks import endpoints, files, identity, randomness
from drvs.hooks.registry import RestoreInfo, after_restore, before_dump


def register() -> None:
    """Register them; first of all, so that they run last before a dump and first after a restore."""
    before_dump(_before)
    after_restore(_after)


def _before() -> None:
    identity.note_running_loop()
    endpoints.hang_up()
    files.close_logs()
    files.flush()


def _after(info: RestoreInfo) -> None:
    randomness.reseed()
    identity.refresh_thread_ids()
    identity.set_running_loops()
    endpoints.unbind()
