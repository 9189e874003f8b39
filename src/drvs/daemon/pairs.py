"""Proxy pairs: the processes that carry what goes to other nodes, and the watch over them.

A pair is two processes, or threads, or one that is both. When one of them ends, the pair is nobody's, the other gets
SIGPIPE, and whatever was under way through it ends with NOPROXY. Who they are stands here and in the table, which
survives noded; no region is asked.
"""

import os
import signal
from typing import TYPE_CHECKING

from drvs.base import features, limits
from drvs.base.codes import Code
from drvs.base.flags import Connection, PairFlag
from drvs.daemon import credentials, ledger, procfiles
from drvs.daemon.refusal import Refused
from drvs.daemon.table import FREE_PAIR, PairRecord

if TYPE_CHECKING:
    from drvs.daemon.node import Node

#: What each status of a connection sets, and what it clears.
_CHANGES = {
    Connection.CONNECT_SENDER: (PairFlag.SCONNECTED, PairFlag(0)),
    Connection.CONNECT_RECEIVER: (PairFlag.RCONNECTED, PairFlag(0)),
    Connection.DISCONNECT_SENDER: (PairFlag(0), PairFlag.SCONNECTED),
    Connection.DISCONNECT_RECEIVER: (PairFlag(0), PairFlag.RCONNECTED),
}


def changed(flags: PairFlag, status: Connection) -> PairFlag:
    """Return what is true of a connection after one of its ends has told its status."""
    sets, clears = _CHANGES[status]
    return (flags | sets) & ~clears


class Proxy:
    """A process, or one thread of it, that is half of a pair."""

    __slots__ = ("pid", "pidfds", "start", "tid")

    def __init__(self, pid: int, tid: int, start: int) -> None:
        self.pid = pid
        self.tid = tid
        self.start = start  # of the thread, if it is one
        self.pidfds: list[int] = []

    @property
    def is_thread(self) -> bool:
        """Whether it is a thread and not the whole process."""
        return self.tid != self.pid

    @property
    def alive(self) -> bool:
        """Whether the very process that was registered still runs."""
        return credentials.start_of(self.pid, self.tid if self.is_thread else 0) == self.start


class Pair:
    """A pair that is in use."""

    __slots__ = ("bell", "flags", "name", "px", "receiver", "sender", "serial")

    def __init__(self, px: int, name: str, sender: Proxy, receiver: Proxy, serial: int = 0) -> None:
        self.px = px
        self.name = name
        self.sender = sender
        self.receiver = receiver
        self.serial = serial  # tells it from an earlier pair of that number
        self.flags = PairFlag.INUSE
        self.bell = -1  # counts up when there is a VM to attach or to forget

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """Its processes, each once."""
        same = (self.sender.pid, self.sender.tid) == (self.receiver.pid, self.receiver.tid)
        return (self.sender,) if same else (self.sender, self.receiver)

    def has_process(self, pid: int) -> bool:
        """Say whether a process is one of its proxies."""
        return pid in (self.sender.pid, self.receiver.pid)

    def text(self) -> str:
        """How noded's log names it."""
        return f"proxy pair {self.px} ({self.name!r}, processes {self.sender.pid} and {self.receiver.pid})"

    def to_record(self) -> PairRecord:
        """Return what the table stores."""
        ours = [(proxy.pid, proxy.tid, proxy.start) for proxy in (self.sender, self.receiver)]
        return PairRecord(self.flags, *ours[0], *ours[1], self.serial, self.name.encode())


class Pairs:
    """All pairs of the node, by number."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.in_use: dict[int, Pair] = {}
        self._by_fd: dict[int, tuple[Pair, Proxy]] = {}

    # ---- finding -------------------------------------------------------------------------------------------------

    def check_number(self, px: int) -> None:
        """Refuse (BADNODEID) what cannot be the number of a pair."""
        if not 0 <= px < self._node.size.nr_pairs:
            raise Refused(Code.BADNODEID, f"proxy pair {px} is not in 0…{self._node.size.nr_pairs - 1}")

    def get(self, px: int, free: Code) -> Pair:
        """Return a pair that is in use.

        Raises:
            Refused: BADNODEID, `free` if nobody has it.
        """
        self.check_number(px)
        pair = self.in_use.get(px)
        if pair is None:
            raise Refused(free, f"proxy pair {px} is nobody's: bind its proxies first")
        return pair

    def has_process(self, pid: int) -> bool:
        """Say whether a process is a proxy."""
        return any(pair.has_process(pid) for pair in self.in_use.values())

    # ---- in and out ------------------------------------------------------------------------------------------------

    def bind(self, pair: Pair) -> None:
        """Register a pair that has been judged.

        Raises:
            Refused: NOTDIR, BADF, NOMEM; nothing is registered then.
        """
        pair.serial = self._node.next_serial()
        procfiles.create_folder(self._node.runtime_dir, pair.name, "proxies/info")
        try:
            self._make_tools(pair)
        except OSError as error:
            self._forget_files(pair)
            raise Refused(Code.NOMEM, f"what the pair works with cannot be kept: {error}") from None
        self.save(pair)
        self.in_use[pair.px] = pair
        self._node.log.note(f"{pair.text()} is registered")
        for proxy in pair.proxies:
            self._watch(pair, proxy)

    def _make_tools(self, pair: Pair) -> None:
        node = self._node
        pair.bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        node.store.put(bell_name(pair.px), pair.bell)
        if node.ledger.fd < 0:
            node.ledger.create()
            node.store.put(ledger.NAME, node.ledger.fd)

    def adopt(self, px: int, record: PairRecord, bell: int | None) -> None:
        """Take over a pair that a predecessor had registered."""
        sender = Proxy(record.sender_pid, record.sender_tid, record.sender_start)
        receiver = Proxy(record.receiver_pid, record.receiver_tid, record.receiver_start)
        pair = Pair(px, record.name.rstrip(b"\0").decode(errors="replace"), sender, receiver, record.serial)
        pair.flags = PairFlag(record.flags)
        pair.bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) if bell is None else bell
        self._node.store.put(bell_name(px), pair.bell)
        self.in_use[px] = pair
        for proxy in pair.proxies:
            self._watch(pair, proxy)
        ring(pair.bell)

    def unbind(self, pair: Pair) -> None:
        """Forget a pair: its nodes have no proxies any more, and what is under way there ends with NOPROXY."""
        if self.in_use.pop(pair.px, None) is None:
            return
        self._node.table.write_pair(pair.px, FREE_PAIR)
        for proxy in pair.proxies:
            self._unwatch(proxy)
        self._node.peers.lose(pair.px)
        for vm in list(self._node.vms.values()):
            self._node.routes.bury_proxy(vm, pair.px)
        self._forget_files(pair)
        ring(pair.bell)
        self._node.log.note(f"{pair.text()} is registered no longer")
        os.close(pair.bell)

    def _forget_files(self, pair: Pair) -> None:
        procfiles.remove_folder(self._node.runtime_dir, pair.name)
        self._node.store.drop(bell_name(pair.px))

    def end(self, spare: int) -> None:
        """Forget all of them; everyone but process `spare` gets SIGPIPE."""
        for pair in list(self.in_use.values()):
            for proxy in pair.proxies:
                if proxy.pid != spare:
                    self._signal(proxy)
            self.unbind(pair)

    def save(self, pair: Pair) -> None:
        """Store a pair for the next noded."""
        self._node.table.write_pair(pair.px, pair.to_record())

    def ring_all(self) -> None:
        """Tell all proxies that a VM has come or gone."""
        for pair in self.in_use.values():
            ring(pair.bell)

    # ---- deaths ----------------------------------------------------------------------------------------------------

    def _watch(self, pair: Pair, proxy: Proxy) -> None:
        """A pidfd of the process, and one of the thread where there can be; `tick` looks after the rest."""
        wanted = [("pidfd", proxy.pid, 0)]
        if proxy.is_thread:
            wanted.append(("pidfd_thread", proxy.tid, features.PIDFD_THREAD))
        for feature, number, flags in wanted:
            if not features.has(feature):
                continue
            try:
                fd = os.pidfd_open(number, flags)
            except OSError:
                continue
            proxy.pidfds.append(fd)
            self._by_fd[fd] = pair, proxy
            self._node.loop.watch(fd, self._died)
        if not proxy.alive:
            self._node.loop.after_ms(0, lambda: self.bury(pair, proxy))

    def _unwatch(self, proxy: Proxy) -> None:
        for fd in proxy.pidfds:
            self._by_fd.pop(fd, None)
            self._node.loop.forget(fd)
            os.close(fd)
        proxy.pidfds = []

    def _died(self, fd: int, _events: int) -> None:
        pair, proxy = self._by_fd[fd]
        self.bury(pair, proxy)

    def bury(self, pair: Pair, dead: Proxy) -> None:
        """One of a pair has ended: the other one gets SIGPIPE, if it is another process."""
        if self.in_use.get(pair.px) is not pair:
            return
        self._node.log.note(f"proxy {dead.tid} has ended")
        for proxy in pair.proxies:
            if proxy.pid != dead.pid:
                self._signal(proxy)
        self.unbind(pair)

    def _signal(self, proxy: Proxy) -> None:
        try:
            if proxy.pidfds:
                signal.pidfd_send_signal(proxy.pidfds[0], signal.SIGPIPE)
            elif proxy.alive:
                os.kill(proxy.pid, signal.SIGPIPE)
        except OSError as error:
            self._node.log.note(f"proxy {proxy.pid} could not be signalled: {error.strerror}")

    def tick(self) -> None:
        """Look, once a second, after those that no pidfd watches."""
        for pair in list(self.in_use.values()):
            for proxy in pair.proxies:
                if len(proxy.pidfds) < 1 + proxy.is_thread and not proxy.alive:
                    self.bury(pair, proxy)


def find_proxy(pid: int) -> Proxy:
    """Return a process or thread of this host as a proxy.

    Raises:
        Refused: BADPID, it is not running.
    """
    seen = credentials.look_at(pid) if 0 < pid <= limits.MAX_PID else None
    if seen is None or not seen.alive or seen.nested:
        raise Refused(Code.BADPID, f"process {pid} is not running in noded's pid namespace")
    return Proxy(seen.pid, pid, seen.start)


def bell_name(px: int) -> str:
    """Return the name under which a pair's eventfd is kept."""
    return f"pair-{px}"


def ring(fd: int) -> None:
    """Count an eventfd up; one that is full rings already."""
    try:
        os.eventfd_write(fd, 1)
    except BlockingIOError:
        pass
