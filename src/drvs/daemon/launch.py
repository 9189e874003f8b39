"""Starting and ending a node, for `drvs up` and `drvs down`."""

import contextlib
import os
import select
import subprocess
import sys
from typing import Any, NamedTuple, NoReturn

from drvs.base import clock, limits, paths
from drvs.base.codes import Code
from drvs.base.errors import DaemonGone, DrvsError, make_error
from drvs.daemon.client import Client


class Started(NamedTuple):
    """A node that runs."""

    pid: int
    node: int
    runtime_dir: str
    vms: int  # taken over from a predecessor
    endpoints: int


def up(
    runtime_dir: str | os.PathLike[str] | None = None,
    *,
    node: int | None = None,
    foreground: bool = False,
    init: bool = True,
    size: dict[str, int] | None = None,
    links: list[str] | None = None,
) -> Started:
    """Start a node; when this returns, it serves. A node that was killed is taken over with all its VMs.

    Args:
        runtime_dir: where; None: DRVS_RUNTIME_DIR, or the user's own place (base.paths).
        node: its id; None: DRVS_NODE, or 0.
        foreground: become noded instead (does not return).
        init: do drvs_init as well.
        size: limits of drvs_init by name.
        links: options of the proxies' process (`python -m drvs.cluster`); None: the node is in no cluster.
    Raises:
        Busy: one runs there already.
        RuntimeDirError: the directory cannot be used.
        DrvsError: it did not start; the text says why.
    """
    number = paths.node_id() if node is None else node
    where = os.path.abspath(runtime_dir or paths.own_runtime_dir(number))
    command = _command(where, number, init, size or {})
    if links is not None:
        command.append("--links=" + "\x01".join(links))
    if foreground:
        _become(command)
    _start(command, where)
    with Client(where) as client:
        status = client.call("status")
        return Started(status.pid, status.node, where, len(status.vms), status.endpoints)


def _command(where: str, number: int, init: bool, size: dict[str, int]) -> list[str]:
    import msgspec

    text = msgspec.json.encode(size).decode()
    command = [
        sys.executable,
        "-P",
        "-m",
        "drvs.daemon",
        "--runtime-dir",
        where,
        "--node",
        str(number),
        "--limits",
        text,
    ]
    return command if init else [*command, "--no-init"]


def _become(command: list[str]) -> NoReturn:
    os.execv(command[0], command)


def _start(command: list[str], where: str) -> None:
    """Start it in a session of its own and wait for its word."""
    ready, tell = os.pipe()
    try:
        with open(os.devnull, "r+b") as nothing:
            process = subprocess.Popen(
                [*command, "--ready-fd", str(tell)], stdin=nothing, stdout=nothing, stderr=nothing, pass_fds=(tell,),
                start_new_session=True, close_fds=True,
            )  # fmt: skip
    finally:
        os.close(tell)
    try:
        word = _read_word(ready, limits.START_MS)
    finally:
        os.close(ready)
    if word == "ready":
        process.returncode = 0  # it is nobody's child to wait for: it outlives us
        return
    if word is None:
        process.kill()
    process.wait()
    raise _not_started(word, where)


def _read_word(fd: int, timeout_ms: int) -> str | None:
    """What noded says; empty if it ended without a word, None if it says nothing in time."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(timeout_ms):
        return None
    return os.read(fd, 4096).decode(errors="replace")


def _not_started(word: str | None, where: str) -> DrvsError:
    if word is None:
        return make_error(Code.TIMEDOUT, "up", detail=f"noded said nothing for {limits.START_MS} ms")
    code, _, text = word.partition(" ")
    if code.lstrip("-").isdigit():
        return make_error(int(code), "up", detail=text)
    hint = f"Run `{os.path.basename(sys.executable)} -m drvs.daemon --runtime-dir {where}` to see why."
    return make_error(Code.GENERIC, "up", detail="noded ended before it was ready", hint=hint)


def down(runtime_dir: str | os.PathLike[str] | None = None, *, keep: bool = False) -> int:
    """End a node and wait until it is gone; returns the pid that noded had.

    Args:
        runtime_dir: where; None finds it.
        keep: end noded alone: the VMs go on, and the next `up` takes them over.
    Raises:
        DaemonGone: none runs there.
        AccessDenied: it is another user's.
        TimedOut: it did not end in time.
    """
    with Client(runtime_dir) as client:
        pid = int(client.call("hello").pid)
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            return pid
        try:
            client.call("shutdown", keep=keep)
            _wait_for_end(watch, pid)
        finally:
            os.close(watch)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # it was ours if this process started it
    return pid


def _wait_for_end(pidfd: int, pid: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    deadline = clock.deadline_after_ms(limits.STOP_MS)
    if not poll.poll((clock.remaining(deadline) or 0) * 1000):
        raise make_error(Code.TIMEDOUT, "down", detail=f"noded (process {pid}) did not end within {limits.STOP_MS} ms")


def status(runtime_dir: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Return all that `drvs status` shows: node, limits, VMs, watched processes, stopped lock holders, features.

    Raises:
        DaemonGone: no node runs there.
    """
    with Client(runtime_dir) as client:
        return client.call("status").fields


__all__ = ["DaemonGone", "Started", "down", "status", "up"]
