"""The supervisor of a lab: holds its nodes, is its network, answers the commands. When it ends, the lab ends.

With namespaces the relay works on interfaces in the supervisor's own network namespace. Every node's first process
asks the kernel to be killed with the supervisor, so that even a SIGKILL of it leaves no process and no interface; only
the lab's directory stays then, until the next `drvs lab` command clears it away.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from typing import Any

import msgspec

from drvs.daemon.loop import Loop
from drvs.lab import control, kernel, sweep
from drvs.lab.box import Box
from drvs.lab.links import Links
from drvs.lab.requests import Requests
from drvs.lab.spec import Spec
from drvs.lab.wiring import choose


def _drain(fd: int, _events: int) -> None:
    """Forget which signal it was: its handler has run."""
    os.read(fd, 64)


class Supervisor:
    """A running lab."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.loop = Loop(self._failed)
        self.links = Links(spec.count)
        if spec.namespaces:
            kernel.unshare(kernel.NEWNET)
        self.wiring = choose(self.loop, spec, self.links)
        self.boxes = [Box(self.loop, spec, self.wiring, node) for node in range(spec.count)]
        self._requests = Requests(self)
        self._owner = -1
        self._ready: int | None = None
        self._goodbyes: list[socket.socket] = []

    def run(self, ready_fd: int) -> None:
        """Start all nodes, say how that went, and serve until the end."""
        self._ready = ready_fd
        self._end_at_signals()
        self._end_with(self.spec.owner)
        listener = control.listen(self.spec.folder)
        self.loop.watch(listener.fileno(), lambda _fd, _events: self._accept(listener))
        for box in self.boxes:
            box.start()
            box.when(self._one_settled)
        self.loop.run()
        self._bury_all()
        listener.close()

    # ---- coming up ----

    def _one_settled(self, box: Box) -> bool:
        """Whether this node needs no more watching: it is up, or the lab cannot be."""
        if box.state == "starting":
            return False
        if box.state != "up":
            self._say(f"node {box.node} did not come up: {box.problem or 'it was killed'}")
            self.loop.stop()
        elif all(other.state == "up" for other in self.boxes):
            self._say("ready")
        return True

    def _say(self, word: str) -> None:
        if self._ready is not None:
            try:
                os.write(self._ready, word.encode())
            except OSError:
                pass
            os.close(self._ready)
            self._ready = None

    # ---- ending ----

    def _end_at_signals(self) -> None:
        wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.loop.stop())
        signal.set_wakeup_fd(waker)
        self.loop.watch(wake, _drain)

    def _end_with(self, owner: int) -> None:
        if not owner:
            return
        try:
            self._owner = os.pidfd_open(owner)
        except ProcessLookupError:
            self.loop.stop()
            return
        self.loop.watch(self._owner, lambda _fd, _events: self.loop.stop())
        if os.getppid() != owner:
            self.loop.stop()

    def stay(self) -> None:
        """Go on when the owner ends."""
        if self._owner >= 0:
            self.loop.forget(self._owner)
            os.close(self._owner)
            self._owner = -1

    def end(self, conn: socket.socket) -> None:
        """End the lab; `conn` is answered when it is over."""
        self._goodbyes.append(conn)
        self.loop.stop()

    def _bury_all(self) -> None:
        """Kill all nodes, wait for that, and remove the lab's directory."""
        self._say("the lab was ended before it was up")
        for box in self.boxes:
            box.end()
        for box in self.boxes:
            box.wait_dead()
        sweep.kill(self.spec.folder)
        sweep.remove(self.spec.folder)
        for conn in self._goodbyes:
            self._requests.answer(conn, {"ok": True})

    # ---- requests ----

    def _accept(self, listener: socket.socket) -> None:
        try:
            conn, _ = listener.accept()
        except BlockingIOError:
            return
        conn.setblocking(False)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, control.PACKET)
        self.loop.watch(conn.fileno(), lambda fd, _events: self._serve(conn))

    def _serve(self, conn: socket.socket) -> None:
        self.loop.forget(conn.fileno())
        try:
            packet = conn.recv(control.PACKET)
            request: dict[str, Any] = msgspec.json.decode(packet, type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            conn.close()
            return
        self._requests.serve(conn, request)

    def _failed(self, error: BaseException) -> None:
        traceback.print_exception(error, file=sys.stderr)
        sys.stderr.flush()


def main(spec: Spec, lock: int, ready_fd: int) -> int:
    """Be the supervisor; `lock` is the lab's, held for as long as this process lives."""
    os.set_inheritable(lock, False)
    os.set_inheritable(ready_fd, False)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    os.chdir("/")
    try:
        Supervisor(spec).run(ready_fd)
    except BaseException as error:
        os.write(ready_fd, f"{error}".encode())
        sweep.kill(spec.folder)
        sweep.remove(spec.folder)
        raise
    return 0
