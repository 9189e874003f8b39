"""A fresh interpreter: prepared once, then a worker, or what workers are made of.

    spawn    it becomes a worker
    fork     it stays, with one thread, and forks workers on command (`forks`)
    image    it is dumped, and workers are copies of the image (`images`)

It never imports `__main__`; it has the caller's path, arguments, directory and environment.
"""

from __future__ import annotations

import gc
import importlib
import marshal
import os
import sys
from typing import Any

from drvs.executor import failures, kinship, pickling, seat, worker
from drvs.executor.setup import Outside, Setup, outside, read


def main(fields: tuple[Any, ...], setup_fd: str, role: str, *rest: str) -> None:
    """Be a fresh interpreter; BOOT calls this."""
    os.close(int(setup_fd))
    setup = read(fields)
    sys.argv[:] = setup.argv
    pickling.namespace = _own_main()
    if role == "spawn":
        _be_worker(setup, *map(str, rest))
    elif role == "fork":
        from drvs.executor import forks

        forks.main(setup, int(rest[0]))
    else:
        _be_imaged(setup, int(rest[0]))


def _own_main() -> dict[str, Any]:
    """Return the globals of this interpreter's __main__, without those of BOOT."""
    found = sys.modules["__main__"].__dict__
    for name in ("n", "s", "m", "os", "sys", "marshal"):
        found.pop(name, None)
    return found


def prepare(setup: Setup, role: str) -> None:
    """Import what is to be preloaded, and warm up; if copies are made of this process, rehearse what they will do.

    Raises:
        Whatever they raise.
    """
    for name in setup.preload:
        importlib.import_module(name)
    if setup.warmup:
        pickling.loads(setup.warmup)()
    if role != "spawn":
        from drvs.executor import rehearsal

        rehearsal.rehearse(restored=role == "image")
    gc.collect()
    gc.freeze()  # the collector would write to every object, and make its page each worker's own


def _be_worker(setup: Setup, rank: str, runtime_dir: str, *numbers: str) -> None:
    place = seat.Place(runtime_dir, *map(int, numbers))
    kinship.follow(place.spawner)
    try:
        prepare(setup, "spawn")
    except BaseException as error:
        reason = failures.report(error)[1]
        own = worker.Worker(seat.take(place, int(rank)), place.inlet)
        own.refuse(int(rank), f"preload or warmup failed:\n{reason}")
        worker.end(1)
    become(setup.initializer, place, int(rank))


def _be_imaged(setup: Setup, tell: int) -> None:
    """Prepare, say so, and wait to be dumped. Copies go on as workers, of whatever executor has made them."""
    kinship.follow(os.getppid())
    then = outside(setup.argv)
    try:
        prepare(setup, "image")
    except BaseException as error:
        os.write(tell, f"preload or warmup failed:\n{failures.report(error)[1]}".encode())
        return
    from drvs import hooks

    os.write(tell, b"ready")
    os.close(tell)
    rank = hooks.ready(wait=True).rank
    place, initializer, now = _read_letter()
    seated = seat.Place(*place)
    kinship.follow(seated.spawner)
    if now != then:
        _move_to(now, then)
    become(initializer, seated, rank)


def _move_to(now: Outside, then: Outside) -> None:
    """Put right, in a copy of a kept image, what is another now; what is not stays untouched, and its pages shared."""
    argv, cwd, environ = now
    if argv != then[0]:
        sys.argv[:] = marshal.loads(argv)
    if cwd != then[1]:
        os.chdir(cwd)
    if environ != then[2]:
        for variable in {*environ.split(b"\0")}.difference(then[2].split(b"\0")):
            name, _, value = variable.partition(b"=")
            os.environb[name] = value


def _read_letter() -> Any:
    """What the workers of this executor are told (`images` writes it)."""
    letter = marshal.loads(os.pread(0, os.lseek(0, 0, os.SEEK_END), 0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return letter


def become(initializer: bytes, place: seat.Place, rank: int) -> None:
    """Be a worker, now that everything is prepared; does not return."""
    endpoint = seat.take(place, rank)
    worker.work(endpoint, place.inlet, rank, _initializer(initializer) if initializer else None)


def _initializer(stream: bytes) -> Any:
    def run() -> None:
        function, args = pickling.loads(stream)
        function(*args)

    return run
