"""Who is refused before anything is touched, each by the name of what an image cannot keep."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from drvs.procspace.image import calls, procfile
from drvs.procspace.image.errors import Refused

_NAMESPACES = ("pid", "pid_for_children", "mnt", "net", "user", "ipc", "uts", "time")
_CLASS_64 = 2
_BETWEEN = "has no program now: it ended, or one is being executed"

Problems = Iterator[tuple[str, str]]


def check(pid: int, exempt: Collection[int] = ()) -> None:
    """Look at a running process without touching it; `exempt` are children of it that do not matter.

    Raises:
        Refused: it cannot be dumped; the text says why.
    """
    if pid == os.getpid():
        raise Refused("a process cannot dump itself yet.", "Run `drvs image dump` beside it.")
    status = procfile.status(pid)
    for refuse in (_tracer, _state, _filters, _dumpable, _namespaces, _machine, _memory):
        for problem, hint in refuse(pid, status):
            raise Refused(f"process {pid} ({status['Name']}) {problem}.", hint)
    _no_children(pid, exempt)


def check_stopped(pid: int, exempt: Collection[int] = ()) -> None:
    """Look again when nothing moves any more: at what may have changed since.

    Raises:
        Refused: it has forked, or filtered its system calls, meanwhile.
    """
    status = procfile.status(pid)
    for problem, hint in _filters(pid, status):
        raise Refused(f"process {pid} ({status['Name']}) {problem}.", hint)
    _no_children(pid, exempt)


def _state(pid: int, status: dict[str, str]) -> Problems:
    if status["State"][0] in "ZX":
        alone = len(procfile.threads(pid)) < 2
        yield "has ended" if alone else "has no first thread now: it ended, or a program is being executed", ""
    if "VmSize" not in status:
        yield "is a thread of the kernel", ""
    if status["State"][0] in "Tt":
        yield "is stopped", f"Let it go on first (kill -CONT {pid})."


def _tracer(pid: int, status: dict[str, str]) -> Problems:
    if status["TracerPid"] != "0":
        yield f"is traced by process {_process_of(int(status['TracerPid']))}", "End the debugger first."


def _process_of(tid: int) -> str:
    try:
        return procfile.status(tid)["Tgid"]
    except (Refused, KeyError):
        return str(tid)


def _filters(pid: int, status: dict[str, str]) -> Problems:
    for tid in procfile.threads(pid):
        try:
            of_thread = procfile.status(pid, tid)
        except Refused:
            continue
        if of_thread.get("Seccomp", "0") != "0":
            yield "has a seccomp filter, which cannot be read back", ""
        if "shstk" in of_thread.get("x86_Thread_features", ""):
            yield "has a shadow stack", "Start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off."


def _dumpable(pid: int, status: dict[str, str]) -> Problems:
    effective = int(status["Uid"].split()[1])
    if os.geteuid() not in (0, effective):
        yield "belongs to another user", "Be that user, or root."
    if os.stat(f"/proc/{pid}/maps").st_uid != effective:
        yield "is not dumpable", "It asked for that (PR_SET_DUMPABLE), or changed its user."


def _namespaces(pid: int, status: dict[str, str]) -> Problems:
    for name in _NAMESPACES:
        theirs, ours = procfile.link(pid, f"ns/{name}"), procfile.link(os.getpid(), f"ns/{name}")
        if not theirs:
            between = os.geteuid() == 0 or procfile.state(pid) in ("Z", "X", "")
            yield (_BETWEEN, "") if between else ("is not yours to look at", "Be its user, or root.")
        if theirs != ours:
            yield f"lives in another {name} namespace", "Dump it from within its container."
    root = procfile.link(pid, "root")
    if root != procfile.link(os.getpid(), "root"):
        yield "has another root directory" if root else _BETWEEN, ""


def _machine(pid: int, status: dict[str, str]) -> Problems:
    try:
        with open(f"/proc/{pid}/exe", "rb") as file:
            head = file.read(5)
    except FileNotFoundError:  # between two programs there is none
        yield _BETWEEN, ""
        return
    if head[4:] != bytes([_CLASS_64]):
        yield "is a 32-bit program", ""


def _memory(pid: int, status: dict[str, str]) -> Problems:
    """A child of vfork runs in the memory of its parent, which sleeps meanwhile."""
    parent = int(status["PPid"])
    if parent and calls.same_memory(pid, parent):
        yield f"shares its memory with process {parent}", "Dump it when it has executed its program (vfork)."


def _no_children(pid: int, exempt: Collection[int]) -> None:
    children = [child for child in procfile.living_children(pid) if child not in exempt]
    if children:
        shown = ", ".join(map(str, children[:5]))
        raise Refused(f"process {pid} has running children ({shown}).", "Dump it when they have ended.")
