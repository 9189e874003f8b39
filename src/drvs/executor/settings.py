"""What an executor is told: checked, and completed with what follows from the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from drvs.base import features
from drvs.executor import pickling
from drvs.executor.call import Options
from drvs.executor.setup import Setup, own_flags, own_path

METHODS = ("image", "fork", "spawn")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
WORKERS_MAX = 16384


class Settings(NamedTuple):
    """See `Executor`."""

    workers: int
    preload: list[str]
    warmup: Callable[[], object] | None
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    image: str | None
    tasks_max: int | None
    restart_max: int
    threads_per_worker: int | None
    start_method: str | None

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            TypeError, ValueError: naming the argument.
        """
        for name in ("warmup", "initializer"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise TypeError(f"{name} must be a callable")
        for name in ("tasks_max", "threads_per_worker"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int):
                raise TypeError(f"{_argument(name)} must be an integer")
            if value is not None and value < 1:
                raise ValueError(f"{_argument(name)} must be >= 1")
        if self.restart_max < 1:
            raise ValueError("restart_max must be >= 1")
        if self.start_method not in (None, *METHODS):
            raise ValueError(f"start_method must be one of {', '.join(METHODS)}, not {self.start_method!r}")

    @property
    def threads(self) -> int:
        """Threads of the numeric libraries' pools in each worker, where the environment does not say otherwise."""
        return self.threads_per_worker or max(1, cores() // self.workers)

    def method(self) -> tuple[str, str]:
        """Return how workers are to be started, and why not by image if not."""
        if self.start_method in ("fork", "spawn"):
            return self.start_method, ""
        if not features.has("images"):
            disabled = "images" in features.disabled()
            return "fork", "DRVS_DISABLE names images" if disabled else "there are images on x86-64 only"
        return "image", ""

    def environment(self) -> dict[str, str]:
        """Return the environment of workers."""
        env = dict(os.environ)
        for name in THREAD_VARIABLES:
            if self.threads_per_worker is not None or name not in env:
                env[name] = str(self.threads)
        return env

    def setup(self) -> Setup:
        """Return what the processes to be started are handed, but for where they find the executor."""
        warmup = pickling.dumps(self.warmup, beside=False)[0] if self.warmup else b""
        initializer = pickling.dumps((self.initializer, self.initargs), beside=False)[0] if self.initializer else b""
        return Setup(
            own_path(), list(sys.argv), own_flags(), sys.executable, self.preload, warmup, initializer,
            self.method()[0], self.image or "", self.workers,
        )  # fmt: skip


def _argument(name: str) -> str:
    return "max_tasks_per_child" if name == "tasks_max" else name


def cores() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def workers(wanted: int | None) -> int:
    """Return how many workers there are to be.

    Raises:
        ValueError: fewer than one, or too many.
    """
    if wanted is None:
        return cores()
    if not 1 <= wanted <= WORKERS_MAX:
        raise ValueError(f"max_workers must be from 1 to {WORKERS_MAX}")
    return wanted


def names(preload: Iterable[str]) -> list[str]:
    """Return the modules to preload.

    Raises:
        TypeError: something else than names of modules.
    """
    found = list(preload)
    if isinstance(preload, str) or not all(isinstance(name, str) for name in found):
        raise TypeError("preload is a list of names of modules")
    return found


def call_options(idempotent: bool, retries: int, timeout: float | None) -> Options:
    """Return the options of a call.

    Raises:
        ValueError: they cannot be meant.
    """
    if retries < 0 or (retries and not idempotent):
        raise ValueError("retries must be >= 0, and needs idempotent=True: a call that is repeated may have run before")
    if timeout is not None and not timeout > 0:
        raise ValueError("timeout must be > 0 seconds, or None")
    return Options(timeout, retries)
