"""The stream: a header, then records, each with a checksum of its own, in an order that lets it flow through a pipe.

    LAUNCHER    in executable images: a line that begins with #!
    HEADER      8 bytes "DRVSIMG\\n", u16 version, u16 machine, u32 page size
    META        msgpack of model.Meta
    DATA …      contents of open files: address = index into open_files; payload = u64 offset, bytes
    DATA_END
    PAGES …     address, at most 1 MiB of pages
    END         address = bytes of pages in all

A record is u32 kind, u32 CRC-32C (of kind, address, length, payload), u64 address, u64 length, payload; all
little-endian. The pages come last because the restored process itself reads them into their places, checking each as it
arrives.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import IntEnum

import msgspec

from drvs.core._core import image_crc32c
from drvs.procspace.image import model
from drvs.procspace.image.errors import BadImage
from drvs.procspace.image.machine import HIGHEST, PAGE

MAGIC = b"DRVSIMG\n"
VERSION = 1
MACHINES = {62: "x86_64", 183: "aarch64"}
"""By their numbers in ELF."""

_HEADER = struct.Struct("<8sHHI")
_RECORD = struct.Struct("<IIQQ")
_AGAIN = "Make the image again."
RECORD_BYTES = _RECORD.size
RECORD_MAX = 1 << 20
META_MAX = 1 << 28
MAILBOX_BYTES = 96
"""As far as a restore writes into a mailbox; all of its fields are in the same mapping."""
_PROT_WRITE = 2
LAUNCHER_MAX = 255
"""Bytes of the launcher line that may stand before the header: Linux reads no more of it."""


class Kind(IntEnum):
    """What a record is."""

    META = 1
    DATA = 2
    PAGES = 3
    END = 4
    DATA_END = 5


_LENGTH_MAX = {Kind.META: META_MAX, Kind.DATA: RECORD_MAX + 8, Kind.PAGES: RECORD_MAX, Kind.END: 0, Kind.DATA_END: 0}


def checksum(kind: int, address: int, payload: bytes | memoryview) -> int:
    """Return the checksum of a record."""
    crc = image_crc32c(struct.pack("<IQQ", kind, address, len(payload)))
    return image_crc32c(payload, crc)


class Writer:
    """Writes a stream to any descriptor. Pages are written natively, past it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.nbytes = 0

    def header(self) -> None:
        """Begin."""
        self._write(_HEADER.pack(MAGIC, VERSION, 62, PAGE))

    def record(self, kind: Kind, address: int = 0, payload: bytes = b"") -> None:
        """Write a record."""
        self._write(_RECORD.pack(kind, checksum(kind, address, payload), address, len(payload)) + payload)

    def meta(self, meta: model.Meta) -> None:
        """Write the description."""
        self.record(Kind.META, 0, msgspec.msgpack.encode(meta))

    def append(self, fd: int) -> None:
        """Write what another writer has put into a file, which has been written to its end."""
        os.lseek(fd, 0, os.SEEK_SET)
        while data := os.read(fd, RECORD_MAX):
            self._write(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]
        self.nbytes += len(data)


class Reader:
    """Reads a stream from any descriptor, exactly as far as it is asked to, and trusts nothing in it.

    Raises (every method):
        BadImage: the stream is none of ours, damaged, or ends early.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.nbytes = 0

    def header(self) -> None:
        """Read and check the beginning."""
        data = self._some(2)
        if data == b"#!":
            self._launcher_line()
            data = b""
        data += self._some(_HEADER.size - len(data))
        if data[:8] != MAGIC:
            raise BadImage("this is no process image.")
        if len(data) < _HEADER.size:
            raise BadImage("the image ends within its header.", _AGAIN)
        _, version, machine, page = _HEADER.unpack(data)
        if version != VERSION:
            raise BadImage(
                f"the image has format {version}, and this drvs reads {VERSION}.", "Use the drvs it was made with."
            )
        if MACHINES.get(machine) != "x86_64":
            raise BadImage(
                f"the image is for {MACHINES.get(machine, f'machine {machine}')}.", "Restore it on such a machine."
            )
        if page != PAGE:
            raise BadImage(f"the image has pages of {page} bytes.", "Restore it on a machine with such pages.")

    def _launcher_line(self) -> None:
        """An executable image begins with the line by which the kernel starts it; it is skipped unread."""
        for _ in range(LAUNCHER_MAX):
            if self._some(1) in (b"\n", b""):
                return

    def record(self) -> tuple[Kind, int, bytes]:
        """Read a record: kind, address, payload."""
        kind_number, crc, address, length = _RECORD.unpack(self._exactly(_RECORD.size))
        try:
            kind = Kind(kind_number)
        except ValueError:
            raise BadImage(f"unknown record {kind_number} at byte {self.nbytes - _RECORD.size}.", _AGAIN) from None
        if length > _LENGTH_MAX[kind]:
            raise BadImage(f"a {kind.name} record claims {length} bytes.", _AGAIN)
        payload = self._exactly(length)
        if checksum(kind, address, payload) != crc:
            raise BadImage(f"the checksum of the {kind.name} record before byte {self.nbytes} is wrong.", _AGAIN)
        return kind, address, payload

    def meta(self) -> model.Meta:
        """Read the description, check that it makes sense in itself, and return it."""
        kind, _, payload = self.record()
        if kind != Kind.META:
            raise BadImage(f"the image begins with {kind.name} instead of META.", _AGAIN)
        try:
            meta = msgspec.msgpack.decode(payload, type=model.Meta)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BadImage(f"the description does not decode: {error}.", _AGAIN) from None
        check_sense(meta)
        return meta

    def data(self, meta: model.Meta) -> Iterator[tuple[int, int, bytes]]:
        """Yield index of the open file, offset and bytes of each data record, to their end."""
        while True:
            kind, index, payload = self.record()
            if kind == Kind.DATA_END:
                return
            if kind != Kind.DATA or index >= len(meta.open_files) or len(payload) < 8:
                raise BadImage(f"a {kind.name} record stands where data of an open file should.", _AGAIN)
            yield index, int.from_bytes(payload[:8], "little"), payload[8:]

    def pages(self) -> Iterator[tuple[int, int]]:
        """Yield address and length of each page record, to the end of the stream."""
        total = 0
        while True:
            kind, address, payload = self.record()
            if kind == Kind.END and address == total:
                return
            if kind != Kind.PAGES or not payload or (address | len(payload)) % PAGE or address + len(payload) > HIGHEST:
                raise BadImage(f"a {kind.name} record stands where pages should.", _AGAIN)
            total += len(payload)
            yield address, len(payload)

    def at_end(self) -> bool:
        """Say whether nothing follows."""
        return not self._some(1)

    def _exactly(self, nbytes: int) -> bytes:
        data = self._some(nbytes)
        if len(data) < nbytes:
            raise BadImage(f"the image ends at byte {self.nbytes}, too early.", _AGAIN)
        return data

    def _some(self, nbytes: int) -> bytes:
        parts, missing = [], nbytes
        while missing:
            part = os.read(self.fd, min(missing, RECORD_MAX))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        self.nbytes += nbytes - missing
        return b"".join(parts)


def check_sense(meta: model.Meta) -> None:
    """Check what types cannot say: regions in order, indexes within their lists, descriptors once.

    Raises:
        BadImage: something does not fit.
    """
    before = 0
    for region in meta.regions:
        if not before <= region.start < region.end <= HIGHEST or (region.start | region.end | region.offset) % PAGE:
            raise BadImage(f"the region at {region.start:#x} is out of place.", _AGAIN)
        if not -1 <= region.file < len(meta.files):
            raise BadImage(f"the region at {region.start:#x} refers to file {region.file}.", _AGAIN)
        for address, nbytes in region.guards:
            if not region.start <= address < address + nbytes <= region.end or (address | nbytes) % PAGE:
                raise BadImage(f"a guard of the region at {region.start:#x} is out of place.", _AGAIN)
        before = region.end
    for _, start, end in meta.machine.system:
        if not 0 < start < end <= HIGHEST or (start | end) % PAGE:
            raise BadImage(f"the system mapping at {start:#x} is out of place.", _AGAIN)
    _check_mailbox(meta)
    numbers = [number for opened in meta.open_files for number, _ in opened.numbers]
    if len(set(numbers)) != len(numbers) or not all(opened.numbers for opened in meta.open_files):
        raise BadImage("a descriptor is there twice, or an open file without one.", _AGAIN)
    if len({thread.tid for thread in meta.threads}) != len(meta.threads):
        raise BadImage("a thread is there twice.", _AGAIN)


def _check_mailbox(meta: model.Meta) -> None:
    """A restore writes there: into memory of the program, and nowhere else."""
    if not meta.mailbox:
        return
    home = next((region for region in meta.regions if region.start <= meta.mailbox < region.end), None)
    if home is None or not home.prot & _PROT_WRITE or meta.mailbox % 8 or meta.mailbox + MAILBOX_BYTES > home.end:
        raise BadImage(f"the mailbox at {meta.mailbox:#x} is out of place.", _AGAIN)
