"""POSIX timers (timer_create): what /proc says of them, what is left of their time, and how they get their ids again.

Linux 6.15 lets a process choose the ids of new timers. Before, a new process counts from 0, so those between are made
and deleted; there a timer that signals one thread cannot be kept.
"""

from __future__ import annotations

import struct
from functools import cache

from drvs.procspace.image import calls, model, procfile
from drvs.procspace.image.area import MAY_FAIL, PATCH_TID, Area, Op
from drvs.procspace.image.errors import Mismatch, Refused

_PR_TIMER_CREATE_RESTORE_IDS, _OFF, _ON, _GET = 77, 0, 1, 2
_SIGEV_NONE, _SIGEV_THREAD_ID = 1, 4
_HOW = {"signal": 0, "none": _SIGEV_NONE, "thread": 2}
_EVENT = struct.Struct("<Qiii44x")
_TID_AT = 16
_FIRST_CHOSEN_MAX = 1000
_MONOTONIC = 1


def of(pid: int) -> list[model.PosixTimer]:
    """Return the timers of a process, without their times.

    Raises:
        Refused: one of them counts the time of another process.
    """
    try:
        text = procfile.text(pid, "timers")
    except Refused:
        return []  # a kernel that does not tell
    return [_timer(pid, part) for part in f"\n{text}".split("\nID: ")[1:]]


def _timer(pid: int, text: str) -> model.PosixTimer:
    number, *lines = text.splitlines()
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    signal, _, value = fields["signal"].partition("/")
    how, _, whom = fields["notify"].partition("/")
    clock = int(fields["ClockID"])
    if clock < 0:
        raise Refused(f"process {pid} has a timer (timer_create) on the clock of a process or a device.")
    notify, tid = _HOW[how], int(whom.partition(".")[2]) if whom.startswith("tid.") else 0
    return model.PosixTimer(
        number=int(number), clock=clock, signal=int(signal), notify=notify | (_SIGEV_THREAD_ID if tid else 0),
        value=int(value, 16), tid=tid,
    )  # fmt: skip


class Alarms:
    """The timers of an image, on their way into a new process."""

    def __init__(self, area: Area, timers: list[model.PosixTimer]) -> None:
        self._area = area
        self._timers = timers
        self._events = [
            area.put(_EVENT.pack(timer.value, timer.signal, timer.notify, timer.tid), 8) for timer in timers
        ]

    def patches(self, tid: int) -> list[Op]:
        """What a thread does so that timers that signal it find it under its new id."""
        return [
            (PATCH_TID, event + _TID_AT, tid)
            for timer, event in zip(self._timers, self._events, strict=True)
            if timer.tid == tid
        ]

    def made(self) -> list[Op]:
        """Make and start them, when all threads are there.

        Raises:
            Mismatch: not on this kernel.
        """
        if not self._timers:
            return []
        ops = self._chosen() if ids_can_be_chosen() else self._counted()
        return [*ops, *self._set()]

    def _chosen(self) -> list[Op]:
        return [
            _choosing(_ON),
            *[
                (calls.TIMER_CREATE, timer.clock, event, self._area.put(struct.pack("<q", timer.number)))
                for timer, event in zip(self._timers, self._events, strict=True)
            ],
            _choosing(_OFF),
        ]

    def _counted(self) -> list[Op]:
        wanted = {timer.number: (timer, event) for timer, event in zip(self._timers, self._events, strict=True)}
        if max(wanted) > _FIRST_CHOSEN_MAX or any(timer.tid for timer in self._timers):
            raise Mismatch("before Linux 6.15, timers like those of the image (timer_create) cannot be made.")
        space = self._area.put(bytes(8))
        none = self._area.put(_EVENT.pack(0, 0, _SIGEV_NONE, 0), 8)
        ops: list[Op] = []
        for number in range(max(wanted) + 1):
            if number in wanted:
                timer, event = wanted[number]
                ops.append((calls.TIMER_CREATE, timer.clock, event, space))
            else:
                ops += [(calls.TIMER_CREATE, _MONOTONIC, none, space), (calls.TIMER_DELETE, number)]
        return ops

    def _set(self) -> list[Op]:
        return [
            (calls.TIMER_SETTIME, timer.number, 0, self._area.put(timer.setting), 0)
            for timer in self._timers
            if any(timer.setting)
        ]


def _choosing(how: int) -> Op:
    return (calls.PRCTL | (MAY_FAIL if how == _OFF else 0), _PR_TIMER_CREATE_RESTORE_IDS, how, 0, 0, 0)


@cache
def ids_can_be_chosen() -> bool:
    """Say whether this kernel lets a process choose the ids of its timers."""
    try:
        calls.prctl(_PR_TIMER_CREATE_RESTORE_IDS, _GET)
    except OSError:
        return False
    return True
