"""mount and umount: start a process that serves a mount, find mounts of ours, end them."""

from __future__ import annotations

import errno
import os
import select
import stat
import subprocess
import sys
from typing import IO, NoReturn

from drvs.base import limits
from drvs.base.codes import Code
from drvs.base.errors import DrvsError, make_error
from drvs.procview.fuse import needs
from drvs.procview.fuse.serve import KIND, serve


def mounted() -> list[str]:
    """Return where views are mounted, as this process sees it."""
    with open("/proc/self/mountinfo", "rb") as file:
        lines = [line.split() for line in file]
    return [_unescape(line[4]) for line in lines if line[line.index(b"-") + 1] == f"fuse.{KIND}".encode()]


def _unescape(field: bytes) -> str:
    r"""mountinfo writes blanks and backslashes as \040."""
    return os.fsdecode(field.decode("latin-1").encode().decode("unicode_escape").encode("latin-1"))


def mount(runtime_dir: str, where: str, *, allow_other: bool = False, foreground: bool = False) -> int:
    """Mount the view of a node; when this returns, it can be read.

    Args:
        runtime_dir: of the node, which has to run.
        where: an empty directory.
        allow_other: other users may read it too, with the caller's rights at the node.
        foreground: serve it in this process, and return when it is unmounted.

    Returns:
        The process that serves it.

    Raises:
        NotSupported: this host has no FUSE; the hint says what to install.
        RuntimeDirError: the directory cannot be mounted on.
        Busy: a view is mounted there already.
    """
    needs.check()
    where = os.path.realpath(where)
    _clear_dead(where)
    _check_place(where)
    if not foreground:
        return _start(runtime_dir, where, allow_other)
    serve(runtime_dir, where, allow_other=allow_other)
    return os.getpid()


def _clear_dead(where: str) -> None:
    """Unmount a view whose process was killed.

    Raises:
        Busy: a view that lives is mounted there.
    """
    if where not in mounted():
        return
    try:
        os.stat(where)
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            umount(where, lazy=True)
            return
    hint = f"Unmount it first: drvs umount {where}"
    raise make_error(Code.BUSY, "mount", detail=f"a view is mounted on {where} already", hint=hint)


def _check_place(where: str) -> None:
    try:
        if not stat.S_ISDIR(os.stat(where).st_mode):
            _unusable(f"{where} is not a directory")
        if os.listdir(where):
            _unusable(f"{where} is not empty")
    except OSError as error:
        if isinstance(error, DrvsError):
            raise
        _unusable(f"{where} cannot be used: {error.strerror}")


def _unusable(detail: str) -> NoReturn:
    raise make_error(Code.NOTDIR, "mount", detail=detail, hint="Choose an empty directory of your own: mkdir DIR.")


def _start(runtime_dir: str, where: str, allow_other: bool) -> int:
    """Start a process in a session of its own, and wait for its word."""
    ready, tell = os.pipe()
    command = [sys.executable, "-P", "-m", "drvs.procview.fuse", "--runtime-dir", runtime_dir]
    command += ["--ready-fd", str(tell), *(["--allow-other"] if allow_other else []), where]
    with open(os.memfd_create("drvs-mount"), "r+b") as said:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, pass_fds=(tell,), cwd="/",
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(tell)
        try:
            _wait_ready(process, ready, said)
        finally:
            os.close(ready)
    process.returncode = 0  # it is nobody's child to wait for: it outlives us
    return process.pid


def _wait_ready(process: subprocess.Popen[bytes], ready: int, said: IO[bytes]) -> None:
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    if poll.poll(limits.START_MS) and os.read(ready, 16) == b"ready":
        return
    process.kill()
    process.wait()
    said.seek(0)
    words = said.read().decode(errors="replace")
    raise needs.refused(words or f"it said nothing for {limits.START_MS} ms")


def umount(where: str, *, lazy: bool = False) -> None:
    """Unmount a view.

    Args:
        where: where it is mounted.
        lazy: take it out of the tree of directories at once, even while programs have files in it open.

    Raises:
        NotSupported: fusermount3 is not there.
        RuntimeDirError: no view is mounted there.
        Busy: it is in use.
    """
    place = os.path.realpath(where)
    known = mounted()
    if place not in known:
        hint = f"Views are mounted on: {', '.join(known)}." if known else "No view is mounted: see drvs mount --help."
        raise make_error(Code.NOTDIR, "umount", detail=f"no view is mounted on {where}", hint=hint)
    try:
        done = subprocess.run(
            [needs.HELPER, "-u", *(["-z"] if lazy else []), place], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise needs.unsupported(*next(needs.missing())) from None
    if done.returncode:
        raise _refused(place, done.stderr.strip())


def _refused(where: str, said: str) -> DrvsError:
    if "busy" in said:
        hint = "Leave it (a shell stands in it, or a file is open), or add --lazy."
        return make_error(Code.BUSY, "umount", detail=f"{where} is in use", hint=hint)
    return make_error(Code.PERM, "umount", detail=said or f"{needs.HELPER} failed", hint="Whoever mounted it may.")
