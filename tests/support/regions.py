"""A VM without a daemon: a region in a memfd of the test's own, endpoints bound into it by hand."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from drvs.core import Endpoint, Region
from support.patience import FACTOR

FIRST_USER_SLOT = 96
"""Slots below are system slots with the guide's limits: their endpoint is their process number for ever."""

PATIENCE_S = 20.0 * FACTOR

E = TypeVar("E", bound=Endpoint)


class CoreError(Exception):
    """What the tests' error factory makes of a code."""

    def __init__(self, code: int, operation: str, endpoint: int, peer: int | None, subject: Endpoint) -> None:
        super().__init__(f"{operation} by {endpoint} with {peer}: {code}")
        self.code, self.operation, self.endpoint, self.peer, self.subject = code, operation, endpoint, peer, subject


def make_region(**limits: Any) -> Region:
    """A fresh VM; the mapping alone keeps it."""
    fd = os.memfd_create("drvs-test")
    try:
        Region.format(fd, **limits)
        return Region(fd)
    finally:
        os.close(fd)


def bind(region: Region, slot: int, name: str = "", kind: type[E] | None = None, **options: Any) -> E:
    """Bind this process at a slot; `kind` is the class of the endpoint."""
    code, endpoint, incarnation = region.bind(slot, os.getpid(), threading.get_native_id(), 0, 0, 0, name)
    assert code == 0, code
    return (kind or Endpoint)(region, slot, incarnation, endpoint, **options)  # type: ignore[return-value]


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Give other threads the CPU until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in {PATIENCE_S} s"
        os.sched_yield()


def rts(region: Region, slot: int) -> int:
    """The state word of a slot."""
    snapshot = region.snapshot(slot)
    assert isinstance(snapshot, dict), snapshot
    return int(snapshot["rts"])


def wait_asleep(region: Region, slot: int) -> None:
    """Wait until the owner of a slot sleeps in a blocked call."""

    def asleep() -> bool:
        snapshot = region.snapshot(slot)
        return isinstance(snapshot, dict) and bool(snapshot["waiting"])

    wait_until(asleep, f"slot {slot} asleep")


class Background:
    """A function in a thread, its result or exception waited for."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._outcome: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, args, kwargs), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            self._outcome = function(*args, **kwargs)
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """What the function returned; raises what it raised."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the thread did not end"
        if self._error is not None:
            raise self._error
        return self._outcome
