"""The memory map: what there is, what of it belongs into an image, and what cannot be kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from drvs.core._core import image_crc32c, image_smaps
from drvs.procspace.image import identity, model, procfile
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.machine import PAGE

_ADVICE = {"dc": 10, "dd": 16, "hg": 14, "nh": 15, "mg": 12, "wf": 18}
"""MADV_DONTFORK, DONTDUMP, HUGEPAGE, NOHUGEPAGE, MERGEABLE, WIPEONFORK by their letters in smaps."""
_UNKEPT = {
    "ht": "huge pages of hugetlbfs", "io": "memory of a device", "pf": "memory of a device",
    "um": "a userfaultfd range",
    "uw": "a userfaultfd range", "ui": "a userfaultfd range", "ss": "a shadow stack",
}  # fmt: skip
_SYSTEM = ("[vdso]", "[vvar]", "[vvar_vclock]")
_DELETED = " (deleted)"
_VM_REGION = "/memfd:drvs-vm"
"""The shared memory of a VM that the process is bound in. Copies start unbound: they get empty memory in its place."""
_LOOKED_THROUGH = 16 << 20


class Vma(NamedTuple):
    """A mapping as smaps shows it."""

    start: int
    end: int
    prot: int
    """As mmap takes it."""
    shared: bool
    """Do others see what is written there?"""
    offset: int
    inode: int
    name: str
    own_kb: int
    """Pages that no file has."""
    flags: str
    """Two letters each."""

    @property
    def system(self) -> bool:
        """Did the kernel put it there?"""
        return self.name in _SYSTEM

    @property
    def may_have_pages(self) -> bool:
        """May something be there that no file has?"""
        return self.own_kb > 0 or "gu" in self.flags


def read(pid: int) -> list[Vma]:
    """Return the memory map of a process, the vsyscall page left out."""
    found = [Vma(*line) for line in image_smaps(procfile.content(pid, "smaps"))]
    return [_unescaped(pid, vma) if "\\012" in vma.name else vma for vma in found if vma.name != "[vsyscall]"]


def _unescaped(pid: int, vma: Vma) -> Vma:
    """A newline looks like these four characters, which a name may have too: the link has it as it is."""
    name = procfile.link(pid, f"map_files/{vma.start:x}-{vma.end:x}")
    return vma._replace(name=name or vma.name.replace("\\012", "\n"))


@lru_cache(maxsize=256)
def _unkept(flags: str) -> str:
    """Say what of a mapping with these flags cannot be kept."""
    return next((what for flag, what in _UNKEPT.items() if flag in flags), "")


@lru_cache(maxsize=256)
def _advice(flags: str) -> tuple[int, ...]:
    return tuple(number for flag, number in sorted(_ADVICE.items()) if flag in flags)


class Describer:
    """Turns memory maps into regions and the list of files they refer to."""

    def __init__(self, pid: int, memfds: set[int], wanted: Callable[[str], bool]) -> None:
        self.pid = pid
        self.files: list[model.File] = []
        self.whole: set[int] = set()
        """Starts of regions all of whose bytes go into the image."""
        self._memfds = memfds
        self._wanted = wanted
        self._index: dict[str, int] = {}

    def regions(self, vmas: list[Vma]) -> list[model.Region]:
        """Describe all that is not the kernel's.

        Raises:
            Refused: something cannot be kept.
        """
        return [self._region(vma) for vma in vmas if not vma.system]

    def _region(self, vma: Vma) -> model.Region:
        if unkept := _unkept(vma.flags):
            raise Refused(f"process {self.pid} has {unkept} at {vma.start:#x} ({vma.name or 'anonymous'}).")
        region = model.Region(
            start=vma.start, end=vma.end, prot=vma.prot, name=vma.name, shared=vma.shared, has_pages=vma.may_have_pages,
            grows_down="gd" in vma.flags, locked="lo" in vma.flags, noreserve="nr" in vma.flags,
            droppable="dp" in vma.flags, advice=list(_advice(vma.flags)),
        )  # fmt: skip
        if region.droppable or "wf" in vma.flags:
            region.has_pages = "gu" in vma.flags
        if vma.inode:
            self._of_file(vma, region)
        elif vma.shared or vma.name.startswith("[vvar"):
            raise Refused(f"process {self.pid} has shared memory of no file at {vma.start:#x}.")
        return region

    def _of_file(self, vma: Vma, region: model.Region) -> None:
        region.offset = vma.offset
        if vma.shared and vma.name.startswith(_VM_REGION) and vma.inode not in self._memfds:
            region.shared, region.offset = False, 0
            return
        if vma.shared and vma.name.startswith("/memfd:"):
            if vma.inode not in self._memfds:
                raise Refused(
                    f"process {self.pid} maps {vma.name.removesuffix(_DELETED)}, whose descriptor it has closed."
                )
            region.memfd = vma.inode
            return
        if vma.shared and (vma.name.endswith(_DELETED) or not vma.name.startswith("/")):
            raise Refused(f"process {self.pid} shares memory through {vma.name}, which has no path.")
        if not vma.shared and (self._wanted(vma.name) or not self._reachable(vma)):
            self.whole.add(vma.start)
            region.has_pages, region.offset = True, 0
            return
        if vma.shared and vma.name.startswith("/dev/") and not vma.name.startswith("/dev/shm/"):
            raise Refused(f"process {self.pid} maps the device {vma.name}.")
        region.file = self._file(vma)
        region.writable_file = vma.shared and "mw" in vma.flags

    def _reachable(self, vma: Vma) -> bool:
        """Does the name still lead to the file that is mapped? A deleted or replaced one is kept whole."""
        if vma.name.endswith(_DELETED):
            return False
        try:
            found = os.stat(vma.name)
        except OSError:
            return False
        return found.st_ino == vma.inode

    def _file(self, vma: Vma) -> int:
        if vma.name not in self._index:
            try:
                found = identity.identify(vma.name)
            except OSError as error:
                raise Refused(f"{vma.name}, which process {self.pid} maps, cannot be read: {error.strerror}.") from None
            self._index[vma.name] = len(self.files)
            self.files.append(found)
        return self._index[vma.name]


def without(vmas: list[Vma], start: int, end: int) -> list[Vma]:
    """Leave a range out; the kernel may have joined what is there with its neighbours."""
    found = []
    for vma in vmas:
        if vma.start < min(start, vma.end):
            found.append(vma._replace(end=min(start, vma.end)))
        if vma.end > max(end, vma.start):
            first = max(end, vma.start)
            found.append(vma._replace(start=first, offset=vma.offset + first - vma.start if vma.inode else 0))
    return found


def system_mappings(vmas: list[Vma]) -> list[tuple[str, int, int]]:
    """Return name, start and end of each of the kernel's mappings."""
    return [(vma.name, vma.start, vma.end) for vma in vmas if vma.system]


def vdso_checksum(vmas: list[Vma], memory: int) -> int:
    """Return the checksum of the vDSO's code."""
    crc = 0
    for vma in vmas:
        if vma.name == "[vdso]":
            crc = image_crc32c(os.pread(memory, vma.end - vma.start, vma.start), crc)
    return crc


def at(vmas: list[Vma], address: int) -> Vma | None:
    """Return the mapping that an address is in."""
    return next((vma for vma in vmas if vma.start <= address < vma.end), None)


def leftovers(vmas: list[Vma], memory: int, magic: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and size of areas that interrupted dumps or an earlier restore left.

    Neighbours look like one mapping, and one that a dumper was killed before writing to has no magic: so a mapping with
    the protection that only dumps use is looked through.
    """
    for vma in vmas:
        if vma.inode or vma.shared or vma.name.startswith("[") or vma.prot & 3 != 3 or not vma.own_kb:
            continue
        at, last = vma.start, min(vma.end, vma.start + _LOOKED_THROUGH) if vma.prot == 7 else vma.start + 1
        while at < last:
            head = os.pread(memory, 24, at)
            nbytes = int.from_bytes(head[16:24], "little")
            found = head[:16] == magic and 0 < nbytes < 1 << 32 and not nbytes % PAGE
            if found:
                yield at, nbytes
            at += nbytes if found else PAGE
