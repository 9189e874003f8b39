"""The watch over the living: a pidfd for each bound process and thread, or a look at /proc once a second.

A pidfd becomes readable when its process has ended (a PIDFD_THREAD one: when its thread has). Where the kernel has
none, or descriptors run short, the same is found out by scanning: slower, and in slices, so that nobody else waits
for it.
"""

import os
import select
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from drvs.base import features, limits
from drvs.daemon import credentials
from drvs.daemon.bindings import Binding, Kind, Process

if TYPE_CHECKING:
    from drvs.daemon.node import Node


class Watch:
    """Knows of every death, and hands the dead over for burial."""

    def __init__(self, node: "Node", fd_limit: int) -> None:
        self._node = node
        self._fd_limit = fd_limit
        self._has = {name: features.has(name) for name in ("pidfd", "pidfd_thread")}
        self._by_fd: dict[int, Process | Binding] = {}
        self._scanned: dict[int, Process] = {}  # by pid
        self._scanned_threads: dict[int, dict[int, Binding]] = {}  # by pid, by tid
        self._dead: list[Binding] = []
        self._scan: Iterator[None] | None = None

    # ---- who is watched ------------------------------------------------------------------------------------------

    def add(self, binding: Binding) -> None:
        """Watch the owner of a binding."""
        process = binding.process
        if process.pidfd < 0 and process.pid not in self._scanned:
            self._add_process(process)
        if binding.kind is Kind.THREAD:
            self._add_thread(binding)

    def remove(self, binding: Binding) -> None:
        """Stop watching for this binding; the process is forgotten with its last one."""
        if binding.pidfd >= 0:
            self._close(binding.pidfd)
            binding.pidfd = -1
        threads = self._scanned_threads.get(binding.process.pid)
        if threads is not None and threads.get(binding.tid) is binding:
            del threads[binding.tid]
            if not threads:
                del self._scanned_threads[binding.process.pid]
        if not binding.process.bindings:
            self._remove_process(binding.process)

    def is_same(self, process: Process) -> bool:
        """Say whether the pid is still that process's."""
        if process.pidfd < 0:
            return self._is_as_old(process)
        poll = select.poll()
        poll.register(process.pidfd, select.POLLIN)
        return not poll.poll(0)

    def _is_as_old(self, process: Process) -> bool:
        start = credentials.start_of(process.pid)
        return start == process.start if start is not None else _has_threads(process.pid)

    def counts(self) -> dict[str, int]:
        """Return how many are watched which way."""
        threads = sum(map(len, self._scanned_threads.values()))
        return {"pidfds": len(self._by_fd), "scanned": len(self._scanned) + threads}

    def _add_process(self, process: Process) -> None:
        process.pidfd = self._open(process.pid, "pidfd", 0)
        if process.pidfd < 0:
            self._scanned[process.pid] = process
        elif self._is_as_old(process):
            self._by_fd[process.pidfd] = process
            self._node.loop.watch(process.pidfd, self._process_died)
        else:  # it ended, and the pid may be another's already
            os.close(process.pidfd)
            process.pidfd = -1
            self._scanned[process.pid] = process
            self._bury(process.bindings.values())

    def _add_thread(self, binding: Binding) -> None:
        binding.pidfd = self._open(binding.tid, "pidfd_thread", features.PIDFD_THREAD)
        if binding.pidfd < 0:
            self._scanned_threads.setdefault(binding.process.pid, {})[binding.tid] = binding
            return
        self._by_fd[binding.pidfd] = binding
        self._node.loop.watch(binding.pidfd, self._thread_died)
        if credentials.start_of(binding.process.pid, binding.tid) != binding.start:
            self._bury([binding])

    def _remove_process(self, process: Process) -> None:
        if process.pidfd >= 0:
            self._close(process.pidfd)
            process.pidfd = -1
        self._scanned.pop(process.pid, None)

    def _open(self, number: int, feature: str, flags: int) -> int:
        """A pidfd, or -1: look at /proc instead."""
        if not self._has[feature] or len(self._node.loop) + limits.FD_RESERVE >= self._fd_limit:
            return -1
        try:
            return os.pidfd_open(number, flags)
        except OSError:
            return -1

    def _close(self, fd: int) -> None:
        del self._by_fd[fd]
        self._node.loop.forget(fd)
        os.close(fd)

    # ---- deaths ---------------------------------------------------------------------------------------------------

    def _process_died(self, fd: int, _events: int) -> None:
        process = self._by_fd[fd]
        assert isinstance(process, Process)
        self._node.loop.forget(fd)  # stays readable: once is enough
        self._bury(process.bindings.values())

    def _thread_died(self, fd: int, _events: int) -> None:
        binding = self._by_fd[fd]
        assert isinstance(binding, Binding)
        self._node.loop.forget(fd)
        self._bury([binding])

    def _bury(self, bindings: Iterable[Binding]) -> None:
        if not self._dead:
            self._node.loop.work(self._bury_some)
        self._dead.extend(bindings)

    def _bury_some(self) -> bool:
        """A slice of the burials: a process may have had ten thousand endpoints."""
        some, self._dead = self._dead[: limits.REAP_SLICE], self._dead[limits.REAP_SLICE :]
        for binding in some:
            self._node.book.bury(binding)
        return bool(self._dead)

    # ---- scanning ------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Start a scan, once a second, unless the last one still runs or there is nothing to scan."""
        if self._scan is None and (self._scanned or self._scanned_threads):
            self._scan = self._scanning()
            self._node.loop.work(self._scan_some)

    def _scan_some(self) -> bool:
        assert self._scan is not None
        try:
            for _ in range(limits.REAP_SLICE):
                next(self._scan)
            return True
        except StopIteration:
            self._scan = None
        except OSError as error:  # noded is short of descriptors: nobody is dead because of that
            self._scan = None
            self._node.log.note(f"the scan for dead processes failed: {error}")
        return False

    def _scanning(self) -> Iterator[None]:
        for process in list(self._scanned.values()):
            if not self._is_as_old(process):
                self._bury(process.bindings.values())
            yield
        for pid in list(self._scanned_threads):
            alive = _threads_of(pid)
            for tid, binding in list(self._scanned_threads.get(pid, {}).items()):
                if tid not in alive or credentials.start_of(pid, tid) != binding.start:
                    self._bury([binding])
                yield


def _threads_of(pid: int) -> frozenset[int]:
    try:
        return frozenset(map(int, os.listdir(f"/proc/{pid}/task")))
    except (FileNotFoundError, ProcessLookupError):
        return frozenset()


def _has_threads(pid: int) -> bool:
    """Say whether a process lives on although its first thread has ended (which looks like a zombie)."""
    return len(_threads_of(pid)) > 1
