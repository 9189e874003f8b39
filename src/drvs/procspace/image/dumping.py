"""Dump: from a running process to a stream, the process being stopped meanwhile and unharmed whatever happens to us."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from drvs.procspace.image import descriptors, library, machine, maps, model, procfile, refusals, state
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.format import Kind, Writer
from drvs.procspace.image.hooked import Waiting, hooks_run
from drvs.procspace.image.library import DUMP_ALL
from drvs.procspace.image.recorder import Layout, Progress, Run, describe, write_contents, write_pages
from drvs.procspace.image.snapshot import refuse_not_forked
from drvs.procspace.image.standing import Standing
from drvs.procspace.image.tracer import Gone, Tracer
from drvs.procspace.image.tracing import trace


@dataclass(frozen=True)
class Dumped:
    """What a dump did: threads, bytes of pages and of the whole image, and for how long the process stood still."""

    pid: int
    threads: int
    page_bytes: int
    image_bytes: int
    paused_s: float
    hooks: str = "none"
    """Of drvs.hooks: "none" (it has not imported that), "run", or "left out"."""


@dataclass(frozen=True)
class Options:
    """How to dump: see `dump`."""

    stop: bool = False
    close_fds: bool = False
    no_descriptors: bool = False
    snapshot: bool = False
    exempt: Collection[int] = ()
    hooks: bool = True
    hook_timeout_s: float = 10.0
    waits_at: int = 0
    progress: Progress | None = None
    wanted: Callable[[str], bool] = lambda _name: False
    """Says of a mapped file whether its contents belong into the image."""
    tracer: Tracer | None = None
    """Stops it, if not as is usual."""


def dump(
    pid: int,
    fd: int,
    *,
    stop: bool = False,
    everything: bool = False,
    close_fds: bool = False,
    no_descriptors: bool = False,
    snapshot: bool = False,
    exempt: Collection[int] = (),
    hooks: bool = True,
    hook_timeout_s: float = 10.0,
    waits_at: int = 0,
    flags: int = 0,
    progress: Progress | None = None,
) -> Dumped:
    """Write the image of a running process to a descriptor.

    Returns when the image is complete; the process has stood still meanwhile, and runs on. Who dies during a dump takes
    the dump along, but never the process. A thread of the caller does it; `dump_apart` is for callers with other
    threads that wait for any child, which would see the process stop.

    Args:
        pid: the process; all its threads are dumped.
        fd: any descriptor that can be written, a pipe included.
        stop: end the process once the image is complete and synced.
        everything: put pages of files in too, so that no file is needed (or checked) at the restore.
        close_fds: put dead placeholders where descriptors cannot be kept, instead of refusing.
        no_descriptors: keep none: the standard streams are the restorer's.
        snapshot: let the process go on as soon as a duplicate of it has been forked, and read from that.
        exempt: children of the process that do not matter.
        hooks: let a process that has imported `drvs.hooks` run them before; False leaves them out.
        hook_timeout_s: how long they may take.
        waits_at: address of the mailbox of a process that waits there already, as it dumps itself.
        flags: which files' contents go into the image, if not all: see `dump_self`.
        progress: told how far it is, in the thread that dumps.

    Raises:
        Refused: the process has, or is, what an image cannot keep; or ptrace is not permitted.
        OSError: the image could not be written.
    """
    if stop and snapshot:
        raise ValueError("a process that is to end needs no snapshot")
    options = Options(
        stop,
        close_fds,
        no_descriptors,
        snapshot,
        exempt,
        hooks,
        hook_timeout_s,
        waits_at,
        progress,
        library.contents_wanted(DUMP_ALL if everything else flags, procfile.link(pid, "exe")),
    )
    machine.blob()
    refusals.check(pid, exempt)
    try:
        with hooks_run(pid, hooks, hook_timeout_s, waits_at) as waiting:
            work = Work(pid, Writer(fd), options, waiting)
            return trace(work.from_snapshot if snapshot else work.standing_still, work.tracer.collect_dead)
    except (Gone, ProcessLookupError):
        raise Refused(f"process {pid} ended while it was being dumped.") from None


class Work:
    """One dump."""

    def __init__(self, pid: int, writer: Writer, options: Options, waiting: Waiting) -> None:
        self.pid, self.writer, self.options, self.waiting = pid, writer, options, waiting
        self.tracer = options.tracer or Tracer(pid)

    def standing_still(self) -> Dumped:
        """Write the image while the process stands."""
        with self._stopped() as standing:
            layout = self._layout(standing, maps.read(self.pid))
            asked = standing.ask(layout.vmas)
            if standing.removed:
                layout = self._layout(standing, maps.read(self.pid))
            runs = layout.find_pages(self.pid)
            meta = self._describe(standing, self.pid, standing.memory, layout, asked)
            self._begin(meta)
            write_contents(self.writer, standing.open_files, standing.found)
            page_bytes = self._pages(self.pid, standing.memory, runs)
            if self.options.stop:
                self._end(standing.pidfd)
            else:
                self.waiting.goes_on(standing.memory, self.writer.nbytes)
        return self._done(meta, page_bytes, standing.tracer)

    def from_snapshot(self) -> Dumped:
        """Write the image from a duplicate while the process runs on."""
        program = procfile.content(self.pid, "auxv")
        before = maps.read(self.pid)
        refuse_not_forked(self.pid, before)
        with ExitStack() as stack:
            apart = stack.enter_context(open(os.memfd_create("drvs-contents"), "r+b", buffering=0)).fileno()
            with self._stopped() as standing:
                stack.callback(standing.end_snapshot)
                if procfile.content(self.pid, "auxv") != program:
                    raise Refused(f"process {self.pid} executed another program meanwhile.", "Try again.")
                write_contents(Writer(apart), standing.open_files, standing.found)
                asked = standing.ask(before, duplicate=True)
                self.waiting.goes_on(standing.memory)
            meta, page_bytes = self._write_from(standing, asked, before, apart)
        return self._done(meta, page_bytes, standing.tracer)

    def _write_from(
        self, standing: Standing, asked: state.Asked, before: list[maps.Vma], apart: int
    ) -> tuple[model.Meta, int]:
        """Write the image from the duplicate; `apart` is the file with what waited in descriptors."""
        assert standing.snapshot is not None
        source, area = standing.snapshot.pid, standing.snapshot.area
        layout = self._layout(standing, maps.without(maps.read(source), *area))
        layout.lock_again(before)
        runs = layout.find_pages(source)
        with procfile.opened(f"/proc/{source}/mem", os.O_RDWR) as memory:
            meta = self._describe(standing, source, memory, layout, asked)
            self._begin(meta)
            self.writer.append(apart)
            return meta, self._pages(source, memory, runs)

    # ---- parts of both -----------------------------------------------------------------------------------------------

    @contextmanager
    def _stopped(self) -> Iterator[Standing]:
        """Stop the process, and look at what it has open."""
        with (
            procfile.pidfd(self.pid) as pidfd,
            self.tracer as tracer,
            # Not before it is stopped: a program executed meanwhile has another memory.
            procfile.opened(f"/proc/{self.pid}/mem", os.O_RDWR) as memory,
        ):
            refusals.check_stopped(self.pid, self.options.exempt)
            self.waiting.check(memory)
            standing = Standing(tracer, memory, pidfd)
            if not self.options.no_descriptors:
                standing.look_at_descriptors(self.options.close_fds)
            yield standing

    def _layout(self, standing: Standing, vmas: list[maps.Vma]) -> Layout:
        return Layout(self.pid, vmas, standing.open_files, self.options.wanted)

    def _describe(self, standing: Standing, source: int, memory: int, layout: Layout, asked: state.Asked) -> model.Meta:
        meta = describe(self.pid, source, memory, layout, asked)
        none_kept = self.options.no_descriptors
        meta.open_files = descriptors.standard_streams() if none_kept else standing.open_files
        meta.mailbox, meta.hooked = self.waiting.address, self.waiting.hooked
        return meta

    def _begin(self, meta: model.Meta) -> None:
        self.writer.header()
        self.writer.meta(meta)

    def _pages(self, source: int, memory: int, runs: list[Run]) -> int:
        page_bytes = write_pages(self.writer, source, memory, runs, self.options.progress)
        self.writer.record(Kind.END, page_bytes)
        return page_bytes

    def _end(self, pidfd: int) -> None:
        """The image is complete: sync it, then end the process."""
        try:
            os.fsync(self.writer.fd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a pipe cannot be synced
                raise
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _done(self, meta: model.Meta, page_bytes: int, tracer: Tracer) -> Dumped:
        hooks = "run" if meta.hooked else "left out" if meta.mailbox else "none"
        return Dumped(self.pid, len(meta.threads), page_bytes, self.writer.nbytes, tracer.until - tracer.since, hooks)
