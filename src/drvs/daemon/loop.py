"""noded's event loop: epoll for descriptors, a heap for timers, a queue for work that is done in slices.

One thread, no callbacks inside callbacks: whoever is called returns soon. Watching thirty thousand pidfds costs a
dictionary entry each, because the callback is shared and gets the descriptor.
"""

import heapq
import select
from collections import deque
from collections.abc import Callable

from drvs.base import clock

Ready = Callable[[int, int], None]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANGUP = select.EPOLLRDHUP


class Timer:
    """One call in the future, unless cancelled."""

    __slots__ = ("callback", "when_ns")

    def __init__(self, when_ns: int, callback: Callable[[], None] | None) -> None:
        self.when_ns = when_ns
        self.callback = callback

    def cancel(self) -> None:
        """Make sure that it is not called any more; harmless if it was."""
        self.callback = None

    def __lt__(self, other: "Timer") -> bool:
        return self.when_ns < other.when_ns


class Loop:
    """Runs until `stop`. `failed` is told of exceptions that a callback let out, and the loop goes on."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._timers: list[Timer] = []
        self._slices: deque[Callable[[], bool]] = deque()
        self._failed = failed
        self._running = True

    # ---- descriptors -------------------------------------------------------------------------------------------

    def watch(self, fd: int, callback: Ready, events: int = READ) -> None:
        """Call `callback(fd, events)` whenever the descriptor is ready."""
        self._epoll.register(fd, events)
        self._ready[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Wait for other events on a watched descriptor."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; call it before closing the descriptor."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def __len__(self) -> int:
        return len(self._ready)

    # ---- time and work -------------------------------------------------------------------------------------------

    def at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """Call `callback` at a monotonic time."""
        timer = Timer(when_ns, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def after_ms(self, ms: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in `ms` milliseconds."""
        return self.at(clock.now_ns() + int(ms * clock.NS_PER_MS), callback)

    def work(self, slice_of_work: Callable[[], bool]) -> None:
        """Call it between events until it returns False: long work that must not keep clients waiting."""
        self._slices.append(slice_of_work)

    # ---- running -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Let `run` return after the present callback."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        while self._running:
            for fd, events in self._epoll.poll(self._timeout(), 256):
                callback = self._ready.get(fd)
                if callback is not None:  # forgotten by a callback just before
                    self._dispatch(callback, fd, events)
            self._run_timers()
            self._run_slice()

    def _dispatch(self, callback: Ready, fd: int, events: int) -> None:
        try:
            callback(fd, events)
        except Exception as error:
            self._failed(error)

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()

    def _timeout(self) -> float:
        if self._slices:
            return 0
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1
        # Rounded up to a millisecond: epoll would round down and spin until the time has come.
        seconds = (self._timers[0].when_ns - clock.now_ns()) / clock.NS_PER_S + 0.001
        return min(max(0.0, seconds), 3600.0)

    def _run_timers(self) -> None:
        now = clock.now_ns()
        while self._timers and self._timers[0].when_ns <= now:
            callback = heapq.heappop(self._timers).callback
            if callback is not None:
                self._call(callback)

    def _run_slice(self) -> None:
        if self._slices:
            task = self._slices.popleft()
            more = [False]
            self._call(lambda: more.__setitem__(0, task()))
            if more[0]:
                self._slices.append(task)

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception as error:
            self._failed(error)
