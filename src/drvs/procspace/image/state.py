"""The rest of a process's state: what its threads answer, what /proc says, put into the model's records."""

from __future__ import annotations

import os
import signal
import struct

from drvs.procspace.image import calls, model, procfile, timers
from drvs.procspace.image.errors import Refused
from drvs.procspace.image.registers import Registers
from drvs.procspace.image.remote import Call, Remote

_PR_GET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_GET_SECUREBITS, _PR_GET_TID_ADDRESS = 2, 3, 27, 40
_SIGNALS = [number for number in range(1, 65) if number not in (signal.SIGKILL, signal.SIGSTOP)]
_ALTSTACK, _TID_ADDRESS = 0, 1
_EVERY_THREAD = [
    Call(calls.SIGALTSTACK, (0, None), 24),
    Call(calls.PRCTL, (_PR_GET_TID_ADDRESS, None, 0, 0, 0), 8),
]
_FIRST_THREAD = [
    Call(calls.BRK, (0,)),
    Call(calls.PRCTL, (_PR_GET_DUMPABLE, 0, 0, 0, 0)),
    Call(calls.PRCTL, (_PR_GET_SECUREBITS, 0, 0, 0, 0)),
    Call(calls.PRCTL, (_PR_GET_PDEATHSIG, None, 0, 0, 0), 8),
    *[Call(calls.GETITIMER, (which, None), 32) for which in range(3)],
    *[Call(calls.RT_SIGACTION, (number, 0, None, 8), 32) for number in _SIGNALS],
]

_TIMERS_AT_ONCE = 100

Answers = list[tuple[int, bytes]]


class Asked:
    """The answers of all threads of a process."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.brk = 0
        self.securebits = 0
        self.parent_death_signal = 0
        self.timers: list[tuple[int, bytes]] = []
        self.actions: list[tuple[int, bytes]] = []
        others = [remote.ask(index, _EVERY_THREAD) for index in range(1, len(remote.threads))]
        # The first one last: it is left at the end of its table, whose way back must stay what it is.
        first = remote.ask(0, [*_EVERY_THREAD, *_FIRST_THREAD])
        self.of_threads = [first[: len(_EVERY_THREAD)], *others]
        self._first(first[len(_EVERY_THREAD) :])
        self.threads = [self._thread(index) for index in range(len(remote.threads))]
        pending = calls.queued_signals(remote.pid, shared=True)
        self.signals = model.Signals(
            actions=self.actions, pending=pending, timers=self.timers, posix=self._posix_timers(remote)
        )

    @staticmethod
    def _posix_timers(remote: Remote) -> list[model.PosixTimer]:
        found = timers.of(remote.pid)
        if {timer.tid for timer in found} - {0, *(thread.tid for thread in remote.threads)}:
            raise Refused(f"process {remote.pid} has a timer (timer_create) for a thread that has ended.")
        for at in range(0, len(found), _TIMERS_AT_ONCE):
            some = found[at : at + _TIMERS_AT_ONCE]
            answers = remote.ask(0, [Call(calls.TIMER_GETTIME, (timer.number, None), 32) for timer in some])
            for timer, (_, setting) in zip(some, answers, strict=True):
                timer.setting = setting
        return found

    def _first(self, answers: Answers) -> None:
        (self.brk, _), (dumpable, _), (self.securebits, _), (_, death), *rest = answers
        if dumpable != 1:
            raise Refused(f"process {self.remote.pid} is not dumpable.", "It asked for that (PR_SET_DUMPABLE).")
        if self.securebits > 0:
            raise Refused(f"process {self.remote.pid} has securebits, which cannot be kept.")
        self.parent_death_signal = int.from_bytes(death[:4], "little")
        self.timers = [(which, data) for which, (_, data) in enumerate(rest[:3]) if any(data)]
        self.actions = [
            (number, data)
            for number, (result, data) in zip(_SIGNALS, rest[3:], strict=True)
            if not result and any(data)
        ]

    def _thread(self, index: int) -> model.Thread:
        stopped, pid = self.remote.threads[index], self.remote.pid
        answers = self.of_threads[index]
        stack, flags, size = struct.unpack("<QI4xQ", answers[_ALTSTACK][1])
        with open(f"/proc/{pid}/task/{stopped.tid}/comm", "rb") as file:
            name = file.read().rstrip(b"\n")
        return model.Thread(
            tid=stopped.tid, name=name, registers=_for_later(stopped.registers), xstate=stopped.xstate,
            mask=stopped.mask, altstack=(stack, flags, size), robust=calls.robust_list(stopped.tid),
            tid_address=int.from_bytes(answers[_TID_ADDRESS][1], "little") if answers[_TID_ADDRESS][0] == 0 else 0,
            rseq=stopped.rseq, pending=calls.queued_signals(stopped.tid, shared=False),
        )  # fmt: skip


def _for_later(registers: Registers) -> bytes:
    return registers.out_of_call().pack()


def memory(pid: int, brk: int) -> model.Memory:
    """Return what the kernel keeps about the memory layout."""
    fields = [int(field) if field.lstrip("-").isdigit() else 0 for field in procfile.stat(pid)]
    code, data, args = fields[26:28], fields[45:47], fields[48:52]
    layout = [*code, *data, fields[47], brk, fields[28], *args]
    with open(f"/proc/{pid}/auxv", "rb") as file:
        return model.Memory(layout=layout, auxv=file.read())


def entry_point(auxv: bytes) -> int:
    """Return where the program began (AT_ENTRY)."""
    pairs = dict(struct.iter_unpack("<QQ", auxv))
    return int(pairs.get(9, 0))


def credentials(status: dict[str, str], securebits: int) -> model.Credentials:
    """Return who the process is."""
    uids, gids = (tuple(map(int, status[name].split())) for name in ("Uid", "Gid"))
    sets = [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
    return model.Credentials(
        uids=(uids[0], uids[1], uids[2], uids[3]), gids=(gids[0], gids[1], gids[2], gids[3]),
        groups=list(map(int, status.get("Groups", "").split())),
        capabilities=(sets[0], sets[1], sets[2], sets[3], sets[4]),
        no_new_privs=status.get("NoNewPrivs", "0") == "1", securebits=max(0, securebits),
    )  # fmt: skip


def limits(pid: int) -> list[tuple[int, int]]:
    """Return soft and hard limit of each resource, by its number: the order of the lines in /proc."""
    lines = procfile.text(pid, "limits").splitlines()[1:17]
    return [(_limit(soft), _limit(hard)) for soft, hard in (line[26:].split()[:2] for line in lines)]


def _limit(text: str) -> int:
    return 2**64 - 1 if text == "unlimited" else int(text)


def masks(status: dict[str, str]) -> tuple[int, int]:
    """Return the signals with handlers and those that are pending."""
    return int(status["SigCgt"], 16), int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)


def command(pid: int) -> list[str]:
    """Return the command line."""
    return procfile.text(pid, "cmdline").rstrip("\0").split("\0")


def working_directory(pid: int) -> str:
    """Return where the process works.

    Raises:
        Refused: the directory is gone.
    """
    path = procfile.link(pid, "cwd")
    if path.endswith(" (deleted)") or not os.path.isdir(path):
        raise Refused(f"the working directory of process {pid} has been deleted.")
    return path
