"""Writing the stream: the description, what waits in descriptors, the pages."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator

from drvs.core import _core
from drvs.procspace.image import contents, descriptors, machine, maps, model, procfile, registers, state
from drvs.procspace.image.format import RECORD_BYTES, Kind, Writer

Progress = Callable[[int, int], None]
"""Called with the bytes of memory looked at so far, and all."""

Run = tuple[int, int, int]
"""Address and bytes of neighbouring pages, and how they are copied."""
_RUN = struct.Struct("<QQQ")
_SKIP_ZERO, _LENIENT = 1, 2
_STRIDE = 16 << 20
_WIPED_BY_FORKS = 18


class Layout:
    """The memory map of a process, and the regions that an image makes of it."""

    def __init__(
        self, pid: int, vmas: list[maps.Vma], open_files: list[model.AnyOpen], wanted: Callable[[str], bool]
    ) -> None:
        """Describe it.

        Args:
            wanted: says of a mapped file whether its contents are to be kept.

        Raises:
            Refused: something of it cannot be kept.
        """
        memfds = {opened.inode for opened in open_files if isinstance(opened, model.MemFd)}
        self.vmas = vmas
        self._guarded = {vma.start for vma in vmas if "gu" in vma.flags}
        self._describer = maps.Describer(pid, memfds, wanted)
        self.regions = self._describer.regions(vmas)
        self.files = self._describer.files
        self.whole = self._describer.whole

    def find_pages(self, source: int) -> list[Run]:
        """Return the runs of pages to keep, and put the guards into the regions."""
        with procfile.opened(f"/proc/{source}/pagemap", os.O_RDONLY) as pagemap:
            return [
                (address, nbytes, self._how(region))
                for region in self.regions
                for address, nbytes in self._own_pages(pagemap, region)
            ]

    def lock_again(self, before: list[maps.Vma]) -> None:
        """Note which memory is locked by an earlier look: forks do not inherit it."""
        locked = {vma.start for vma in before if "lo" in vma.flags}
        for region in self.regions:
            region.locked = region.start in locked

    def _how(self, region: model.Region) -> int:
        return (_SKIP_ZERO if region.file < 0 else 0) | (_LENIENT if region.start in self.whole else 0)

    def _own_pages(self, pagemap: int, region: model.Region) -> list[tuple[int, int]]:
        if region.start in self.whole:
            return [(region.start, region.end - region.start)]
        if not region.has_pages or region.shared:
            return []
        runs = _core.image_runs(pagemap, region.start, region.end, region.start in self._guarded)
        region.guards = [(address, nbytes) for address, nbytes, guard in runs if guard]
        kept = [(address, nbytes) for address, nbytes, guard in runs if not guard]
        if region.droppable or _WIPED_BY_FORKS in region.advice:
            kept = []
        region.has_pages = bool(kept)
        return kept


def describe(pid: int, source: int, memory: int, layout: Layout, asked: state.Asked) -> model.Meta:
    """Describe a process.

    Args:
        pid: the process.
        source: itself, or its duplicate.
        memory: the source's /proc/PID/mem.
        layout: of the source's memory, its guards found.
        asked: what the process answered.
    """
    status = procfile.status(source)
    return model.Meta(
        machine=_machine(layout, memory, asked), pid=pid, taken_at=time.time(), exe=procfile.link(source, "exe"),
        command=state.command(source), cwd=state.working_directory(source), umask=int(status["Umask"], 8),
        personality=int(procfile.text(source, "personality"), 16), parent_death_signal=asked.parent_death_signal,
        limits=state.limits(source), credentials=state.credentials(status, asked.securebits),
        memory=state.memory(source, asked.brk), signals=asked.signals, files=layout.files, regions=layout.regions,
        threads=asked.threads, open_files=[],
    )  # fmt: skip


def _machine(layout: Layout, memory: int, asked: state.Asked) -> model.Machine:
    return model.Machine(
        arch="x86_64", page=machine.PAGE, kernel=os.uname().release, boot_id=machine.boot_id(),
        cpu_flags=machine.cpu_flags(), xfeatures=registers.enabled_features(asked.threads[0].xstate),
        vdso_crc=maps.vdso_checksum(layout.vmas, memory), system=maps.system_mappings(layout.vmas),
    )  # fmt: skip


def write_contents(writer: Writer, open_files: list[model.AnyOpen], found: list[descriptors.Found]) -> None:
    """Write what waits inside descriptors."""
    by_number = {one.number: one for one in found}
    for index, opened in enumerate(open_files):
        for offset, data in contents.read(opened, by_number[opened.numbers[0][0]]):
            writer.record(Kind.DATA, index, offset.to_bytes(8, "little") + data)
    writer.record(Kind.DATA_END)


def write_pages(writer: Writer, source: int, memory: int, runs: list[Run], progress: Progress | None) -> int:
    """Write all pages, in strides that progress can be told of; returns their bytes."""
    total, done, written = sum(nbytes for _, nbytes, _ in runs), 0, 0
    for stride in _strides(runs):
        packed = b"".join(_RUN.pack(*run) for run in stride)
        payload, records = _core.image_copy(source, memory, writer.fd, packed)
        written += payload
        writer.nbytes += payload + records * RECORD_BYTES
        done += sum(nbytes for _, nbytes, _ in stride)
        if progress:
            progress(done, total)
    return written


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
