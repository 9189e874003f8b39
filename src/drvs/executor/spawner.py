"""The spawner: the one child of the caller, and the parent of all workers.

It starts workers when told to, reaps them, passes on what they say on stderr, and ends them all when the caller ends,
however that happens. It holds no call and no result: killed, it takes the workers with it (they ask for that), and the
executor breaks.

    caller:    ("start", [rank, …])   ("kill", rank)
               ("end", [rank, …])     these end by themselves, the others are killed
    spawner:   ("method", name, why)  ("started", [(rank, pid), …])
               ("died", rank, pid, status, last words)  ("failed", why)

One packet each, by marshal: both ends are the same interpreter, and nothing needs to be imported.
"""

from __future__ import annotations

import _socket
import gc
import marshal
import os
import select
import signal
from collections.abc import Callable
from typing import Any

from drvs.executor import burial, kinship
from drvs.executor.burial import Undertaker
from drvs.executor.methods import USUAL, Method, Seats, choose
from drvs.executor.offspring import Offspring
from drvs.executor.setup import Setup, read

PACKET_BYTES = 1 << 17
#: Workers that fit into a packet.
STARTED_MAX = 2048


class Spawner:
    """Its loop, and what it knows of each worker."""

    def __init__(self, setup: Setup, setup_fd: int, control: int, caller: int) -> None:
        self.setup = setup
        self.setup_fd = setup_fd
        self._control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, control)
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._workers: dict[int, Offspring] = {}
        self._started: list[tuple[int, int]] = []  # of whom the caller has not been told
        self._ending = False
        runtime_dir, number, inlet = setup.address
        self.place: Seats = runtime_dir, number, inlet, os.getpid()
        self._undertaker = None if runtime_dir else Undertaker(number)
        self.watch(control, self._hear)
        self.watch(os.pidfd_open(caller), self._orphaned)
        self.method: Method = choose(self)

    # ---- for the methods -----------------------------------------------------------------------------------------

    def watch(self, fd: int, handler: Callable[[int], None]) -> None:
        """Call `handler(events)` whenever there is something to read, or an end."""
        self._handlers[fd] = handler
        self._poll.register(fd, select.POLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching; call it before closing the descriptor."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def tell(self, *words: Any) -> None:
        """Tell the caller."""
        try:
            self._control.send(marshal.dumps(words))
        except OSError:
            self._finish()

    def adopt(self, rank: int, pid: int, stderr: int) -> None:
        """Look after a worker that has been started."""
        worker = self._workers[rank] = Offspring(rank, pid, stderr)
        self.watch(worker.pidfd, lambda _: self._bury(worker))
        self.watch(stderr, lambda events: self._listen(worker, events))
        self._started.append((rank, pid))

    def replace_method(self, method: Method, why: str) -> None:
        """Go on with another method, since this one does not work here."""
        waiting, self.method = self.method.waiting, method
        self.tell("method", method.name, why)
        method.start(waiting)

    def fail(self, why: str) -> None:
        """Tell the caller that no worker can ever be started."""
        self.tell("failed", why)

    # ---- events --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the caller has no more use for it."""
        self.tell("method", self.method.name, "")
        while not (self._ending and not self._workers):
            for fd, events in self._poll.poll(self._patience_ms()):
                handler = self._handlers.get(fd)
                if handler is not None:
                    handler(events)
            if self._undertaker is not None:
                self._undertaker.go_on()
            if self.method.busy:
                self.method.go_on()
            self._tell_started()
        self.method.close()

    def _tell_started(self) -> None:
        while self._started:
            some, self._started = self._started[:STARTED_MAX], self._started[STARTED_MAX:]
            self.tell("started", some)

    def _patience_ms(self) -> int | None:
        if self.method.busy:
            return 0
        return burial.RETRY_MS if self._undertaker is not None and self._undertaker.due else None

    def _hear(self, _events: int) -> None:
        packet = self._control.recv(PACKET_BYTES)
        if not packet:
            self._finish()
        word, *rest = marshal.loads(packet)
        getattr(self, f"_on_{word}")(*rest)

    def _on_start(self, ranks: list[int]) -> None:
        self.method.start(ranks)

    def _on_kill(self, rank: int) -> None:
        if rank in self._workers:
            self._workers[rank].kill()

    def _on_end(self, spared: list[int]) -> None:
        self._ending = True
        self.method.close()
        for worker in self._workers.values():
            if worker.rank not in spared:
                worker.kill()

    def _listen(self, worker: Offspring, events: int) -> None:
        if not worker.listen() and events & (select.POLLHUP | select.POLLERR):
            self.forget(worker.stderr)

    def _bury(self, worker: Offspring) -> None:
        pidfd, stderr = worker.pidfd, worker.stderr
        buried = worker.bury()
        if buried is None:
            return  # the poll comes back at once
        self.forget(pidfd)
        self.forget(stderr)
        del self._workers[worker.rank]
        if self._undertaker is not None and not self._ending:
            self._undertaker.bury(worker.rank, worker.pid)
        self._tell_started()  # first
        self.tell("died", worker.rank, worker.pid, *buried)

    def _orphaned(self, _events: int) -> None:
        self._finish()

    def _finish(self) -> None:
        """The caller is gone: nobody must stay."""
        for worker in self._workers.values():
            worker.kill()
        self.method.close()
        os._exit(0)


def main(fields: tuple[Any, ...], setup_fd: str, control: str, caller: str) -> None:
    """Be the spawner; BOOT calls this."""
    gc.disable()  # what it makes lives as long as itself, or goes by its count
    for number in USUAL:
        signal.signal(number, signal.SIG_IGN)
    setup = read(fields)
    inherited = [int(setup_fd), int(control)] if setup.address[0] else [int(setup_fd), int(control), setup.address[1]]
    for fd in inherited:
        os.set_inheritable(fd, False)
    os.setpgid(0, 0)
    kinship.adopt_orphans()
    if os.getppid() == int(caller):
        Spawner(setup, int(setup_fd), int(control), int(caller)).run()
