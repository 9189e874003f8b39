"""The method `image`: workers are copies of the image of a prepared interpreter.

A fresh interpreter prepares itself, says so on a pipe, and waits in `hooks.ready`. It is dumped and ends. The image
becomes a template, which clones itself for every worker: a worker costs a fork of a process that runs nothing, and
shares every page that it does not change with the others. What the workers of this executor have to know (where it
is, and its initializer) they find on their standard input: so a kept image serves any executor.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drvs.executor.methods import Forks, Method, launch
from drvs.executor.setup import outside

if TYPE_CHECKING:
    from drvs.executor.spawner import Spawner
    from drvs.procspace.image import Template

READY = b"ready"
TEXT_BYTES = 1 << 16
READY_MS = 10_000
COPIES_A_TURN = 4


def _import_images(dumping: bool) -> Any:
    """Return `drvs.procspace.image`, with or without what dumps, and take a third off the time of its import.

    msgspec looks for typing_extensions, which brings half of the standard library, and does without on this Python.
    """
    absent = "typing_extensions" not in sys.modules
    if absent:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        from drvs.procspace import image

        if dumping:
            __import__("drvs.procspace.image.dumping")  # otherwise it is loaded when it is first used
    finally:
        if absent:
            del sys.modules["typing_extensions"]
    return image


def _letter(spawner: Spawner) -> int:
    """Return a memfd with what all workers are told; `fresh` reads it."""
    fd = os.memfd_create("drvs-letter", os.MFD_CLOEXEC)
    setup = spawner.setup
    with open(fd, "wb", closefd=False) as file:
        file.write(marshal.dumps((spawner.place, setup.initializer, outside(setup.argv))))
    return fd


class Images(Method):
    """Copies of an image."""

    name = "image"

    def __init__(self, spawner: Spawner) -> None:
        super().__init__(spawner)
        self._template: Template | None = None
        self._pid = 0
        self._told = b""
        path = spawner.setup.image
        self._kept = bool(path) and os.path.exists(path)
        self._letter = _letter(spawner)
        if not self._kept:
            self._prepare()
        self._api = _import_images(dumping=not self._kept)  # while the interpreter prepares itself
        if self._kept:
            self._use(lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def _prepare(self) -> None:
        self._tells, theirs = os.pipe()
        self._pid = launch(self._spawner, self.name, 2, theirs, keep=(theirs,))
        os.close(theirs)
        self._spawner.watch(self._tells, self._hear)

    # ---- the image ---------------------------------------------------------------------------------------------------

    def _hear(self, _events: int) -> None:
        data = os.read(self._tells, TEXT_BYTES)
        self._told += data
        if data and self._told != READY:
            return
        self._spawner.forget(self._tells)
        os.close(self._tells)
        if self._told != READY:
            self._reap()
            why = self._told.decode(errors="replace") or "the process that prepares itself for workers has ended"
            self._spawner.fail(why)
            return
        self._use(self._dump)

    def _use(self, image: Callable[[], int]) -> None:
        """Make the template of an image, and the workers that are waited for."""
        fd = -1
        try:
            fd = image()
            self._reap()
            self._template = self._api.Template(fd)
        except (self._api.ImageError, OSError) as problem:
            self._give_up(problem)
            return
        finally:
            if fd >= 0:
                os.close(fd)
        self.go_on()

    def _dump(self) -> int:
        self._wait_at_ready()
        path = self._spawner.setup.image
        if not path:
            fd = os.memfd_create("drvs-image", os.MFD_CLOEXEC)
            os.fchmod(fd, 0o600)  # images that others may write are refused
            self._api.dump(self._pid, fd, stop=True)
            os.lseek(fd, 0, os.SEEK_SET)
            return fd
        part = f"{path}.{os.getpid()}.part"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", 0) as file:
            try:
                self._api.dump(self._pid, file.fileno(), stop=True)
                os.rename(part, path)
            except BaseException:
                os.unlink(part)
                raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def _wait_at_ready(self) -> None:
        """It has said that it is about to wait; a moment later it does."""
        from drvs.procspace.image import mailbox

        deadline = time.monotonic() + READY_MS / 1000
        while not mailbox.waits_to_be_dumped(self._pid):
            if time.monotonic() > deadline:
                raise TimeoutError("the prepared process does not come to the point where it can be dumped")
            os.sched_yield()

    def _reap(self) -> None:
        if self._pid:
            try:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass  # the dump has ended and reaped it
            self._pid = 0

    def _give_up(self, problem: Exception) -> None:
        """Images do not work here, or not of this process: go on by forks. A kept image is not replaced silently."""
        if self._kept:
            path = self._spawner.setup.image
            self._spawner.fail(f"the image {path} cannot be used: {problem} Remove it to have it made anew.")
            return
        self.close()
        self._spawner.replace_method(Forks(self._spawner), f"no image of the prepared process: {problem}")

    # ---- workers -----------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether there are copies to be made."""
        return self._template is not None and bool(self.waiting)

    def go_on(self) -> None:
        """Make copies."""
        try:
            for _ in range(COPIES_A_TURN):
                if self.busy:
                    self._copy(self.waiting[0])
                    self.waiting.pop(0)
        except (self._api.ImageError, OSError) as problem:
            self._give_up(problem)

    def _copy(self, rank: int) -> None:
        assert self._template is not None
        ours, theirs = os.pipe()
        try:
            pid = self._template.copy(rank, self._spawner.setup.workers, streams=(self._letter, 1, theirs))
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._spawner.adopt(rank, pid, ours)

    def close(self) -> None:
        """End the template, or the process that is being prepared."""
        self._reap()
        if self._template is not None:
            self._template.close()
            self._template = None
        if self._letter >= 0:
            os.close(self._letter)
            self._letter = -1
