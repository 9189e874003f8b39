"""What a test must not leave behind: processes, memfds, sockets."""

import gc
import os
from dataclasses import dataclass, field

from support import procfs


def _held() -> dict[int, str]:
    kinds = ("/memfd:", "socket:", "anon_inode:[pidfd]")
    return {fd: what for fd, what in procfs.descriptors().items() if what.startswith(kinds)}


@dataclass
class Holdings:
    """What this process held at one moment."""

    processes: set[int] = field(default_factory=lambda: procfs.descendants(os.getpid()))
    descriptors: dict[int, str] = field(default_factory=_held)


def left_since(before: Holdings) -> list[str]:
    """What is held now and was not then, one line each; empty when all is clean."""
    gc.collect()
    reap()
    now = Holdings()
    found = [f"process {pid}: {procfs.command(pid)}" for pid in sorted(now.processes - before.processes)]
    found += [f"descriptor {fd}: {what}" for fd, what in now.descriptors.items() if before.descriptors.get(fd) != what]
    return found


def reap() -> None:
    """Wait for dead children that nobody waits for: daemons that became ours, as we are their subreaper."""
    for pid in procfs.zombies(os.getpid()):
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
