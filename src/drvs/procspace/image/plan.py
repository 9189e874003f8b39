"""The table of a restore: every step from an empty program to the dumped one's next instruction, as system calls."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable

from msgspec import Struct

from drvs.procspace.image import calls, model, plan_memory, plan_process
from drvs.procspace.image.area import (
    ANSWER,
    AREA_FD,
    AWAIT,
    BECOME,
    CONTROL_FD,
    DIGITS,
    MAY_FAIL,
    QUEUE,
    RECEIVE,
    RELEASE,
    SERVE,
    SIGRETURN,
    STATUS,
    Area,
    Op,
    find_base,
)  # fmt: skip
from drvs.procspace.image.machine import own_system
from drvs.procspace.image.reopen import places, stream_places
from drvs.procspace.image.timers import Alarms

_ALL = 2**32 - 1
_F_SETFD = 2
_FCNTL = 72
_PR_SET_DUMPABLE = 4
_RANK_LINE = b"BPROC_RANK=XXXXXXX\0"
_EPOLL_ADD = 1

Before = Callable[[Area], list[Op]]
"""Gives the lines that are to run before any thread enters the program."""


class Numbers(Struct):
    """Which number each descriptor that is sent has in the new process; all are above those of the image."""

    control: int
    """What follows it is sent."""
    count: int = 0
    maker: int = -1
    stream: int = -1
    exe: int = -1
    files: dict[int, int] = {}
    """By index into the image's files; for shared mappings that may be written, opened so."""
    opened: dict[int, int] = {}
    """By index into the image's open files."""
    private: dict[int, int] = {}
    """The same for those that each copy has for itself."""
    kept: dict[int, int] = {}
    """Descriptors of a program that is replaced, by the numbers they keep."""


class Wishes(Struct):
    """What a restore can be asked for."""

    pid: int = 0
    """The pid to have, 0 for any; the ids of the threads are kept then too."""
    detach: bool = False
    before: Before = lambda _area: []
    replaces: bool = False
    """It is made of a program that has gone already: nobody hears an answer."""


def restored(meta: model.Meta, numbers: Numbers, wishes: Wishes) -> bytes:
    """Return the area of a process that goes on where the image ends."""
    plan = _Plan(meta, numbers, wishes)
    area = plan.area
    early = plan.arrival() + plan.descriptors(numbers.opened) + plan.identity()
    late = [op for region in meta.regions for op in plan_memory.complete(region)]
    late += plan_process.process(area, meta, numbers.exe) + plan_process.limits(area, meta)
    late += wishes.before(area) + plan.threads(keep=bool(wishes.pid), pending=True)
    late += [(QUEUE, info[0], area.put(info)) for info in meta.signals.pending]
    late += [(calls.SETITIMER, which, area.put(timer), 0) for which, timer in meta.signals.timers]
    return plan.finish(early, late + plan.start())


def template(meta: model.Meta, numbers: Numbers, wishes: Wishes) -> bytes:
    """Return the area of a process with the image's memory, which waits for orders; and of its copies, which go on."""
    plan = _Plan(meta, numbers, wishes)
    area = plan.area
    early = plan.arrival() + plan.descriptors(numbers.opened) + plan.identity()
    late = [op for region in meta.regions if region.memfd < 0 for op in plan_memory.complete(region, template=True)]
    late += plan_process.process(area, meta, numbers.exe)
    late += plan_process.limits(area, meta)
    first = numbers.control + 2
    late += [
        (calls.CLOSE_RANGE, first, _ALL, 0), (calls.PRCTL, plan_process.PDEATHSIG, 0, 0, 0, 0),
        (calls.PRCTL, plan_process.SET_NAME, area.put(b"drvs-template\0"), 0, 0, 0), (ANSWER,),
        (SERVE, numbers.control, numbers.maker, first),
    ]  # fmt: skip
    return plan.finish(early, late + plan.copy())


class _Plan:
    def __init__(self, meta: model.Meta, numbers: Numbers, wishes: Wishes) -> None:
        self.meta, self.numbers, self.wishes = meta, numbers, wishes
        taken = [(region.start, region.end) for region in meta.regions]
        taken += [(start, end) for _, start, end in meta.machine.system]
        self.base = find_base(taken) + sum(end - start for _, start, end in own_system())
        self.area = Area(self.base, len(meta.threads))
        low, size = self.area.stack()
        self.stack = low + size

    # ---- first: a process with the image's descriptors, as its user --------------------------------------------------

    def arrival(self) -> list[Op]:
        area, numbers, pid = self.area, self.numbers, self.wishes.pid
        highest = numbers.control + 1 + max(numbers.count, len(numbers.private) + 4)
        return [
            *([(BECOME, pid)] if pid else []),
            (calls.RT_SIGPROCMASK, 2, area.put(b"\xff" * 8), 0, 8),
            (calls.PRCTL, plan_process.PDEATHSIG, signal.SIGKILL, 0, 0, 0),
            *([(calls.SETSID,)] if self.wishes.detach else []),
            *plan_process.raised_limits(area, self.meta, highest),
            (calls.CLOSE_RANGE, AREA_FD, _ALL, 0),
            (RECEIVE, CONTROL_FD, numbers.control + 1, numbers.count),
            (STATUS, CONTROL_FD, numbers.control),
            (calls.CHDIR, area.put(self.meta.cwd.encode(errors="surrogateescape") + b"\0")),
            (calls.UMASK, self.meta.umask),
        ]

    def descriptors(self, made: dict[int, int]) -> list[Op]:
        """Give all descriptors their numbers, and close what the image does not have."""
        kept = self.numbers.kept
        ops = self.placed(made) + self.streams() + [(calls.DUP3, fd, number, 0) for number, fd in kept.items()]
        ops += self.closed_but({number for opened in self.meta.open_files for number, _ in opened.numbers} | {*kept})
        return ops + self.watches(made)

    def placed(self, made: dict[int, int]) -> list[Op]:
        return [(calls.DUP3, *_target(place)) for place in places(self.meta, made)]

    def streams(self) -> list[Op]:
        """The restorer may have closed one: then it is not there."""
        return [
            (calls.DUP3 | MAY_FAIL, *_target(place)) if place[0] != place[1]
            else (_FCNTL | MAY_FAIL, place[1], _F_SETFD, place[2])
            for place in stream_places(self.meta)
        ]  # fmt: skip

    def closed_but(self, wanted: set[int]) -> list[Op]:
        ops: list[Op] = []
        at = 0
        for number in [*sorted(wanted), self.numbers.control]:
            if at < number:
                ops.append((calls.CLOSE_RANGE, at, number - 1, 0))
            at = number + 1
        return ops

    def watches(self, made: dict[int, int]) -> list[Op]:
        """What an epoll watches belongs to descriptor numbers, so it is told here."""
        return [
            (calls.EPOLL_CTL, opened.numbers[0][0], _EPOLL_ADD, number, self.area.put(struct.pack("<IQ", events, data)))
            for index, opened in enumerate(self.meta.open_files)
            if isinstance(opened, model.Epoll) and index in made
            for number, events, data in opened.watched
        ]

    def identity(self) -> list[Op]:
        # A change of user clears the signal.
        again: Op = (calls.PRCTL, plan_process.PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        return [*plan_process.identity(self.area, self.meta.credentials), again]

    # ---- last: its threads, and off ----------------------------------------------------------------------------------

    def copy(self) -> list[Op]:
        """What a copy does: take what is its own, redo what a fork has undone, and start."""
        area, meta = self.area, self.meta
        regions = [region for region in meta.regions if region.memfd < 0]
        return [
            *([(calls.SETSID,)] if self.wishes.detach else []),
            *self.placed(self.numbers.private), *self.sent_streams(), *self.streams(),
            *self.watches(self.numbers.private), *self.memfd_regions(),
            *[op for region in regions for op in plan_memory.in_copies(region)],
            *self.wishes.before(area), *self.rank(),
            *self.threads(keep=False, pending=False), *self.start(),
        ]  # fmt: skip

    def sent_streams(self) -> list[Op]:
        """They follow the private descriptors, if they are not the template's."""
        first = self.numbers.control + 2 + len(self.numbers.private)
        wanted = {number for source, number, _ in stream_places(self.meta) if source == number}
        return [(calls.DUP3 | MAY_FAIL, first + number, number, 0) for number in sorted(wanted)]

    def memfd_regions(self) -> list[Op]:
        homes = {
            opened.inode: opened.numbers[0][0] for opened in self.meta.open_files if isinstance(opened, model.MemFd)
        }
        regions = (region for region in self.meta.regions if region.memfd >= 0)
        return [op for region in regions for op in plan_memory.remap(region, homes[region.memfd])]

    def rank(self) -> list[Op]:
        start, end = self.meta.memory.layout[9:11]
        return [(DIGITS, start, end, self.area.put(_RANK_LINE))] if start < end else []

    def threads(self, *, keep: bool, pending: bool) -> list[Op]:
        first, *others = self.meta.threads
        alarms = Alarms(self.area, self.meta.signals.posix if pending else [])
        ops = [plan_process.thread(self.area, thread, keep, pending, alarms.patches(thread.tid)) for thread in others]
        own = plan_process.own_state(self.area, first, pending, alarms.patches(first.tid))
        return [*ops, (AWAIT, len(ops)), *own, *alarms.made()]

    def start(self) -> list[Op]:
        """Tell the maker, close what was only needed meanwhile, and enter the program."""
        return [
            (calls.PRCTL, plan_process.PDEATHSIG, self.meta.parent_death_signal, 0, 0, 0),
            plan_process.descriptor_limit(self.area, self.meta),
            (ANSWER | MAY_FAIL,) if self.wishes.replaces else (ANSWER,),
            (calls.CLOSE_RANGE, self.numbers.control, _ALL, 0),
            # Last: until here a user that root has become may not look at what root had in memory and open.
            (calls.PRCTL, _PR_SET_DUMPABLE, 1, 0, 0, 0),
            (RELEASE,),
            (SIGRETURN, plan_process.frame(self.area, self.meta.threads[0])),
        ]

    # ---- between: memory ---------------------------------------------------------------------------------------------

    def finish(self, early: list[Op], late: list[Op]) -> bytes:
        """Put everything together: only now it is known where the area ends, which the memory's lines must spare."""
        area = self.area
        end = area.end_with(len(early) + len(self._memory(0)) + len(late))
        ops = area.ops(early + self._memory(end) + late)
        return area.content(ops, self.stack)

    def _memory(self, end: int) -> list[Op]:
        serves = self.numbers.maker >= 0  # copies map memfds of their own
        regions = [region for region in self.meta.regions if not serves or region.memfd < 0]
        clear = plan_memory.clear(self.meta, self.base, end)
        return clear + plan_memory.fill(regions, self._mapped, self.numbers.stream, self.base, end)

    def _mapped(self, region: model.Region) -> int:
        if region.memfd >= 0:
            return next(
                self.numbers.opened[index]
                for index, opened in enumerate(self.meta.open_files)
                if isinstance(opened, model.MemFd) and opened.inode == region.memfd
            )
        return self.numbers.files[region.file] if region.file >= 0 else -1


def _target(place: tuple[int, int, bool]) -> tuple[int, int, int]:
    fd, number, cloexec = place
    return fd, number, 0o2000000 if cloexec else 0
