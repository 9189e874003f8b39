"""Dump: from a running process to a stream, the process being stopped meanwhile and unharmed whatever happens to us."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from drvs.procspace.image import machine, maps, model, procfile, refusals, state
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.format import Kind, Writer
from drvs.procspace.image.recorder import Layout, Progress, describe, write_contents, write_pages
from drvs.procspace.image.snapshot import Snapshot
from drvs.procspace.image.standing import Standing
from drvs.procspace.image.tracer import Gone, Tracer


@dataclass(frozen=True)
class Dumped:
    """What a dump did: threads, bytes of pages and of the whole image, and for how long the process stood still."""

    pid: int
    threads: int
    page_bytes: int
    image_bytes: int
    paused_s: float


@dataclass(frozen=True)
class Options:
    """How to dump: see `dump`."""

    stop: bool = False
    everything: bool = False
    close_fds: bool = False
    no_descriptors: bool = False
    snapshot: bool = False
    exempt: Collection[int] = ()
    progress: Progress | None = None


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
    progress: Progress | None = None,
) -> Dumped:
    """Write the image of a running process to a descriptor.

    Returns when the image is complete; the process has stood still meanwhile, and runs on. Call it from one thread of a
    process of its own where you can: who dies during a dump takes the dump along, but never the process.

    Args:
        pid: the process; all its threads are dumped.
        fd: any descriptor that can be written, a pipe included.
        stop: end the process once the image is complete and synced.
        everything: put pages of files in too, so that no file is needed (or checked) at the restore.
        close_fds: put dead placeholders where descriptors cannot be kept, instead of refusing.
        no_descriptors: keep none at all, the standard streams included.
        snapshot: let the process go on as soon as a duplicate of it has been forked, and read from that.
        exempt: children of the process that do not matter.
        progress: told how far it is.

    Raises:
        Refused: the process has, or is, what an image cannot keep; or ptrace is not permitted.
        OSError: the image could not be written.
    """
    if stop and snapshot:
        raise ValueError("a process that is to end needs no snapshot")
    options = Options(stop, everything, close_fds, no_descriptors, snapshot, exempt, progress)
    machine.blob()
    refusals.check(pid, exempt)
    try:
        return (_from_snapshot if snapshot else _standing_still)(pid, Writer(fd), options)
    except (Gone, ProcessLookupError):
        raise Refused(f"process {pid} ended while it was being dumped.") from None


# ---- while it stands -------------------------------------------------------------------------------------------------


def _standing_still(pid: int, writer: Writer, options: Options) -> Dumped:
    with _stopped(pid, options) as (standing, started):
        layout = _layout(pid, standing, options)
        asked = standing.ask(layout.vmas)
        if standing.removed:
            layout = _layout(pid, standing, options)
        runs = layout.find_pages(pid)
        meta = describe(pid, pid, standing.memory, layout, asked)
        meta.open_files = standing.open_files
        writer.header()
        writer.meta(meta)
        write_contents(writer, standing.open_files, standing.found)
        page_bytes = write_pages(writer, pid, standing.memory, runs, options.progress)
        writer.record(Kind.END, page_bytes)
        paused = time.monotonic() - started
        if options.stop:
            _end(writer.fd, standing.pidfd)
    return Dumped(pid, len(meta.threads), page_bytes, writer.nbytes, paused)


def _layout(pid: int, standing: Standing, options: Options) -> Layout:
    return Layout(pid, maps.read(pid), standing.open_files, options.everything)


@contextmanager
def _stopped(pid: int, options: Options) -> Iterator[tuple[Standing, float]]:
    """Stop a process, and look at what it has open; gives it, and when it was stopped."""
    with (
        procfile.pidfd(pid) as pidfd,
        _traced(pid) as (tracer, started),
        # Not before it is stopped: a program executed meanwhile has another memory.
        procfile.opened(f"/proc/{pid}/mem", os.O_RDWR) as memory,
    ):
        refusals.check_stopped(pid, options.exempt)
        state.refuse_timers(pid)
        standing = Standing(tracer, memory, pidfd)
        if not options.no_descriptors:
            standing.look_at_descriptors(options.close_fds)
        yield standing, started


@contextmanager
def _traced(pid: int) -> Iterator[tuple[Tracer, float]]:
    started = time.monotonic()
    with Tracer(pid) as tracer:
        yield tracer, started


def _end(fd: int, pidfd: int) -> None:
    """The image is complete: sync it, then end the process."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a pipe cannot be synced
            raise
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)


# ---- from a duplicate ------------------------------------------------------------------------------------------------


def _from_snapshot(pid: int, writer: Writer, options: Options) -> Dumped:
    program = procfile.content(pid, "auxv")
    before = _before_a_snapshot(pid)
    with open(os.memfd_create("drvs-contents", os.MFD_CLOEXEC), "r+b", buffering=0) as waiting:
        with _stopped(pid, options) as (standing, started):
            if procfile.content(pid, "auxv") != program:
                raise Refused(f"process {pid} executed another program meanwhile.", "Try again.")
            write_contents(Writer(waiting.fileno()), standing.open_files, standing.found)
            asked = standing.ask(before, duplicate=True)
        paused = time.monotonic() - started
        assert standing.snapshot is not None
        with standing.snapshot as duplicate:
            return _write_from(duplicate, before, standing.open_files, asked, waiting.fileno(), writer, options, paused)


def _before_a_snapshot(pid: int) -> list[maps.Vma]:
    """Look at the memory map of a process that runs: what forks cannot copy, or images not keep, is refused now."""
    vmas = maps.read(pid)
    for vma in vmas:
        if "dc" in vma.flags:
            raise Refused(
                f"process {pid} has memory at {vma.start:#x} that forks do not copy (MADV_DONTFORK).",
                "Dump it without a snapshot.",
            )
    return vmas


def _write_from(
    duplicate: Snapshot,
    before: list[maps.Vma],
    open_files: list[model.AnyOpen],
    asked: state.Asked,
    waiting: int,
    writer: Writer,
    options: Options,
    paused: float,
) -> Dumped:
    pid, source = duplicate.tracer.pid, duplicate.pid
    layout = Layout(pid, maps.without(maps.read(source), *duplicate.area), open_files, options.everything)
    _lock_again(layout, before)
    runs = layout.find_pages(source)
    with procfile.opened(f"/proc/{source}/mem", os.O_RDWR) as memory:
        meta = describe(pid, source, memory, layout, asked)
        meta.open_files = open_files
        writer.header()
        writer.meta(meta)
        writer.append(waiting)
        page_bytes = write_pages(writer, source, memory, runs, options.progress)
        writer.record(Kind.END, page_bytes)
    return Dumped(pid, len(meta.threads), page_bytes, writer.nbytes, paused)


def _lock_again(layout: Layout, before: list[maps.Vma]) -> None:
    """Forks do not inherit that memory is locked."""
    locked = {vma.start for vma in before if "lo" in vma.flags}
    for region in layout.regions:
        region.locked = region.start in locked
