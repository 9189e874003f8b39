"""Standing in for a child in the foreground: signals go to it, and its end is ours."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from drvs.cli import exits

_PASSED = {
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
    signal.SIGALRM, signal.SIGCONT,
}  # fmt: skip
_SI_KERNEL = 0x80


@contextmanager
def signals_held() -> Iterator[None]:
    """Let signals wait until `follow` takes them, so that none is lost while the child is being made."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED | {signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_all(pids: list[int]) -> list[int]:
    """Wait for children, all that this process has, passing signals on to all that still run.

    Returns:
        For each, its exit status, or 128 + N if signal N ended it.
    """
    codes: dict[int, int] = {}
    while True:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            codes[ended[0]] = _code(ended[1])
            if len(codes) == len(pids):
                return [codes[pid] for pid in pids]
        info = signal.sigwaitinfo(_PASSED | {signal.SIGCHLD})
        if info.si_signo != signal.SIGCHLD and info.si_code != _SI_KERNEL:
            for pid in set(pids) - codes.keys():
                os.kill(pid, info.si_signo)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else exits.SIGNALLED - code


def follow(pid: int) -> int:
    """Wait for a child, passing signals on (those of the terminal reach it by themselves).

    Returns:
        Its exit status, or 128 + N if signal N ended it.
    """
    return follow_all([pid])[0]
