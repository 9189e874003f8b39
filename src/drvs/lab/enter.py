"""`python -m drvs.lab.enter FOLDER NODE PID shell|run COMMAND…`: run a command on a node of a lab.

With namespaces, this process enters those of the node's first process and stays as the command's parent: it passes
signals on, and its end is the command's. Without, it becomes the command.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from drvs.cli import exits
from drvs.cli.failure import tell
from drvs.cli.foreground import follow, signals_held
from drvs.lab import kernel
from drvs.lab.spec import load

_ALL = kernel.NEWNET | kernel.NEWNS | kernel.NEWUTS | kernel.NEWIPC | kernel.NEWPID


def main() -> int:
    """Run the command; returns its exit status, or 128 + N if signal N ended it."""
    spec, node, first = load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    is_shell, command = sys.argv[4] == "shell", sys.argv[5:]
    os.environ.update(spec.environment(node))
    if not spec.namespaces:
        _become(command)
    try:
        affinity = _enter(first)
    except ProcessLookupError:
        tell(f"node {node} was killed just now", f"Start it again: drvs lab restart {node}")
        return exits.FAILED
    with signals_held():
        pid = os.fork()
        if pid == 0:
            kernel.die_with_parent(signal.SIGKILL)
            if is_shell and os.isatty(0):
                _lead_terminal()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.sched_setaffinity(0, affinity)
            _become(command)
        status = follow(pid)
    if is_shell and os.isatty(0):
        _take_terminal()
    return status


def _lead_terminal() -> None:
    """Be a process group of one's own, in the foreground: a shell must know the group it finds there."""
    os.setpgid(0, 0)
    _take_terminal()


def _take_terminal() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(0, os.getpgrp())
    except OSError:
        pass  # it is not the terminal of this session
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _enter(pid: int) -> set[int]:
    """Enter the namespaces of a process; returns the cores that it may run on."""
    affinity = os.sched_getaffinity(pid)
    here = os.getcwd()
    fd, root = os.pidfd_open(pid), os.open(f"/proc/{pid}/root", os.O_PATH)
    kernel.setns(fd, _ALL)
    os.fchdir(root)
    os.chroot(".")  # where the lab was started in a chroot, so are its nodes
    os.close(fd)
    os.close(root)
    try:
        os.chdir(here)
    except OSError:
        os.chdir("/")
    return affinity


def _become(command: list[str]) -> NoReturn:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        tell(f"cannot run {command[0]!r}: {error.strerror}")
        os._exit(exits.NO_COMMAND if isinstance(error, FileNotFoundError) else exits.CANNOT_EXECUTE)


if __name__ == "__main__":
    sys.exit(main())
