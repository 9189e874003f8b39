"""The template of the method `fork`: a prepared interpreter with one thread, which forks workers on command.

    spawner:   (place, [rank, …]) and a stderr pipe for each, by SCM_RIGHTS
    template:  ("ready", "") once, or ("no", why); then [pid, …] for each command

Workers are to be children of the spawner, which reaps them. So the template forks a helper, the helper forks the
workers and ends, and the workers fall to the spawner, who is a subreaper. A worker waits for that (end of file on a
pipe that only the helper keeps) before it asks to die with its parent.
"""

from __future__ import annotations

import _socket
import marshal
import os
import sys
from array import array
from typing import Any, NoReturn

from drvs.executor import fresh, kinship, seat
from drvs.executor.setup import Setup

PACKET_BYTES = 1 << 16
#: Descriptors in one packet: the kernel's SCM_MAX_FD is 253.
BATCH = 128


def main(setup: Setup, control: int) -> None:
    """Prepare, say so, and fork until the spawner has gone."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, control)
    kinship.follow(os.getppid())
    try:
        fresh.prepare(setup, "fork")
    except BaseException as error:
        from drvs.executor import failures

        sock.send(marshal.dumps(("failed", failures.report(error)[1])))
        return
    threads = len(os.listdir("/proc/self/task"))
    sock.send(marshal.dumps(("ready", "") if threads == 1 else ("no", f"the prepared process has {threads} threads")))
    while command := _receive(sock):
        _fork_workers(setup, sock, *command)


def _receive(sock: _socket.socket) -> tuple[Any, list[int], list[int]] | None:
    packet, ancillary, _, _ = sock.recvmsg(PACKET_BYTES, _socket.CMSG_SPACE(4 * BATCH), _socket.MSG_CMSG_CLOEXEC)
    if not packet:
        return None
    pipes = array("i")
    for _level, _kind, data in ancillary:
        pipes.frombytes(data)
    place, ranks = marshal.loads(packet)
    return place, ranks, list(pipes)


def _fork_workers(setup: Setup, sock: _socket.socket, place: Any, ranks: list[int], pipes: list[int]) -> None:
    alone, helper_lives = os.pipe()
    helper = os.fork()
    if helper == 0:
        pairs = zip(ranks, pipes, strict=True)
        pids = [_fork_one(setup, sock, place, rank, pipe, alone, helper_lives) for rank, pipe in pairs]
        sock.send(marshal.dumps(pids))
        os._exit(0)
    for fd in (alone, helper_lives, *pipes):
        os.close(fd)
    os.waitpid(helper, 0)


def _fork_one(
    setup: Setup, sock: _socket.socket, place: Any, rank: int, pipe: int, alone: int, helper_lives: int
) -> int:
    helper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            sock.close()
            os.close(helper_lives)
            os.dup2(pipe, 2)
            os.close(pipe)
            _become(setup, seat.Place(*place), rank, alone, helper)
        finally:
            os._exit(1)
    return pid


def _become(setup: Setup, place: seat.Place, rank: int, alone: int, helper: int) -> NoReturn:
    os.read(alone, 1)  # until the helper ends
    os.close(alone)
    while os.getppid() == helper:  # it closes its files a moment before it hands its children over
        os.sched_yield()
    kinship.follow(place.spawner)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # the others would draw the same numbers; `random` sees to itself
    try:
        fresh.become(setup.initializer, place, rank)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(1)
