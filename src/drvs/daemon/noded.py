"""noded's life: take over what is kept, serve, end.

How it ends decides what stays:

    drvs down, SIGTERM, SIGINT          the VMs end, the keeper ends, the directory is left empty drvs down --keep,
    SIGKILL, a crash  everything stays for the next noded, and IPC goes on meanwhile SIGTERM under systemd's store
    the same: a restart looks no different to noded (`drvs down` ends the node)
"""

import os
import resource
import signal
import socket
from collections.abc import Callable

from drvs.base import features, limits, paths
from drvs.daemon import notify, recovery, runtime, server
from drvs.daemon.log import LogFile
from drvs.daemon.loop import HANGUP, Loop
from drvs.daemon.node import Node, NodeLimits
from drvs.daemon.store import TABLE, AnyStore, KeeperStore, SystemdStore
from drvs.daemon.table import BindTable


class Noded:
    """One run of the daemon."""

    def __init__(self, runtime_dir: str, store: AnyStore, held: dict[str, int]) -> None:
        self.runtime_dir = runtime_dir
        self.store = store
        supervised = isinstance(store, SystemdStore)
        self.log = LogFile(None if supervised else os.path.join(runtime_dir, paths.LOG))
        self.loop = Loop(self.log.failure)
        kept = held.pop(TABLE, None)
        table = self._open_table(kept)
        self.node = Node(runtime_dir, self.loop, self.log, store, table, raise_fd_limit())
        self.server: server.Server | None = None
        self.store.put(TABLE, table.fd)
        recovery.adopt(self.node, held)

    def _open_table(self, kept: int | None) -> BindTable:
        try:
            return BindTable.create() if kept is None else BindTable.adopt(kept)
        except ValueError as error:
            hint = "end the old node with `drvs gc --all`, or start it with the version that it had"
            raise ValueError(f"{error}: {hint}") from None

    def init(self, number: int, size: NodeLimits) -> None:
        """Initialise the node, unless its predecessor had."""
        if self.node.limits is None:
            self.node.init(number, size, 0)

    def serve(self, ready: Callable[[], None]) -> None:
        """Let clients in, say so, and run until something ends it."""
        self._catch_signals()
        self.server = server.Server(self.node, server.listen(self.runtime_dir))
        if isinstance(self.store, KeeperStore):
            self.loop.watch(self.store.fileno(), self._keeper_died, HANGUP)
        self._warn_of_typing_errors()
        self._tick()
        self.log.note(f"noded {os.getpid()} serves {self.runtime_dir}")
        ready()
        self.loop.run()

    def end(self) -> None:
        """End, as the table above says."""
        notify.stopping()
        if self.server is not None:
            self.server.close()
        if self.node.keeps:
            os.unlink(os.path.join(self.runtime_dir, paths.SOCKET))
            self.log.note("noded ends; the VMs go on and wait for the next one")
            return
        if self.node.limits is not None:
            self.node.end()
        self.log.note("noded ends, and the node with it")
        if isinstance(self.store, KeeperStore):
            self.loop.forget(self.store.fileno())
        self.store.drop(TABLE)
        self.store.quit()
        runtime.tidy(self.runtime_dir)

    # ---- events ----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self.loop.after_ms(limits.TICK_MS, self._tick)
        self.node.watch.tick()
        self.node.watchdog.tick()
        self.node.pairs.tick()
        self.node.links.tick()

    def _catch_signals(self) -> None:
        reader, writer = socket.socketpair()
        for sock in (reader, writer):
            sock.setblocking(False)
        self._signal_pipe = reader, writer
        signal.set_wakeup_fd(writer.fileno())
        self.loop.watch(reader.fileno(), self._on_signal)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _on_signal(self, _fd: int, _events: int) -> None:
        numbers = self._signal_pipe[0].recv(64)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.node.keeps = self.node.keeps or isinstance(self.store, SystemdStore)
            self.loop.stop()

    def _keeper_died(self, fd: int, _events: int) -> None:
        assert isinstance(self.store, KeeperStore)
        self.loop.forget(fd)
        self.store.revive()
        self.loop.watch(self.store.fileno(), self._keeper_died, HANGUP)

    def _warn_of_typing_errors(self) -> None:
        for variable, names in (("DRVS_DISABLE", features.unknown_names()), ("DRVS_LIMITS", limits.unknown_names())):
            if names:
                self.log.note(f"{variable} has names that mean nothing: {', '.join(names)}")


def raise_fd_limit() -> int:
    """Take all the descriptors that may be had (a pidfd for each process); returns how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (_most_fds() if os.geteuid() == 0 else hard, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return wanted
        except (OSError, ValueError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _most_fds() -> int:
    try:
        with open("/proc/sys/fs/nr_open") as file:
            return int(file.read())
    except OSError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
