"""Starting a lab's supervisor, and ending a lab in whatever state it is."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

from drvs.base import limits
from drvs.cli.exits import EXISTS
from drvs.lab import certificates, control, place, sweep
from drvs.lab.errors import LabError, NoSuchLab
from drvs.lab.spec import Spec, save


def start(spec: Spec) -> subprocess.Popen[bytes]:
    """Start a supervisor, and return when its lab is up.

    Raises:
        LabError: it is there already, or did not come up; then nothing of it is left.
    """
    place.make(spec.folder)
    lock = place.lock(spec.folder)
    if lock is None:
        hint = "End it with `drvs lab down`, or choose another --name."
        raise LabError(f"lab {spec.name!r} is there already", hint, EXISTS)
    process = None
    try:
        _prepare(spec)
        process, ready = _spawn(spec, lock)
        with open(ready, "rb", buffering=0):
            word = _read_word(ready)
        if word != "ready":
            raise LabError(f"lab {spec.name!r} did not come up: {word or 'its supervisor ended'}", "Try `drvs doctor`.")
    except BaseException:  # Ctrl-C, for one
        if process is not None:
            _end(process)
        os.close(lock)
        down(spec.folder)
        raise
    os.close(lock)
    return process


def _prepare(spec: Spec) -> None:
    """Fill the lab's directory, in which a dead lab may have left something."""
    sweep.kill(spec.folder)
    sweep.clear(spec.folder)
    save(spec)
    if not spec.insecure:
        certificates.make(spec)


def _spawn(spec: Spec, lock: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start the supervisor; returns it and the descriptor on which it says how it went."""
    ready, tell = os.pipe()
    command = [sys.executable, "-P", "-m", "drvs.lab", spec.folder, str(lock), str(tell)]
    try:
        with open(os.path.join(spec.folder, place.LOG), "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock, tell), start_new_session=True
            )
    finally:
        os.close(tell)
    return process, ready


def _read_word(fd: int) -> str:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return (
        os.read(fd, 8192).decode(errors="replace")
        if poll.poll(limits.LAB_UP_MS)
        else f"no answer for {limits.LAB_UP_MS} ms"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a supervisor whose lab is not wanted any more."""
    process.terminate()
    try:
        process.wait(limits.LAB_DOWN_MS / 1000)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def down(folder: str) -> bool:
    """End the lab in `folder`, whatever state it is in, and remove what is left of it.

    Returns:
        Whether there was one.
    """
    there = os.path.isdir(folder)
    supervisor = place.holder(folder)
    if supervisor:
        _down_in_order(folder, supervisor)
    if os.path.isdir(folder):
        sweep.kill(folder)
        sweep.remove(folder)
    return there


def _down_in_order(folder: str, supervisor: int) -> None:
    try:
        watch = os.pidfd_open(supervisor)
    except ProcessLookupError:
        return
    try:
        control.ask(folder, "down", timeout=limits.LAB_DOWN_MS / 1000)
    except NoSuchLab:
        pass  # it is ending
    except LabError:
        signal.pidfd_send_signal(watch, signal.SIGKILL)
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    if not poll.poll(limits.LAB_DOWN_MS):
        signal.pidfd_send_signal(watch, signal.SIGKILL)
        poll.poll(limits.LAB_DOWN_MS)
    os.close(watch)
