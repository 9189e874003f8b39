"""The runtime directory: made, checked, locked, and left tidy."""

import fcntl
import os
import shutil

from drvs.base import paths
from drvs.base.codes import Code
from drvs.base.errors import Busy, DrvsError, RuntimeDirError

#: What noded makes in it, in the order in which it is removed.
CONTENTS = (paths.SOCKET, "proc", paths.PRIVATE, paths.LOCK)


def prepare(runtime_dir: str) -> None:
    """Make the directory (0755) and its private part (0700).

    Raises:
        RuntimeDirError: it cannot be made, or must not be used; the text says why and what to do.
    """
    if not paths.short_enough(os.path.join(runtime_dir, paths.KEEPER_SOCKET)):
        raise _unusable(f"{runtime_dir} is too long for a socket's address: set DRVS_RUNTIME_DIR to a shorter one")
    private = os.path.join(runtime_dir, paths.PRIVATE)
    try:
        problem = _make_own(runtime_dir, 0o755) or _make_own(private, 0o700)
    except OSError as error:
        raise _unusable(f"{error.filename or runtime_dir} cannot be used: {error.strerror}") from None
    if problem:
        raise _unusable(problem)


def _make_own(path: str, mode: int) -> str | None:
    """Make it unless it is there; returns why it must not be used, if so."""
    try:
        os.mkdir(path, mode)
        os.chmod(path, mode)  # whatever the umask is
    except FileExistsError:
        pass
    return paths.check_owned(path, os.geteuid())


def _unusable(detail: str) -> DrvsError:
    return RuntimeDirError(Code.NOTDIR, "up", detail=detail)


def lock(runtime_dir: str) -> int:
    """Take the node's lock for the life of this process; returns the descriptor that holds it.

    Raises:
        Busy: another noded has it; the text names it.
        RuntimeDirError: the lock file cannot be made.
    """
    path = os.path.join(runtime_dir, paths.LOCK)
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise _unusable(f"{path} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 32, 0).decode(errors="replace").strip() or "another process"
            os.close(fd)
            raise Busy(
                Code.DRVSBUSY, "up", detail=f"a node runs already in {runtime_dir} (noded is process {pid})"
            ) from None
        if _is_at(fd, path):  # not one that its holder has just removed
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            return fd
        os.close(fd)


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def is_running(runtime_dir: str) -> bool:
    """Say whether a noded holds the lock."""
    try:
        fd = os.open(os.path.join(runtime_dir, paths.LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def tidy(runtime_dir: str) -> list[str]:
    """Remove what noded made, and the directory itself if that was all; returns the paths that are gone."""
    gone = []
    for name in CONTENTS:
        path = os.path.join(runtime_dir, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        elif os.path.lexists(path):
            os.unlink(path)
        else:
            continue
        gone.append(path)
    try:
        os.rmdir(runtime_dir)
        gone.append(runtime_dir)
    except OSError:
        pass
    return gone
