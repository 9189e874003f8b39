"""Labs for tests: started, ended, and checked to have left nothing behind."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drvs.lab import Lab
from support import procfs


@contextmanager
def lab(count: int, **options: Any) -> Iterator[Lab]:
    """A lab for the block; afterwards nothing of it may be there, whatever happened in between."""
    before = Traces()
    running = Lab(count, **options)
    try:
        yield running
    finally:
        running.down()
    left = Traces().since(before) + ([running.folder] if os.path.exists(running.folder) else [])
    assert not left, "the lab left behind:\n" + "\n".join(left)


class Traces:
    """What a lab could leave on its host: interfaces, mounts, and processes that know of it.

    Others use this machine at the same time: what has another shape is theirs.
    """

    def __init__(self) -> None:
        names = os.listdir("/sys/class/net") if os.path.isdir("/sys/class/net") else []
        self.interfaces = {name for name in names if re.fullmatch(r"n\d+|eth0|lab", name)}
        self.mounts = {line for line in procfs.text(os.getpid(), "mounts").splitlines() if "drvs-lab" in line}
        self.processes = {pid for pid in procfs.pids() if "drvs.lab" in procfs.command(pid) and _ours(pid)}

    def since(self, before: "Traces") -> list[str]:
        """What is here and was not in `before`, a line each."""
        found = [f"interface {name}" for name in self.interfaces - before.interfaces]
        found += [f"mount {line}" for line in self.mounts - before.mounts]
        return found + [f"process {pid}: {procfs.command(pid)}" for pid in self.processes - before.processes]


def _ours(pid: int) -> bool:
    """Whether it descends from this test process: labs of others may come and go meanwhile."""
    while pid > 1:
        if pid == os.getpid():
            return True
        _, pid = procfs.state_and_parent(pid)
    return False
