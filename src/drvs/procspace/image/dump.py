"""Dump: from a running process to a stream, the process being stopped meanwhile and unharmed whatever happens to us."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from drvs.core import _core
from drvs.procspace.image import contents, descriptors, machine, maps, model, procfile, refusals, registers, state
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.format import RECORD_BYTES, Kind, Writer
from drvs.procspace.image.remote import AREA_MAGIC, PATCH, Place, Remote, harmless_signal
from drvs.procspace.image.tracer import Gone, Tracer

Progress = Callable[[int, int], None]
"""Called with the bytes of memory looked at so far, and all."""


@dataclass(frozen=True)
class Dumped:
    """What a dump did: threads, bytes of pages and of the whole image, and for how long the process stood still."""

    pid: int
    threads: int
    page_bytes: int
    image_bytes: int
    paused_s: float


def dump(
    pid: int,
    fd: int,
    *,
    stop: bool = False,
    everything: bool = False,
    close_fds: bool = False,
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
        progress: told how far it is.

    Raises:
        Refused: the process has, or is, what an image cannot keep; or ptrace is not permitted.
        OSError: the image could not be written.
    """
    machine.blob()
    refusals.check(pid)
    try:
        with Tracer(pid) as tracer:
            return _Dump(tracer, fd, everything, close_fds, progress).run(stop)
    except (Gone, ProcessLookupError):
        raise Refused(f"process {pid} ended while it was being dumped.") from None


class _Dump:
    def __init__(self, tracer: Tracer, fd: int, everything: bool, close_fds: bool, progress: Progress | None) -> None:
        self.tracer, self.pid = tracer, tracer.pid
        self.writer = Writer(fd)
        self.everything, self.close_fds = everything, close_fds
        self.progress = progress
        self.started = time.monotonic()

    def run(self, stop: bool) -> Dumped:
        refusals.check_stopped(self.pid)
        state.refuse_timers(self.pid)
        with _opened(f"/proc/{self.pid}/mem", os.O_RDWR) as self.memory, _pidfd(self.pid) as self.pidfd:
            self.found = descriptors.look(self.pid, self.pidfd)
            self.open_files = descriptors.describe(self.found, self.close_fds)
            self._regions()  # refuses what cannot be kept, before the process is led anywhere
            asked = self._ask()
            regions = self._regions()
            meta = self._meta(asked, regions)
            self.writer.header()
            self.writer.meta(meta)
            self._contents()
            page_bytes = self._pages(regions)
            self.writer.record(Kind.END, page_bytes)
            paused = time.monotonic() - self.started
            if stop:
                self._end()
        count = len(meta.threads)
        return Dumped(self.pid, count, page_bytes, self.writer.nbytes, paused)

    def _ask(self) -> state.Asked:
        status = procfile.status(self.pid)
        caught, pending = state.masks(status)
        masks = [int(procfile.status(self.pid, tid)["SigBlk"], 16) for tid in self.tracer.stopped]
        remote = Remote(self.tracer, self.memory, self._place(), harmless_signal(masks, caught, pending))
        inside = {thread.registers["rip"] for thread in remote.threads}
        old = [
            (start, nbytes)
            for start, nbytes in maps.leftovers(self.vmas, self.memory, AREA_MAGIC)
            if not any(start <= address < start + nbytes for address in inside)
        ]
        remote.open(old)
        try:
            return state.Asked(remote)
        finally:
            remote.close()

    def _place(self) -> Place:
        memory = state.memory(self.pid, 0)
        entry = state.entry_point(memory.auxv)
        stack = maps.at(self.vmas, memory.layout[6])
        vma = maps.at(self.vmas, entry)
        if stack is None or vma is None:
            raise Refused(f"process {self.pid} has unmapped its stack or its program's entry.")
        code = os.pread(self.memory, len(PATCH), entry)
        if code == PATCH:  # a dumper was killed: the file has the bytes that belong there
            with _opened(f"/proc/{self.pid}/map_files/{vma.start:x}-{vma.end:x}", os.O_RDONLY, vma.name) as fd:
                code = os.pread(fd, len(PATCH), entry - vma.start + vma.offset)
        return Place(entry, code, (stack.start, stack.end))

    def _regions(self) -> list[model.Region]:
        memfds = {opened.inode for opened in self.open_files if isinstance(opened, model.MemFd)}
        self.vmas = maps.read(self.pid)
        self.describer = maps.Describer(self.pid, memfds, self.everything)
        return self.describer.regions(self.vmas)

    def _meta(self, asked: state.Asked, regions: list[model.Region]) -> model.Meta:
        status = procfile.status(self.pid)
        with _opened(f"/proc/{self.pid}/pagemap", os.O_RDONLY) as pagemap:
            self.runs = {region.start: self._own_pages(pagemap, region) for region in regions}
        return model.Meta(
            machine=self._machine(asked), pid=self.pid, taken_at=time.time(),
            exe=procfile.link(self.pid, "exe"), command=state.command(self.pid), cwd=state.working_directory(self.pid),
            umask=int(status["Umask"], 8), personality=int(procfile.text(self.pid, "personality"), 16),
            parent_death_signal=asked.parent_death_signal, limits=state.limits(self.pid),
            credentials=state.credentials(status, asked.securebits), memory=state.memory(self.pid, asked.brk),
            signals=asked.signals(), files=self.describer.files, regions=regions, threads=asked.threads(),
            open_files=self.open_files,
        )  # fmt: skip

    def _machine(self, asked: state.Asked) -> model.Machine:
        return model.Machine(
            arch="x86_64", page=machine.PAGE, kernel=os.uname().release, boot_id=machine.boot_id(),
            cpu_flags=machine.cpu_flags(), xfeatures=registers.enabled_features(asked.remote.threads[0].xstate),
            vdso_crc=maps.vdso_checksum(self.vmas, self.memory), system=maps.system_mappings(self.vmas),
        )  # fmt: skip

    def _own_pages(self, pagemap: int, region: model.Region) -> list[tuple[int, int]]:
        """Return the runs of pages to keep, and put the guards into the region."""
        if region.start in self.describer.whole:
            return [(region.start, region.end - region.start)]
        if not region.has_pages or region.shared:
            return []
        runs = _core.image_runs(pagemap, region.start, region.end, False)
        region.guards = [(address, nbytes) for address, nbytes, guard in runs if guard]
        kept = [(address, nbytes) for address, nbytes, guard in runs if not guard]
        if region.droppable or 18 in region.advice:
            kept = []
        region.has_pages = bool(kept)
        return kept

    def _contents(self) -> None:
        by_number = {one.number: one for one in self.found}
        for index, opened in enumerate(self.open_files):
            for offset, data in contents.read(opened, by_number[opened.numbers[0][0]]):
                self.writer.record(Kind.DATA, index, offset.to_bytes(8, "little") + data)
        self.writer.record(Kind.DATA_END)

    def _pages(self, regions: list[model.Region]) -> int:
        todo = [(region, run) for region in regions for run in self.runs[region.start]]
        total, done, written = sum(nbytes for _, (_, nbytes) in todo), 0, 0
        for region, (address, nbytes) in todo:
            whole = region.start in self.describer.whole
            skip_zero = region.file < 0
            payload, records = _core.image_copy(
                self.pid, self.memory, self.writer.fd, address, nbytes, skip_zero, whole
            )
            written += payload
            self.writer.nbytes += payload + records * RECORD_BYTES
            done += nbytes
            if self.progress:
                self.progress(done, total)
        return written

    def _end(self) -> None:
        """The image is complete: sync it, then end the process."""
        try:
            os.fsync(self.writer.fd)
        except OSError as error:
            if error.errno != 22:  # a pipe cannot be synced
                raise
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


@contextmanager
def _opened(path: str, flags: int, instead: str = "") -> Iterator[int]:
    try:
        fd = os.open(path, flags | os.O_CLOEXEC)
    except PermissionError:
        if not instead:
            raise Refused(f"{path} may not be opened.", "Be the user of the process, or root.") from None
        fd = os.open(instead, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)
