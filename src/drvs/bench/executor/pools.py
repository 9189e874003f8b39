"""The pools, behind three methods: `submit` (whose futures have `result`), `map` and `close`.

Only what comes with Python is imported before a pool is chosen: the processes of some pools import this module anew.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from typing import Any

PRELOAD = ["numpy", "drvs.bench.executor.calls"]


class AnyPool:
    """One way to have calls made in other processes."""

    name = "?"
    package = ""
    """What has to be installed for it."""

    def missing(self) -> str | None:
        """Return why it cannot be measured here, None if it can."""
        return None if not self.package or find_spec(self.package) else f"{self.package} is not installed"

    def load(self) -> None:
        """Import what a program that uses it has at its top."""

    def open(self, workers: int) -> None:
        """Make the pool: what the clock runs for."""
        raise NotImplementedError

    def submit(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Start a call and return its future."""
        return self.executor.submit(function, *arguments)

    def map(self, function: Callable[..., Any], items: Iterable[Any], **options: int) -> list[Any]:
        """Make many calls, as the pool does it if it is not told how."""
        return list(self.executor.map(function, items, **options))

    def close(self) -> None:
        """End its processes."""
        self.executor.shutdown()

    def started_by(self) -> str:
        """Say how its workers were started, if that is not in its name."""
        return ""

    def pids(self) -> list[int]:
        """Return the pids of its workers as far as they have been started."""
        return list(self.executor._processes or ())

    executor: Any


class DrvsPool(AnyPool):
    """drvs.Executor; with `image`, from an image that an earlier one has left there."""

    def __init__(self, image: str | None = None) -> None:
        self.name = "drvs (image file)" if image else "drvs"
        self.image = image

    def load(self) -> None:
        self.kind: Any = import_module("drvs").Executor

    def open(self, workers: int) -> None:
        self.executor = self.kind(workers, preload=PRELOAD, image=self.image)

    def started_by(self) -> str:
        return str(self.executor.start_method)

    def pids(self) -> list[int]:
        return list(self.executor.info["pids"])


class Standard(AnyPool):
    """concurrent.futures.ProcessPoolExecutor, with one of its start methods."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.name = f"ProcessPoolExecutor ({method})"

    def open(self, workers: int) -> None:
        context: Any = multiprocessing.get_context(self.method)
        if self.method == "forkserver":
            context.set_forkserver_preload(PRELOAD)
        self.executor = ProcessPoolExecutor(workers, mp_context=context)


class Loky(AnyPool):
    """loky's executor, as joblib uses it."""

    name, package = "loky", "loky"

    def load(self) -> None:
        self.kind: Any = import_module("loky").ProcessPoolExecutor

    def open(self, workers: int) -> None:
        self.executor = self.kind(workers)


class Ray(AnyPool):
    """Ray on this machine alone: tasks of one CPU."""

    name, package = "Ray", "ray"

    def load(self) -> None:
        self.ray: Any = import_module("ray")

    def open(self, workers: int) -> None:
        self.ray.init(num_cpus=workers, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        self.tasks: dict[Callable[..., Any], Any] = {}

    def submit(self, function: Callable[..., Any], *arguments: object) -> Any:
        return _RayFuture(self.ray, self._task(function).remote(*arguments))

    def _task(self, function: Callable[..., Any]) -> Any:
        if function not in self.tasks:
            self.tasks[function] = self.ray.remote(function)
        return self.tasks[function]

    def map(self, function: Callable[..., Any], items: Iterable[Any], **options: int) -> list[Any]:
        task = self._task(function)
        return list(self.ray.get([task.remote(item) for item in items]))

    def close(self) -> None:
        self.ray.shutdown()


class _RayFuture:
    def __init__(self, ray: Any, reference: Any) -> None:
        self.ray = ray
        self.reference = reference

    def result(self) -> Any:
        return self.ray.get(self.reference)


class Dask(AnyPool):
    """dask.distributed on this machine alone: processes of one thread."""

    name, package = "Dask", "distributed"

    def load(self) -> None:
        self.distributed: Any = import_module("distributed")
        warnings.simplefilter("ignore")  # it would rather have arrays sent in another way

    def open(self, workers: int) -> None:
        cluster = self.distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
        )
        self.executor = self.distributed.Client(cluster)

    def submit(self, function: Callable[..., Any], *arguments: object) -> Any:
        return self.executor.submit(function, *arguments, pure=False)

    def map(self, function: Callable[..., Any], items: Iterable[Any], **options: int) -> list[Any]:
        return list(self.executor.gather(self.executor.map(function, list(items), pure=False)))

    def close(self) -> None:
        cluster = self.executor.cluster
        self.executor.close()
        cluster.close()


def named(name: str, image: str | None = None) -> AnyPool:
    """Return a pool by the name it has on the command line of `alone.py`."""
    if name == "drvs":
        return DrvsPool(image)
    others: dict[str, Callable[[], AnyPool]] = {"loky": Loky, "ray": Ray, "dask": Dask}
    return others[name]() if name in others else Standard(name)
