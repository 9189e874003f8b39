"""Dump: from a running process to a stream, the process being stopped meanwhile and unharmed whatever happens to us."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drvs.core import _core
from drvs.procspace.image import contents, machine, maps, model, procfile, refusals, registers, state
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.format import RECORD_BYTES, Kind, Writer
from drvs.procspace.image.standing import Standing
from drvs.procspace.image.tracer import Gone, Tracer

Progress = Callable[[int, int], None]
"""Called with the bytes of memory looked at so far, and all."""

Run = tuple[int, int, int]
"""Address and bytes of neighbouring pages, and how they are copied."""
_RUN = struct.Struct("<QQQ")
_SKIP_ZERO, _LENIENT = 1, 2
_STRIDE = 16 << 20


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
        with procfile.opened(f"/proc/{self.pid}/mem", os.O_RDWR) as self.memory, procfile.pidfd(self.pid) as self.pidfd:
            self.standing = Standing(self.tracer, self.memory, self.pidfd)
            self.standing.look_at_descriptors(self.close_fds)
            regions = self._regions()  # refuses what cannot be kept, before the process is led anywhere
            asked = self.standing.ask(self.vmas)
            if self.standing.removed:
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

    def _regions(self) -> list[model.Region]:
        memfds = {opened.inode for opened in self.standing.open_files if isinstance(opened, model.MemFd)}
        self.vmas = maps.read(self.pid)
        self.describer = maps.Describer(self.pid, memfds, self.everything)
        return self.describer.regions(self.vmas)

    def _meta(self, asked: state.Asked, regions: list[model.Region]) -> model.Meta:
        status = procfile.status(self.pid)
        with procfile.opened(f"/proc/{self.pid}/pagemap", os.O_RDONLY) as pagemap:
            self.runs = {region.start: self._own_pages(pagemap, region) for region in regions}
        return model.Meta(
            machine=self._machine(asked), pid=self.pid, taken_at=time.time(),
            exe=procfile.link(self.pid, "exe"), command=state.command(self.pid), cwd=state.working_directory(self.pid),
            umask=int(status["Umask"], 8), personality=int(procfile.text(self.pid, "personality"), 16),
            parent_death_signal=asked.parent_death_signal, limits=state.limits(self.pid),
            credentials=state.credentials(status, asked.securebits), memory=state.memory(self.pid, asked.brk),
            signals=asked.signals(), files=self.describer.files, regions=regions, threads=asked.threads(),
            open_files=self.standing.open_files,
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
        by_number = {one.number: one for one in self.standing.found}
        for index, opened in enumerate(self.standing.open_files):
            for offset, data in contents.read(opened, by_number[opened.numbers[0][0]]):
                self.writer.record(Kind.DATA, index, offset.to_bytes(8, "little") + data)
        self.writer.record(Kind.DATA_END)

    def _pages(self, regions: list[model.Region]) -> int:
        """Write all pages, in strides that progress can be told of."""
        todo = [
            (address, nbytes, self._how(region)) for region in regions for address, nbytes in self.runs[region.start]
        ]
        total, done, written = sum(nbytes for _, nbytes, _ in todo), 0, 0
        for stride in _strides(todo):
            packed = b"".join(_RUN.pack(*run) for run in stride)
            payload, records = _core.image_copy(self.pid, self.memory, self.writer.fd, packed)
            written += payload
            self.writer.nbytes += payload + records * RECORD_BYTES
            done += sum(nbytes for _, nbytes, _ in stride)
            if self.progress:
                self.progress(done, total)
        return written

    def _how(self, region: model.Region) -> int:
        return (_SKIP_ZERO if region.file < 0 else 0) | (_LENIENT if region.start in self.describer.whole else 0)

    def _end(self) -> None:
        """The image is complete: sync it, then end the process."""
        try:
            os.fsync(self.writer.fd)
        except OSError as error:
            if error.errno != 22:  # a pipe cannot be synced
                raise
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


def _strides(runs: list[Run]) -> Iterator[list[Run]]:
    """Cut runs of pages into pieces of some megabytes."""
    stride: list[Run] = []
    room = _STRIDE
    for start, left, how in runs:
        address = start
        while left:
            nbytes = min(left, room)
            stride.append((address, nbytes, how))
            address, left, room = address + nbytes, left - nbytes, room - nbytes
            if not room:
                yield stride
                stride, room = [], _STRIDE
    if stride:
        yield stride
