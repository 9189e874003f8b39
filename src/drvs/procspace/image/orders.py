"""The talk with a template: orders go out, and for each come two answers, the template's and the copy's own."""

from __future__ import annotations

import os
import select
import time

from msgspec import Struct

from drvs.procspace.image import area, birth
from drvs.procspace.image.birth import Answer
from drvs.procspace.image.errors import ImageError
from drvs.procspace.image.parcel import Parcel

_LOOK_MS = 20
"""A copy that is killed before it could answer is noticed so soon."""

_PATIENCE_S = 10
"""A template that has been stopped by a signal answers no more: what it still makes then is the caller's child."""


class _Order(Struct):
    wanted: int
    pid: int = 0
    last: Answer | None = None


class Orders:
    """What a template has been asked for and has not done yet. The caller holds a lock."""

    def __init__(self, newborn: birth.Newborn) -> None:
        self._newborn = newborn
        self._poll = select.poll()
        self._poll.register(newborn.control, select.POLLIN)
        self._open: dict[int, _Order] = {}
        self._serial = 0
        self._closed = False

    def send(self, parcel: Parcel, rank: int, size: int, pid: int) -> int:
        """Order a copy, and return the order's number.

        Raises:
            ImageError: the template is dead.
        """
        if self._closed:
            raise ImageError("the template is closed.", "Make another one.")
        self._serial += 1
        try:
            parcel.send(self._newborn.control, self._serial, rank, size, pid)
        except (BrokenPipeError, ConnectionResetError):
            raise self._dead() from None
        self._open[self._serial] = _Order(pid)
        return self._serial

    def wait(self, serial: int) -> int:
        """Wait until an ordered copy runs, and return its pid.

        Raises:
            Mismatch: its pid is taken.
            ImageError: it failed, or the template is dead; the copy is gone.
        """
        order = self._open[serial]
        try:
            while order.last is None:
                self._hear(order)
        except BaseException:
            self.abandon(serial)
            raise
        del self._open[serial]
        if order.last.what:
            status = birth.reap(order.pid) if order.pid else 0
            raise birth.failure(order.last, status, order.wanted)
        return order.pid

    def abandon(self, serial: int) -> None:
        """Let no copy come of an order."""
        order = self._open.get(serial)
        if order is None:
            return
        until = time.monotonic() + _PATIENCE_S
        while order.last is None and not order.pid and not self._closed and time.monotonic() < until:
            try:
                self._hear(order)
            except ImageError:
                break
        del self._open[serial]
        if order.pid:
            birth.kill(order.pid)

    def close(self) -> None:
        """End the template."""
        if self._closed:
            return
        for serial in list(self._open):
            self.abandon(serial)
        self._closed = True
        self._newborn.end()

    def _hear(self, order: _Order) -> None:
        """Take an answer, of whichever order."""
        if not self._poll.poll(_LOOK_MS) and order.pid and _has_ended(order.pid) and not self._poll.poll(0):
            raise ImageError(f"the copy (process {order.pid}) was killed before it was complete.")
        if not self._poll.poll(0):
            return
        said = birth.receive(self._newborn.control)
        if said is None:
            raise self._dead()
        self._take(said)

    def _take(self, said: Answer) -> None:
        other = self._open.get(said.serial)
        if other is None:
            return
        if said.what != area.SERVE or said.result < 0:
            other.last = said
        if said.pid > 0:
            other.pid = said.pid

    def _dead(self) -> ImageError:
        # Copies may have told of themselves before: those that nobody waited for yet must be known, to be ended.
        while (said := birth.receive(self._newborn.control)) is not None:
            self._take(said)
        self._closed = True
        self._newborn.control.close()
        status = birth.reap(self._newborn.pid)
        return ImageError(f"the template (process {self._newborn.pid}) has died ({status}).", "Make another one.")


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
