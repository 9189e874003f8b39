"""The first process of a node: makes its namespaces its own, starts the node, and collects the dead.

With namespaces it is process 1 of the node: when it ends, all that runs there ends. On loopback it does that by hand.
The supervisor holds the other end of a socket; when that closes, the lab is over.

    init:  born   up   failed TEXT          supervisor:  go
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys

from drvs.lab import kernel, sweep
from drvs.lab.spec import Spec, load

_TEXT_MAX = 2000


def main() -> int:
    """Be a node's first process until the lab ends or the node is killed."""
    spec, node = load(sys.argv[1]), int(sys.argv[2])
    channel = socket.socket(fileno=int(sys.argv[3]))
    if spec.namespaces:
        kernel.die_with_parent(signal.SIGKILL)
    try:
        _live(spec, node, channel)
    finally:
        if not spec.namespaces:
            sweep.kill(spec.home(node))
    return 0


def _live(spec: Spec, node: int, channel: socket.socket) -> None:
    if spec.namespaces:
        kernel.unshare(kernel.NEWNET | kernel.NEWNS | kernel.NEWUTS | kernel.NEWIPC)
        _furnish(node)
    else:
        kernel.adopt_orphans()
    channel.send(b"born")
    if channel.recv(16) != b"go":
        return
    if spec.pin:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[node]})
    problem = _start_node(spec, node)
    channel.send(f"failed {problem}".encode() if problem else b"up")
    _collect_until_the_end(channel)


def _furnish(node: int) -> None:
    """Put into the mount namespace what shows the other namespaces, and name the machine."""
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
    safe = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", "/proc", "proc", safe)
    if os.path.isdir("/dev/shm"):
        kernel.mount("shm", "/dev/shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
    socket.sethostname(f"node{node}")


# ---- the node ----------------------------------------------------------------------------------------------------


def cluster_arguments(spec: Spec, node: int) -> list[str]:
    """Return the options that tell `drvs up` of the cluster: none as long as it knows of none."""
    import inspect

    from drvs.cli.node import up

    known = "cluster" in inspect.signature(up).parameters
    return ["--cluster", spec.cluster_file(node)] if known and spec.cluster else []


def _start_node(spec: Spec, node: int) -> str:
    """Run `drvs up`; returns why it failed, or nothing."""
    command = [sys.executable, "-P", "-m", "drvs.cli", "up", "--node", str(node), *cluster_arguments(spec, node)]
    for option, value in {"nodes": max(32, spec.count), **spec.options}.items():
        command += [f"--{option.replace('_', '-')}", str(value)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout + done.stderr)
    sys.stdout.flush()
    return (
        (done.stderr.strip() or f"drvs up ended with status {done.returncode}")[:_TEXT_MAX] if done.returncode else ""
    )


def _collect_until_the_end(channel: socket.socket) -> None:
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(channel, select.POLLIN)
    while True:
        _collect()
        ready = [fd for fd, _ in poll.poll()]
        if channel.fileno() in ready:
            return
        os.read(wake, 4096)


def _collect() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    sys.exit(main())
