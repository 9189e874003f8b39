"""A real noded for a test: started on a directory, stopped, and checked to be gone."""

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import leaks, procfs
from support.patience import FACTOR

PATIENCE_S = 30.0 * FACTOR


def drvs(
    *arguments: str, runtime_dir: Path | str, timeout: float = PATIENCE_S, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line `drvs ...` against a runtime directory; output captured, status not checked."""
    env = {**os.environ, "DRVS_RUNTIME_DIR": str(runtime_dir), **environment}
    command = [sys.executable, "-m", "drvs.cli", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)


@dataclass
class RunningNode:
    """A node that runs for a test."""

    runtime_dir: Path
    processes: set[int]

    @property
    def noded_pid(self) -> int:
        """Host process id of its noded."""
        from drvs.daemon import launch

        return int(launch.status(self.runtime_dir)["pid"])

    def stop(self) -> None:
        """Shut the node down in order, if it still runs, and check that none of its processes is left."""
        from drvs.base.errors import DaemonGone
        from drvs.daemon import launch

        if not any(procfs.state_and_parent(pid)[0] for pid in self.processes):
            return
        try:
            launch.down(self.runtime_dir)
        except DaemonGone:
            self.restart()
            launch.down(self.runtime_dir)
        wait_gone(self.processes)

    def kill(self) -> None:
        """SIGKILL noded alone (its keeper lives on)."""
        pid = self.noded_pid
        os.kill(pid, signal.SIGKILL)
        wait_gone({pid})

    def restart(self) -> None:
        """Start noded again after `kill`; it takes everything over."""
        self.processes |= _up(self.runtime_dir)


def start(runtime_dir: Path, **options: Any) -> RunningNode:
    """Start a noded and return when it serves; `options` are those of `drvs.daemon.launch.up`."""
    return RunningNode(runtime_dir, _up(runtime_dir, **options))


def _up(runtime_dir: Path, **options: Any) -> set[int]:
    """Start noded; the processes that this has made (noded and its keeper)."""
    from drvs.daemon import launch

    before = procfs.descendants(os.getpid())
    launch.up(runtime_dir, **options)
    return procfs.descendants(os.getpid()) - before


def wait_gone(pids: set[int], timeout: float = PATIENCE_S) -> None:
    """Wait until all these processes have ended; fails with their stacks if they do not."""
    deadline = time.monotonic() + timeout
    for pid in sorted(pids):
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            gone = select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))[0]
        finally:
            os.close(pidfd)
        assert gone, f"still there after {timeout} s:\n{procfs.stacks(pid)}"
    leaks.reap()
