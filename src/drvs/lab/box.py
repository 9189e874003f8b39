"""One node as the supervisor sees it: starting its first process, hearing from it, killing it, burying it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from drvs.base import clock, paths
from drvs.cluster import config
from drvs.daemon.loop import Loop
from drvs.lab import kernel, place, sweep
from drvs.lab.spec import Spec
from drvs.lab.wiring import Wiring


class Box:
    """A node, which may be started and killed any number of times.

    Attributes:
        state: starting, up, failed or killed.
        problem: why it failed.
        pid: its first process; 0 if there is none.
    """

    def __init__(self, loop: Loop, spec: Spec, wiring: Wiring, node: int) -> None:
        self.node = node
        self.state = "killed"
        self.problem = ""
        self.pid = 0
        self.since_ns = clock.now_ns()
        self.starts = 0
        self._loop = loop
        self._spec = spec
        self._wiring = wiring
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._channel: socket.socket | None = None
        self._changed: list[Callable[[Box], bool]] = []

    def when(self, what: Callable[[Box], bool]) -> None:
        """Call `what(box)` now and at each change, until it returns True."""
        if not what(self):
            self._changed.append(what)

    def _be(self, state: str, problem: str = "") -> None:
        self.state, self.problem, self.since_ns = state, problem, clock.now_ns()
        waiting, self._changed = self._changed, []
        for what in waiting:
            if not what(self):
                self._changed.append(what)

    # ---- starting ----

    def start(self) -> None:
        """Start it; `when` tells how that went."""
        self._prepare()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = [self._spec.folder, str(self.node), str(theirs.fileno())]
        with theirs, open(os.path.join(self._spec.home(self.node), place.CONSOLE), "ab") as console:
            self._process = self._spawn([sys.executable, "-P", "-m", "drvs.lab.init", *arguments], theirs, console)
        self.pid, self.starts = self._process.pid, self.starts + 1
        self._channel, self._pidfd = ours, os.pidfd_open(self.pid)
        self._loop.watch(ours.fileno(), lambda _fd, _events: self._hear())
        self._loop.watch(self._pidfd, lambda _fd, _events: self._bury())
        self._be("starting")

    def _prepare(self) -> None:
        """Make its directory, its cluster file and an empty runtime directory, as a machine has after it booted."""
        spec, node = self._spec, self.node
        run = spec.runtime_dir(node)
        os.makedirs(spec.home(node), exist_ok=True)
        self._keep_log(os.path.join(run, paths.LOG))
        shutil.rmtree(run, ignore_errors=True)
        os.mkdir(run, 0o755)
        with open(spec.cluster_file(node), "w", encoding="utf-8") as file:
            file.write(config.dumps(spec.cluster_seen(node)))

    def _keep_log(self, path: str) -> None:
        try:
            with open(path, "rb") as old, open(os.path.join(self._spec.home(self.node), place.OLD_LOG), "ab") as kept:
                shutil.copyfileobj(old, kept)
        except FileNotFoundError:
            pass

    def _spawn(self, command: list[str], channel: socket.socket, console: Any) -> subprocess.Popen[bytes]:
        """Start its first process, in a pid namespace that begins with it."""
        home = -1
        if self._spec.namespaces:
            home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            kernel.unshare(kernel.NEWPID)
        try:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, pass_fds=(channel.fileno(),),
                env={**os.environ, **self._spec.environment(self.node)}, start_new_session=True,
            )  # fmt: skip
        finally:
            if home >= 0:
                kernel.setns(home, kernel.NEWPID)
                os.close(home)

    def _hear(self) -> None:
        assert self._channel is not None
        word, _, text = self._channel.recv(4096).decode(errors="replace").partition(" ")
        if word == "born":
            try:
                self._wiring.attach(self.node, self.pid)
                self._channel.send(b"go")
            except OSError as error:
                self._be("failed", f"its network could not be made: {error}")
        elif word == "up":
            self._be("up")
        elif word == "failed":
            self._be("failed", text)
        else:
            self._hang_up()

    # ---- ending ----

    def kill(self, *, unplug: bool = False) -> None:
        """SIGKILL everything in it; `when` tells when that has happened. Harmless if it is dead.

        Args:
            unplug: take its network away first, so that the others see no connection close.
        """
        if self._process is not None:
            if unplug:
                self._wiring.detach(self.node)
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def end(self) -> None:
        """Kill it for good; nobody is told."""
        self._changed.clear()
        self.kill()

    def wait_dead(self) -> None:
        """Wait for its end, when the loop does not run any more."""
        self._bury()

    def _bury(self) -> None:
        if self._process is None:
            return
        status = self._process.wait()
        self._hang_up()
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._process, self._pidfd, self.pid = None, -1, 0
        self._wiring.detach(self.node)
        if not self._spec.namespaces:
            sweep.kill(self._spec.home(self.node))
        if self.state == "starting" and status != -signal.SIGKILL:
            self._be("failed", f"its first process ended with status {status}")
        else:
            self._be("killed")

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def as_json(self) -> dict[str, Any]:
        """Return what `drvs lab status --json` shows of it."""
        spec = self._spec
        return {
            "node": self.node,
            "name": f"node{self.node}",
            "state": self.state,
            "problem": self.problem,
            "pid": self.pid,
            "host": spec.host(self.node),
            "address": spec.address(self.node),
            "runtime_dir": spec.runtime_dir(self.node),
            "seconds": (clock.now_ns() - self.since_ns) / clock.NS_PER_S,
            "starts": self.starts,
        }
