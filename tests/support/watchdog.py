"""A test that hangs fails with every stack: its own threads', its children's, its daemons'.

A thread waits beside each test. At the deadline it prints the stacks, kills the children that the test started, and
raises `Hang` in the test by a signal. Should the test not even react to that, faulthandler's C thread, which needs no
GIL, ends the run.
"""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support import children, procfs
from support.patience import FACTOR

QUICK_S, SLOW_S = 120.0 * FACTOR, 1800.0 * FACTOR
LAST_RESORT_S = 60.0


class Hang(BaseException):
    """Raised in a test that did not end in time; not an Exception, so that the test cannot swallow it."""


def report(reason: str, out: int = 2) -> None:
    """Print where this process, its children and everything below it are."""
    os.write(out, f"\n==== {reason}\n".encode())
    faulthandler.dump_traceback(file=out, all_threads=True)
    known = {child.pid: child for child in children.live}
    for pid in sorted(procfs.descendants(os.getpid())):
        text = known[pid].stacks() if pid in known else procfs.stacks(pid)
        os.write(out, f"\n---- {text}\n".encode(errors="replace"))


def _raise_hang(*_: object) -> None:
    raise Hang("the test did not end in time: the stacks are on stderr")


def _watch(done: threading.Event, deadline_s: float, name: str, out: int) -> None:
    if done.wait(deadline_s):
        return
    report(f"{name} still runs after {deadline_s:.0f} s. Run it alone: make test TESTS='{name}'", out)
    for child in list(children.live):
        child.send_signal(signal.SIGKILL)
    if not done.wait(1):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR2)


@contextmanager
def watched(name: str, deadline_s: float, out: int | None = None) -> Iterator[None]:
    """Watch the body of this block; `out` is the descriptor that reports go to (stderr)."""
    out = sys.__stderr__.fileno() if out is None else out
    signal.signal(signal.SIGUSR2, _raise_hang)
    faulthandler.dump_traceback_later(deadline_s + LAST_RESORT_S, exit=True, file=out)
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(done, deadline_s, name, out), name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        faulthandler.cancel_dump_traceback_later()
