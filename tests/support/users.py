"""The unprivileged side: run something as uid 65534, in a forked process."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support import procfs
from support.children import PATIENCE_S, Child, spawn

NOBODY = 65534

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18


def become_nobody(uid: int = NOBODY) -> None:
    """Give up root for good, and be a process like one that `uid` started itself."""
    open_the_way()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # A process that changed its uid is not dumpable: its own user could not read its /proc nor copy its memory.
    procfs.prctl(procfs.PR_SET_DUMPABLE, 1)
    procfs.prctl(procfs.PR_SET_PDEATHSIG, signal.SIGKILL)  # which the change of uid has cleared
    os.environ["HOME"] = "/"
    os.environ.pop("XDG_RUNTIME_DIR", None)


def spawn_as_nobody(function: Callable[..., Any], *args: Any, uid: int = NOBODY, **kwargs: Any) -> Child:
    """Start `function(me, *args)` in a forked child of uid 65534."""
    return spawn(function, *args, prepare=lambda: become_nobody(uid), **kwargs)


def as_nobody(function: Callable[..., Any], *args: Any, timeout: float = PATIENCE_S) -> Any:
    """Run `function(*args)` as uid 65534 in a forked child and return its result."""
    return spawn_as_nobody(lambda me: function(*args)).result(timeout)


def drop_ptrace_capability() -> None:
    """Keep root, but lose the right to read any process's memory: as under Yama, for processes of other users."""

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    class Data(ctypes.Structure):
        _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))

    libc, header, data = ctypes.CDLL(None, use_errno=True), Header(0x20080522, 0), (Data * 2)()
    assert libc.capget(ctypes.byref(header), data) == 0
    data[0].effective &= ~(1 << 19)
    data[0].permitted &= ~(1 << 19)
    assert libc.capset(ctypes.byref(header), data) == 0


# ---- the interpreter and the project may lie below a directory that is root's alone (/root, a temporary one) ----


def open_the_way() -> None:
    """In a mount namespace of this process's own, let other users reach Python and the project."""
    closed: dict[Path, list[Path]] = {}
    for needed in sorted(_needed_folders()):
        if barrier := _closed_ancestor(needed):
            closed.setdefault(barrier, []).append(needed)
    if not closed:
        return
    try:
        _libc("unshare", CLONE_NEWNS)
    except PermissionError:
        return  # a container without CAP_SYS_ADMIN: what is imported already has to do
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    for barrier, folders in closed.items():
        _replace(barrier, folders)


def _needed_folders() -> set[Path]:
    project = Path(__file__).resolve().parent.parent.parent
    places = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *sys.path) if place}
    return {place for place in places if place.is_dir() and not place.is_relative_to(project)} | {project}


def _closed_ancestor(folder: Path) -> Path | None:
    """The topmost directory above `folder` (or it itself) that others may not enter."""
    way: Iterator[Path] = reversed([folder, *folder.parents])
    return next((place for place in way if place.stat().st_mode & 0o005 != 0o005), None)


def _replace(barrier: Path, folders: list[Path]) -> None:
    """Put an open, empty directory in the barrier's place, with nothing in it but these folders."""
    held = {folder: os.open(folder, os.O_PATH) for folder in folders}
    _mount("tmpfs", str(barrier), "tmpfs", 0, "mode=755")
    for folder, fd in held.items():
        folder.mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{fd}", str(folder), None, MS_BIND | MS_REC)
        os.close(fd)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encode = [text.encode() if text else None for text in (source, target, kind, options)]
    _libc("mount", encode[0], encode[1], encode[2], flags, encode[3])


def _libc(call: str, *arguments: Any) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), call)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}{arguments}: {os.strerror(number)}")
