"""Executor: what programs use. Everything else in this package is how it is done."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import Executor as StandardExecutor
from typing import Any, NoReturn

from drvs.executor import chunks, failures, settings
from drvs.executor.call import USUAL, Options
from drvs.executor.future import CallFuture
from drvs.executor.pool import Pool


class Executor(StandardExecutor):
    """Run calls in warm worker processes: a `concurrent.futures.Executor`.

    Workers start with `preload` imported and `warmup()` run, once for all of them. A worker that dies fails only the
    call that it ran, and is replaced. Functions and classes of `__main__` (scripts, notebooks) travel by value; nothing
    is imported twice.

    Nothing is started before the first call. Leaving the ``with`` statement, or `shutdown`, waits for all calls.

    Args:
        max_workers: how many processes; None for one for each CPU that this process may use.
        preload: names of modules that workers are to find imported.
        warmup: called once, after that, in the process that workers are made from.
        initializer, initargs: called in every worker before its first call.
        image: a file to keep the image of the prepared process in; made if it is not there, used as it is if it is.
        max_tasks_per_child: calls (or chunks of `map`) after which a worker is replaced; None: never.
        restart_max: so many workers that die in a row, with no call finished between them, break the executor.
        threads_per_worker: threads of the BLAS and OpenMP pools in each worker; None: the CPUs divided by the workers,
            unless the environment sets them (OMP_NUM_THREADS and its like).
        start_method: "image", "fork" or "spawn"; None: the first of them that works here.

    Raises:
        ValueError, TypeError: an argument out of range or of the wrong type.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        preload: Iterable[str] = (),
        warmup: Callable[[], object] | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        image: str | os.PathLike[str] | None = None,
        max_tasks_per_child: int | None = None,
        restart_max: int = 3,
        threads_per_worker: int | None = None,
        start_method: str | None = None,
    ) -> None:
        self._settings = settings.Settings(
            settings.workers(max_workers), settings.names(preload), warmup, initializer, initargs,
            os.fspath(image) if image is not None else None, max_tasks_per_child, restart_max, threads_per_worker,
            start_method,
        )  # fmt: skip
        self._settings.check()
        self._pool = Pool(self._settings)
        self._finalizer = weakref.finalize(self, self._pool.close)
        self._finalizer.atexit = False  # `_at_exit` does it, and waits

    # ---- looking -------------------------------------------------------------------------------------------------

    @property
    def max_workers(self) -> int:
        """How many worker processes there are to be."""
        return self._settings.workers

    @property
    def start_method(self) -> str:
        """How workers are started: "image", "fork" or "spawn". Waits, once there was a call, until that is settled."""
        return self._pool.start_method

    @property
    def info(self) -> dict[str, Any]:
        """What was settled: start_method and why, workers, the pids of those that run, threads_per_worker."""
        return self._pool.info()

    def __repr__(self) -> str:
        threads = self._settings.threads
        return f"<drvs.Executor of {self.max_workers} workers, {threads} BLAS threads each, {self._pool.state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Executor cannot be pickled: it belongs to the process that made it. A call that needs one makes its own"
        )

    # ---- calls ---------------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have `fn(*args, **kwargs)` called in a worker.

        Returns:
            Its future. Arguments that cannot be pickled are an error of the future.

        Raises:
            RuntimeError: the executor was shut down, or belongs to the process that this one was forked from.
            BrokenProcessPool: it is broken.
        """
        return self._pool.submit(CallFuture(self._pool.collector), (fn, args, kwargs), USUAL)

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None,
        chunksize: int | None = None,
    ) -> Iterator[Any]:  # fmt: skip
        """Call `fn` with each item (of several iterables: with one of each), in workers; yield results in order.

        Args:
            fn: what to call.
            iterables: read to their ends at once.
            timeout: seconds from now until the last result has to be there.
            chunksize: calls that travel together. None finds it: small calls travel in chunks of about a millisecond,
                long ones by themselves. If a worker dies, all calls of its chunk fail; with 1 each is for itself.

        Raises:
            TimeoutError: from the iterator, when the time is over.
            What `submit` raises; what a call raised, from the iterator, at its place.
        """
        return self._map(USUAL, fn, iterables, timeout, chunksize)

    def options(self, *, idempotent: bool = False, retries: int = 0, timeout: float | None = None) -> WithOptions:
        """Return `submit` and `map` for calls that are treated in another way.

        Args:
            idempotent: the calls may run twice.
            retries: how often a call whose worker died is run again; needs `idempotent`.
            timeout: seconds that a call (a chunk of `map`) may run; then its worker is killed, and the future gets
                TimeoutError.

        Raises:
            ValueError: retries without idempotent, or a number out of range.
        """
        return WithOptions(self, settings.call_options(idempotent, retries, timeout))

    def abort(self, future: Future[Any]) -> bool:
        """End a call now: cancel it if it waits, kill its worker if it runs (the future gets WorkerDiedError).

        Returns:
            Whether it was ended; False if it had ended already.

        Raises:
            ValueError: it is no future of this executor.
        """
        return self._pool.abort(future)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the workers when those that were submitted are done.

        Args:
            wait: return when the last worker has ended; otherwise at once.
            cancel_futures: cancel the calls that no worker has yet.
        """
        self._pool.close(cancel=cancel_futures)
        if wait:
            self._pool.join()

    def _map(
        self, options: Options, fn: Callable[..., Any], iterables: Sequence[Iterable[Any]], timeout: float | None,
        chunksize: int | None,
    ) -> Iterator[Any]:  # fmt: skip
        if chunksize is not None and chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        deadline = None if timeout is None else time.monotonic() + timeout
        pool = self._pool
        pool.check()

        def send(whole: chunks.Chunks, part: Sequence[tuple[Any, ...]]) -> None:
            future = chunks.ChunkFuture(pool.collector, whole.ended, len(part))
            whole.futures.append(future)  # before it can end, and another be sent
            pool.send(future, (chunks.run_chunk, (fn, part), {}), options)

        whole = chunks.Chunks(list(zip(*iterables, strict=False)), chunksize, self.max_workers, send)
        pool.mappings.add(whole)
        pool.start()
        whole.feed()
        return _results(whole, deadline)


def _results(whole: chunks.Chunks, deadline: float | None) -> Iterator[Any]:
    try:
        while whole.more:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            results, told, _ = whole.futures[0].result(left)
            whole.futures.popleft()
            results.reverse()
            while results:
                yield results.pop()
            if told is not None:
                raise failures.rebuild(told)
        if whole.given_up:
            raise CancelledError
    finally:
        whole.give_up()


class WithOptions:
    """`submit` and `map` of an executor, with options; from `Executor.options`."""

    def __init__(self, executor: Executor, options: Options) -> None:
        self._executor = executor
        self._options = options

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have `fn(*args, **kwargs)` called; see `Executor.submit`."""
        pool = self._executor._pool
        return pool.submit(CallFuture(pool.collector), (fn, args, kwargs), self._options)

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None,
        chunksize: int | None = None,
    ) -> Iterator[Any]:  # fmt: skip
        """Call `fn` with each item; see `Executor.map`."""
        return self._executor._map(self._options, fn, iterables, timeout, chunksize)
