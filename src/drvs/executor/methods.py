"""The ways in which the spawner makes workers, one class each.

    Images   copies of an image of a prepared interpreter          (`images`)
    Forks    forks of a prepared interpreter, kept alive            while it has one thread
    Fresh    an interpreter for each, which prepares itself         always works

One that finds that it cannot work here hands over to the next.
"""

from __future__ import annotations

import _socket
import marshal
import os
import signal
from abc import ABC, abstractmethod
from array import array
from typing import TYPE_CHECKING, ClassVar

from drvs.executor.setup import BOOT, Setup

if TYPE_CHECKING:
    from drvs.executor.spawner import Spawner

#: `seat.Place`, as it travels
Seats = tuple[str, int, int, int]
PACKET_BYTES = 1 << 16
BATCH = 128
#: What the spawner ignores, workers do not.
USUAL = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE)


class Method(ABC):
    """A way to make workers.

    Attributes:
        name: what it is called.
        waiting: ranks of workers that are yet to be made.
    """

    name: ClassVar[str]

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self.waiting: list[int] = []

    def start(self, ranks: list[int]) -> None:
        """Make workers, now or as soon as that is possible."""
        self.waiting += ranks
        self.go_on()

    @property
    def busy(self) -> bool:
        """Whether `go_on` has more to do, and lets others have a turn in between."""
        return False

    @abstractmethod
    def go_on(self) -> None:
        """Make those that wait, if there is what they are made from, and where they are to go."""

    @abstractmethod
    def close(self) -> None:
        """End what is kept for making more."""


def choose(spawner: Spawner) -> Method:
    """Return the method that the caller asked for."""
    wanted = spawner.setup.method
    if wanted == "image":
        from drvs.executor.images import Images

        return Images(spawner)
    return Forks(spawner) if wanted == "fork" else Fresh(spawner)


def launch(spawner: Spawner, role: str, stderr: int, *rest: object, keep: tuple[int, ...] = ()) -> int:
    """Start a fresh interpreter as `role`; it inherits `keep`, stdout, and `stderr` as its own."""
    setup: Setup = spawner.setup
    boot = BOOT.format("fresh")
    command = [setup.python, *setup.flags, "-c", boot, str(spawner.setup_fd), role, *map(str, rest)]
    inherited = (spawner.setup_fd, *keep)
    for fd in inherited:
        os.set_inheritable(fd, True)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, stderr, 2)]
        return os.posix_spawn(
            setup.python, command, os.environ, file_actions=actions, setpgroup=0, setsigdef=USUAL, setsigmask=()
        )
    finally:
        os.close(nothing)
        for fd in inherited:
            os.set_inheritable(fd, False)


class Fresh(Method):
    """An interpreter of its own for every worker."""

    name = "spawn"

    def go_on(self) -> None:
        """Start an interpreter for each."""
        while self.waiting:
            rank = self.waiting.pop(0)
            ours, theirs = os.pipe()
            try:
                pid = launch(self._spawner, "spawn", theirs, rank, *self._spawner.place)
            finally:
                os.close(theirs)
            self._spawner.adopt(rank, pid, ours)

    def close(self) -> None:
        """Nothing is kept."""


class Forks(Method):
    """Forks of a live template; see `forks` for what is said."""

    name = "fork"

    def __init__(self, spawner: Spawner) -> None:
        super().__init__(spawner)
        self._ready = False
        self._sock, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._pid = launch(spawner, "fork", 2, theirs.fileno(), keep=(theirs.fileno(),))
        theirs.close()
        spawner.watch(self._sock.fileno(), self._hear)

    def go_on(self) -> None:
        """Have workers forked."""
        while self.waiting and self._ready:
            ranks, self.waiting = self.waiting[:BATCH], self.waiting[BATCH:]
            self._fork(self._spawner.place, ranks)

    def _fork(self, place: Seats, ranks: list[int]) -> None:
        pipes = [os.pipe() for _ in ranks]
        theirs = array("i", [pipe[1] for pipe in pipes])
        packet = marshal.dumps((place, ranks))
        try:
            self._sock.sendmsg((packet,), [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, theirs)])
            pids = marshal.loads(self._sock.recv(PACKET_BYTES))
        except (OSError, EOFError):
            for pipe in pipes:
                os.close(pipe[0])
            self._lost()
            return
        finally:
            for pipe in pipes:
                os.close(pipe[1])
        for rank, pid, pipe in zip(ranks, pids, pipes, strict=True):
            self._spawner.adopt(rank, pid, pipe[0])

    def _hear(self, _events: int) -> None:
        packet = self._sock.recv(PACKET_BYTES)
        word, why = marshal.loads(packet) if packet else ("lost", "")
        if word == "ready":
            self._ready = True
            self.go_on()
        elif word == "no":
            self.close()
            self._spawner.replace_method(Fresh(self._spawner), why)
        elif word == "failed":
            self._spawner.fail(f"preload or warmup failed:\n{why}")
        else:
            self._lost()

    def _lost(self) -> None:
        self._spawner.forget(self._sock.fileno())
        self._spawner.fail("the interpreter from which workers are forked has ended")

    def close(self) -> None:
        """End the template. It may be in the middle of preparing itself, so it is not asked."""
        if self._sock.fileno() < 0:
            return
        self._spawner.forget(self._sock.fileno())
        self._sock.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
