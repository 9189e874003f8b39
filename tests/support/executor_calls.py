"""Calls for executors under test: importable in workers, as functions of a test module are not."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

_state: dict[str, Any] = {}


def echo(value: Any) -> Any:
    """Return it."""
    return value


def add(left: int, right: int = 0) -> int:
    """Return the sum."""
    return left + right


def raise_error(text: str) -> None:
    """Raise a ValueError with a note of where."""
    raise ValueError(text)


def pid_of(_: Any = None) -> int:
    """Return the worker's process id."""
    return os.getpid()


def die(status: int) -> None:
    """Leave at once."""
    os._exit(status)


def die_complaining(words: str) -> None:
    """Say something on stderr, and leave."""
    os.write(2, words.encode())
    os._exit(3)


def kill_self(number: int = signal.SIGKILL) -> None:
    """Die by a signal."""
    os.kill(os.getpid(), number)
    threading.Event().wait()


def crash() -> None:
    """Read address 0."""
    import faulthandler

    faulthandler.disable()
    ctypes.string_at(0)


def leave() -> None:
    """Call sys.exit."""
    sys.exit("leaving")


def die_once(path: str) -> str:
    """Die the first time, as a file remembers; answer the second time."""
    if not Path(path).exists():
        Path(path).touch()
        kill_self()
    return "second"


def wait_for(path: str) -> str:
    """Say on a fifo that the call runs, and wait until somebody writes there."""
    with open(path + ".in", "w") as started:
        started.write(f"{os.getpid()}\n")
    with open(path + ".out") as go:
        return go.read()


def hang() -> None:
    """Never return."""
    threading.Event().wait()


def initialise(value: Any) -> None:
    """Note something, for `noted`."""
    _state["noted"] = value


def note(value: Any) -> None:
    """Note something of this worker's own."""
    _state["own"] = value


def noted(what: str = "noted") -> Any:
    """Return what `initialise` (or `note`: "own") noted in this worker."""
    return _state.get(what)


def fail_to_initialise() -> None:
    """Raise."""
    raise ZeroDivisionError("this initializer never works")


class Unpicklable:
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("not this one")


def return_unpicklable() -> Unpicklable:
    """Return what cannot travel."""
    return Unpicklable()


class Stubborn(Exception):
    """Pickles, but cannot be rebuilt."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("stubborn")


def raise_stubborn() -> None:
    """Raise what cannot be rebuilt."""
    raise Stubborn(1, 2)


def environment(name: str) -> str | None:
    """Return an environment variable of the worker."""
    return os.environ.get(name)


def facts() -> dict[str, Any]:
    """Return what a worker's surroundings are like."""
    return {
        "pid": os.getpid(), "group": os.getpgrp(), "parent": os.getppid(), "cwd": os.getcwd(),
        "stdin": os.readlink("/proc/self/fd/0"), "argv": list(sys.argv), "modules": sorted(sys.modules),
        "threads": len(os.listdir("/proc/self/task")),
    }  # fmt: skip


def change(array: Any) -> Any:
    """Write into an array that came as an argument, and return it."""
    array[0] = 42
    return array


def own_executor() -> int:
    """Use an executor of the worker's own."""
    import drvs

    with drvs.Executor(1, start_method="spawn") as inner:
        return int(inner.submit(add, 1, 2).result())


def spin(seconds: float) -> float:
    """Compute for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return seconds


def mostly_harmless(number: int) -> int:
    """Return it, or die: at about one in fifty."""
    if hash((number, os.getpid(), time.monotonic_ns())) % 50 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def say(text: str) -> None:
    """Say something on stderr."""
    os.write(2, text.encode())


def close_quietly(fd: int) -> None:
    """Close a descriptor."""
    with contextlib.suppress(OSError):
        os.close(fd)
