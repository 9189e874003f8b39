"""The collector: the thread that pumps when no thread waits in `Future.result`.

It is woken for callbacks, `wait` and `as_completed`, for threads that a pumping thread leaves behind, and by a submit
that finds it asleep for good. Otherwise it only looks every two milliseconds whether somebody pumps, and for ten after
the last call has ended: waking it at each submit would take longer than the call. While nothing is out, it sleeps.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from drvs.executor.future import PENDING, RUNNING, CallFuture

if TYPE_CHECKING:
    from drvs.executor.crew import Crew
    from drvs.executor.exchange import Exchange
    from drvs.executor.pump import Pump

TICK_S = 0.002
TICK_MAX_S = 0.1
LINGER_TICKS = 5
_HAND_OVER_S = 0.1


class Collector:
    """The thread, and how others wait beside it."""

    def __init__(self, exchange: Exchange, pump: Pump, crew: Crew) -> None:
        self._exchange = exchange
        self._pump = pump
        self._crew = crew
        self._bell = exchange.bell
        self._asleep = True
        self._patient = False
        self._watched = False
        self._closed = False
        self._collecting = False
        self._lock = threading.Lock()
        self._followers = 0
        self._wanted = 0
        self._thread = threading.Thread(target=self._run, name="drvs-collector", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended; the executor has."""
        self._thread.join()

    # ---- for others --------------------------------------------------------------------------------------------------

    def notice(self) -> None:
        """There is a new call."""
        if self._asleep:
            self._bell.set()

    def kick(self) -> None:
        """A call was cancelled: whoever waits for it may sit in a receive."""
        self._exchange.kick()

    def watch(self) -> None:
        """Somebody waits who will not take messages."""
        self._watched = True
        if not self._bell.is_set():
            self._bell.set()

    def wait_for(self, future: CallFuture, deadline: float | None) -> None:
        """Wait until a future has ended, taking messages if nobody else does."""
        exchange, held = self._exchange, self._pump.held
        if not exchange.opened.is_set():
            exchange.opened.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if not exchange.opened.is_set():
                return
        while future._state in (PENDING, RUNNING) and not exchange.dead:
            if deadline is not None and deadline <= time.monotonic():
                return
            if held._is_owned():  # type: ignore[attr-defined]  # in a callback
                self._pump.lead(future, deadline)
            elif not self._lead(future, deadline):
                self._follow(future, deadline)

    def _lead(self, future: CallFuture, deadline: float | None) -> bool:
        """Take messages, unless another thread in `result` does. Ctrl-C may come between any two of these steps."""
        held = self._pump.held
        try:
            if not held.acquire(blocking=False) and not (self._collecting and self._take_over()):
                return False
            self._pump.lead(future, deadline)
        finally:
            while held._is_owned():  # type: ignore[attr-defined]
                held.release()
            if self._followers or self._watched or self._patient:
                self._bell.set()
        return True

    def _take_over(self) -> bool:
        """Have the collector give the pump away: it sits in a receive."""
        with self._lock:
            self._wanted += 1
        try:
            self._exchange.kick()
            return self._pump.held.acquire(timeout=_HAND_OVER_S)
        finally:
            with self._lock:
                self._wanted -= 1

    def _follow(self, future: CallFuture, deadline: float | None) -> None:
        with self._lock:
            self._followers += 1
        try:
            self._pump.follow(future, deadline)
        finally:
            with self._lock:
                self._followers -= 1

    # ---- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._exchange.opened.wait()
        while not self._exchange.dead and not self._closed:
            self._asleep = True
            if not self._exchange.outstanding and not self._exchange.closing:  # what comes later rings
                self._bell.wait()
            self._bell.clear()
            self._asleep = False
            self._attend()

    def _attend(self) -> None:
        """Look after the calls that are out, until none has been for a while."""
        seen, quiet, tick = -1, 0, TICK_S
        while quiet < LINGER_TICKS and not self._exchange.dead:
            if not self._exchange.outstanding:
                self._watched, quiet, tick = False, quiet + 1, TICK_S
                if self._exchange.closing:
                    self._close()
                    if self._closed:
                        return
            elif self._watched or self._pump.turns == seen:
                quiet, tick = 0, TICK_S if self._collect() else min(2 * tick, TICK_MAX_S)
            else:
                quiet, tick = 0, TICK_S
            seen = self._pump.turns
            self._patient = tick > TICK_S
            self._bell.wait(tick)
            self._bell.clear()
        self._patient = False

    def _collect(self) -> bool:
        if not self._pump.held.acquire(blocking=False):
            return False  # a thread in `result` sits in a long receive
        self._collecting = True
        try:
            while self._exchange.outstanding and not self._wanted and not self._exchange.dead:
                self._pump.turn(None)
        except Exception as problem:
            self._crew.break_down(f"the executor has a fault of its own: {problem!r}")
        finally:
            self._collecting = False
            self._pump.held.release()
        return True

    def _close(self) -> None:
        """No call is out and none will come: end the workers. Those who wait will not wait for long."""
        with self._pump.held:
            if not self._exchange.outstanding:
                self._crew.retire()
                self._closed = True
