"""What an image says about a process: the record before the pages. Everything has a type, and is checked when read."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta as Limit

Word = Annotated[int, Limit(ge=0)]
Fd = Annotated[int, Limit(ge=0, le=2**20)]
Small = Annotated[int, Limit(ge=0, le=2**31 - 1)]
Signal = Annotated[int, Limit(ge=1, le=64)]
Siginfo = Annotated[bytes, Limit(min_length=128, max_length=128)]
Path = Annotated[str, Limit(min_length=1, max_length=4200)]


class Record(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the description."""


class Machine(Record):
    """Where the image was made."""

    arch: str
    page: Small
    kernel: str
    boot_id: str
    cpu_flags: list[str]
    xfeatures: Word
    vdso_crc: Word
    system: list[tuple[str, Word, Word]]
    """Name, start and end of each mapping that the kernel made: vdso and vvar."""


class File(Record):
    """A file that the image refers to, and how it is recognised: by its build id, else by size and time."""

    path: Path
    size: Word
    mtime_ns: int
    build_id: bytes = b""


class Region(Record):
    """A piece of the memory map."""

    start: Word
    end: Word
    prot: Annotated[int, Limit(ge=0, le=7)]
    name: str = ""
    file: int = -1
    """Index into `files`, -1 for anonymous memory."""
    memfd: int = -1
    """Inode of a memfd among the descriptors, -1 if it is none."""
    offset: Word = 0
    shared: bool = False
    writable_file: bool = False
    has_pages: bool = False
    grows_down: bool = False
    locked: bool = False
    noreserve: bool = False
    droppable: bool = False
    advice: list[Small] = []
    guards: list[tuple[Word, Word]] = []


class Thread(Record):
    """A thread in mid-flight."""

    tid: Small
    name: bytes
    registers: Annotated[bytes, Limit(min_length=216, max_length=216)]
    xstate: Annotated[bytes, Limit(min_length=576, max_length=65536)]
    mask: Word
    altstack: tuple[Word, Word, Word]
    tid_address: Word
    robust: tuple[Word, Word]
    rseq: tuple[Word, Word, Word, Word]
    pending: Annotated[list[Siginfo], Limit(max_length=4096)] = []


class Credentials(Record):
    """Who the process is: real, effective, saved and file-system ids; inheritable, permitted, effective, bounding,
    ambient."""

    uids: tuple[Small, Small, Small, Small]
    gids: tuple[Small, Small, Small, Small]
    groups: list[Small]
    capabilities: tuple[Word, Word, Word, Word, Word]
    no_new_privs: bool
    securebits: Small


class Memory(Record):
    """What the kernel keeps about the layout: PR_SET_MM_MAP's addresses in its order, and the auxiliary vector."""

    layout: Annotated[list[Word], Limit(min_length=11, max_length=11)]
    auxv: Annotated[bytes, Limit(min_length=16, max_length=1024)]


class PosixTimer(Record):
    """A timer of timer_create: its id, what it signals and whom (0: the process), and its time as timer_settime takes
    it."""

    number: Small
    clock: Small
    signal: Annotated[int, Limit(ge=0, le=64)]
    notify: Annotated[int, Limit(ge=0, le=6)]
    value: Word
    tid: Small = 0
    setting: Annotated[bytes, Limit(min_length=32, max_length=32)] = bytes(32)


class Signals(Record):
    """Dispositions (signal, kernel sigaction), what is pending for the process, its three interval timers, others."""

    actions: list[tuple[Signal, Annotated[bytes, Limit(min_length=32, max_length=32)]]]
    pending: Annotated[list[Siginfo], Limit(max_length=4096)]
    timers: list[tuple[Annotated[int, Limit(ge=0, le=2)], Annotated[bytes, Limit(min_length=32, max_length=32)]]]
    posix: Annotated[list[PosixTimer], Limit(max_length=65536)] = []


class Open(Record, tag=True, kw_only=True):
    """An open file description and the descriptors that lead to it, with their close-on-exec flags."""

    numbers: list[tuple[Fd, bool]]
    flags: Small = 0


class Stream(Open):
    """One of the standard streams: it is the restorer's."""

    number: Annotated[int, Limit(ge=0, le=2)]


class OnDisk(Open):
    """A file, directory or simple device, opened again by its path."""

    path: Path
    kind: str
    device: Word
    inode: Word
    size: Word
    mtime_ns: int
    position: Word


class PipeEnd(Open):
    """One end of a pipe whose both ends are inside the process."""

    pipe: Word
    writes: bool
    capacity: Small


class SocketEnd(Open):
    """One end of a socketpair inside the process."""

    inode: Word
    peer: Word
    style: Annotated[int, Limit(ge=1, le=5)]
    shutdown: Annotated[int, Limit(ge=0, le=3)] = 0


class EventFd(Open):
    """A counter."""

    count: Word
    semaphore: bool


class TimerFd(Open):
    """A timer, with the time that was left."""

    clock: Small
    value: tuple[Small, Small]
    interval: tuple[Small, Small]
    ticks: Word


class Epoll(Open):
    """What it watches: descriptor, events, and the program's 64 bits."""

    watched: list[tuple[Fd, Annotated[int, Limit(ge=0, le=2**32 - 1)], Word]]


class SignalFd(Open):
    """The signals it reads, as a mask."""

    mask: Word


class MemFd(Open):
    """A file in memory; its bytes follow in data records."""

    name: str
    inode: Word
    size: Annotated[int, Limit(ge=0, le=2**47)]
    seals: Small
    position: Word


class Dead(Open):
    """A placeholder for what could not be kept: reads find the end, writes fail."""

    what: str


AnyOpen = Stream | OnDisk | PipeEnd | SocketEnd | EventFd | TimerFd | Epoll | SignalFd | MemFd | Dead


class Meta(Record):
    """The description of a process."""

    machine: Machine
    pid: Small
    taken_at: float
    exe: str
    command: list[str]
    cwd: Path
    umask: Annotated[int, Limit(ge=0, le=0o777)]
    personality: Small
    parent_death_signal: Annotated[int, Limit(ge=0, le=64)]
    limits: Annotated[list[tuple[Word, Word]], Limit(min_length=16, max_length=16)]
    credentials: Credentials
    memory: Memory
    signals: Signals
    files: Annotated[list[File], Limit(max_length=65536)]
    regions: Annotated[list[Region], Limit(min_length=1, max_length=1_000_000)]
    threads: Annotated[list[Thread], Limit(min_length=1, max_length=65536)]
    open_files: Annotated[list[AnyOpen], Limit(max_length=2**20)]
    mailbox: Word = 0
    """Address of the process's mailbox, 0 if it has none."""
    hooked: bool = False
    """Have its hooks run, and does it wait for a verdict?"""
