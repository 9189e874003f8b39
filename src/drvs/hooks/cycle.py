"""One dump or restore as the process sees it: asked, hooks, waiting, going on (the states of csrc/image/mailbox.h)."""

from __future__ import annotations

import os
import signal
import sys
import threading

from drvs.core import _core
from drvs.hooks import payload, registry
from drvs.hooks.registry import RestoreInfo

GOES_ON, RESTORED, ABANDONED, REFUSED = 1, 2, 3, 4
"""Verdicts: the process that was dumped goes on; this is a restored one; the dumper has died; it could not."""

_FIRST_CHOICE, _LAST_CHOICE = 62, 50
"""Real-time signals far from those that programs take, beginning at SIGRTMIN."""

_restored: RestoreInfo | None = None
_signal_number = 0
_handled = False


def start() -> None:
    """Start the thread that takes requests, here and in forked children."""
    global _signal_number
    _signal_number = _free_signal()
    _install_handler()
    _core.mailbox_start(_signal_number, answer)
    if not _handled:
        _core.mailbox_pend()
    # Around a fork there is no such thread: a fork with threads is warned of, and children would lack it.
    os.register_at_fork(before=_core.mailbox_stop, after_in_parent=_restart, after_in_child=_restart_in_child)


def _restart() -> None:
    _core.mailbox_start(_signal_number, answer)


def _restart_in_child() -> None:
    _core.mailbox_reset()
    _restart()


def _free_signal() -> int:
    for number in range(_FIRST_CHOICE, _LAST_CHOICE, -1):
        if signal.getsignal(number) == signal.SIG_DFL:
            return number
    raise RuntimeError("drvs.hooks needs a real-time signal, and this program handles all of them.")


def _install_handler() -> None:
    """Handlers can only be set by the main thread, which may not be the one that imports this."""
    global _handled
    if not _handled and threading.current_thread() is threading.main_thread():
        signal.signal(_signal_number, answer)
        _handled = True


def answer(*_signal_and_frame: object) -> None:
    """Take the request that waits, if one does: run the hooks, wait for the verdict, go on. For the main thread."""
    _install_handler()
    if not _core.mailbox_take():
        return
    try:
        registry.run_before()
    except BaseException as error:
        _core.mailbox_fail(_described(error).encode(errors="replace"))
        if not isinstance(error, Exception):
            raise
        return
    go_on(0)


def go_on(dumper: int) -> tuple[int, int]:
    """Wait for the verdict, and run what it asks for.

    Args:
        dumper: a pid if the round was begun here; 0 if a dumper asked for it.

    Returns:
        The verdict, and the bytes of the image.
    """
    verdict, nbytes, rank, size, given = _core.mailbox_wait(dumper) if dumper else _core.mailbox_wait()
    try:
        if verdict == RESTORED:
            registry.run_after(_take_over(rank, size, given))
    finally:
        registry.run_end()
        _core.mailbox_end()
    return verdict, nbytes


def _take_over(rank: int, size: int, given: bytes) -> RestoreInfo:
    """Set what the copy was given."""
    global _restored
    argv, environ, pid_kept = payload.decode(given) if given else (None, None, False)
    if argv is not None:
        sys.argv[1:] = argv
    if environ is not None:
        os.environ.update(environ)
    _restored = RestoreInfo(rank, size, list(sys.argv), os.environ, True, pid_kept)
    return _restored


def info() -> RestoreInfo:
    """Return which copy this process is."""
    return _restored or RestoreInfo(0, 1, list(sys.argv), os.environ)


def _described(error: BaseException) -> str:
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f" ({where.tb_frame.f_code.co_filename}:{where.tb_lineno})" if where else ""
    return f"{type(error).__name__}: {error}{place}"
