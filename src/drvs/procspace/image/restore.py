"""Restore: from a stream to a running process, which is a child of the caller. No ptrace is needed.

The child of a fork opens what the image has open, takes the identity of the dumped process, and then leaves Python for
a table of system calls (`plan`) that replaces all its memory. Whatever fails before the last step ends the child, and
is told through a pipe; so nothing half-made is left, and nothing of the image runs before its last checksum has passed.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import struct
from typing import NoReturn

from drvs.core import _core
from drvs.procspace.image import calls, checks, errors, machine, maps, model, plan, procfile
from drvs.procspace.image.errors import BadImage, ImageError, Mismatch
from drvs.procspace.image.format import Reader
from drvs.procspace.image.reopen import Reopener

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP = 1, 38, 8, 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_FAILURE = struct.Struct("<QQq")


def restore(fd: int, *, keep_pid: bool = False, detach: bool = False) -> int:
    """Make the process of an image run again, as a child of the caller.

    Its standard streams are the caller's. Returns when it runs; wait for it with os.waitpid.

    Args:
        fd: the image; a pipe will do.
        keep_pid: give process and threads the ids they had; needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
        detach: put it into a session of its own.

    Returns:
        The pid.

    Raises:
        BadImage: the stream is damaged or none of ours.
        Mismatch: the image does not fit here, or the pid is taken.
        Refused: the image is not the caller's.
        ImageError: a step failed; no process is left.
    """
    machine.blob()
    checks.check_owner(fd)
    reader = Reader(fd)
    reader.header()
    meta = reader.meta()
    checks.check_fit(meta)
    told, tell = os.pipe2(os.O_CLOEXEC)
    try:
        pid = _fork(meta.pid if keep_pid else 0)
        if pid == 0:
            _become(meta, reader, tell, keep_pid, detach)
        os.close(tell)
        tell = -1
        _await_ready(pid, told)
        return pid
    finally:
        os.close(told)
        if tell >= 0:
            os.close(tell)


def _fork(wanted: int) -> int:
    # Signals wait until the child has the dumped process's handlers, or the parent its own again.
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    pid = -1
    try:
        pid = _fork_as(wanted) if wanted else os.fork()
    finally:
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _fork_as(wanted: int) -> int:
    """Fork under a pid of choice.

    The C library cannot, and a raw system call leaves its locks as other threads of ours hold them just then (malloc's,
    for one). So a child of a usual fork, which has one thread and free locks, makes the one that is wanted as ours.
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    helper = os.fork()
    if not helper:
        failed = 0
        try:
            if _core.image_fork(wanted) == 0:
                os.close(told)
                os.close(tell)
                return 0
        except OSError as error:
            failed = error.errno or errno.EIO
        os.write(tell, bytes([failed]))
        os._exit(0)
    os.close(tell)
    said = os.read(told, 1)
    os.close(told)
    os.waitpid(helper, 0)
    failed = said[0] if said else errno.EIO
    if failed == errno.EEXIST:
        raise Mismatch(f"pid {wanted} is taken.", "Restore it without --keep-pid, or end that process first.")
    if failed:
        raise ImageError(
            f"pid {wanted} cannot be chosen: {os.strerror(failed)}.",
            "That needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE in this pid namespace.",
        )
    return wanted


# ---- in the parent ---------------------------------------------------------------------------------------------------


def _await_ready(pid: int, told: int) -> None:
    said = b""
    try:
        while part := os.read(told, 65536):
            said += part
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    if said == plan.READY:
        return
    _, status = os.waitpid(pid, 0)
    raise _failure(said, status)


def _failure(said: bytes, status: int) -> ImageError:
    if said[:1] == b"{":
        told = json.loads(said)
        kind = getattr(errors, told["kind"], ImageError)
        error: ImageError = kind(told["text"])
        error.hint = told["hint"]
        return error
    if len(said) != _FAILURE.size:
        return ImageError(f"the restored process ended before it was complete ({os.waitstatus_to_exitcode(status)}).")
    what, argument, result = _FAILURE.unpack(said)
    if what == 0x10000:
        reasons = {84: "a checksum is wrong", 61: "it ends too early", 14: "its pages have no mapping to go to"}
        return BadImage(f"the image is damaged: {reasons.get(-result, os.strerror(-result))}.", "Make it again.")
    name = calls.NAMES.get(what, f"system call {what}")
    if what == 0x10001 and -result == 17:
        return Mismatch("the id of a thread is taken.", "Restore it without --keep-pid.")
    return ImageError(f"{name} ({argument:#x}) failed: {os.strerror(-result)}.")


# ---- in the child ----------------------------------------------------------------------------------------------------


def _become(meta: model.Meta, reader: Reader, tell: int, keep_ids: bool, detach: bool) -> NoReturn:
    try:
        calls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if detach:
            os.setsid()
        _raise_limits(meta)
        above = 1 + max([2, *(number for opened in meta.open_files for number, _ in opened.numbers)])
        reopener = Reopener(meta, above)
        tell = reopener.lift(tell)
        reader.fd = reopener.lift(reader.fd)
        files = _files(meta, reopener, reader.fd, tell)
        reopener.make()
        reopener.fill(reader.data(meta))
        files.memfds = {
            opened.inode: reopener.made[index]
            for index, opened in enumerate(meta.open_files)
            if isinstance(opened, model.MemFd)
        }
        reopener.finish()
        os.chdir(meta.cwd)
        os.umask(meta.umask)
        made = plan.make(meta, maps.read(os.getpid()), files, keep_ids)
        area = made.area
        # From here on nothing may be looked up: the other user may not read /proc/self, nor this Python.
        _take_identity(meta.credentials)
        _core.image_enter(
            area.base, made.data, area.code_at, area.code_end, area.code_at + area.entry, made.ops, made.stack
        )
    except BaseException as error:
        _tell(tell, error)
    os._exit(127)


def _tell(tell: int, error: BaseException) -> None:
    hint = getattr(error, "hint", "")
    known = isinstance(error, ImageError)
    text = str(error).removesuffix(hint).rstrip() if known else f"the process cannot be made: {error}."
    kind = type(error).__name__ if known else "ImageError"
    try:
        os.write(tell, json.dumps({"kind": kind, "text": text, "hint": hint}).encode())
    except OSError:
        pass


def _raise_limits(meta: model.Meta) -> None:
    """Make room for descriptors above those of the image, and raise what only root may raise."""
    if os.geteuid() == 0:
        for number, (_, hard) in enumerate(meta.limits):
            soft, ours = resource.getrlimit(number)
            if hard > ours & 2**64 - 1:
                resource.setrlimit(number, (soft, hard if hard < 2**63 else -1))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _files(meta: model.Meta, reopener: Reopener, stream: int, status: int) -> plan.Files:
    writable = {region.file for region in meta.regions if region.writable_file}
    mapped = {
        index: reopener.lift(os.open(file.path, (os.O_RDWR if index in writable else os.O_RDONLY) | os.O_CLOEXEC))
        for index, file in enumerate(meta.files)
    }
    exe = -1
    try:
        exe = reopener.lift(os.open(meta.exe, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        pass
    return plan.Files(stream, status, reopener.above, mapped, {}, exe)


def _take_identity(who: model.Credentials) -> None:
    """Become the user that the dumped process was, with no more than it could do."""
    inheritable, permitted, effective, bounding, ambient = who.capabilities
    ours = _permitted()
    if os.geteuid() == 0:
        for capability in range(64):
            if not bounding >> capability & 1:
                try:
                    calls.prctl(_PR_CAPBSET_DROP, capability)
                except OSError:
                    pass  # the kernel has fewer, or we had less ourselves
        os.setgroups(who.groups)
        calls.prctl(_PR_SET_KEEPCAPS, 1)
        os.setresgid(*who.gids[:3])
        os.setresuid(*who.uids[:3])
        calls.prctl(_PR_SET_KEEPCAPS, 0)
        calls.capset(permitted & effective & ours, permitted & ours, inheritable)
        for capability in range(64):
            if ambient >> capability & 1:
                calls.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
    if who.no_new_privs:
        calls.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    calls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user has cleared it


def _permitted() -> int:
    return int(procfile.status(os.getpid())["CapPrm"], 16)
