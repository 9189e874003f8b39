"""A real nats-server on loopback, where there is one."""

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO

import pytest


class Broker:
    """A nats-server with JetStream, on a port of its own, for as long as the tests run."""

    def __init__(self, program: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nats-"))
        self.port = _free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._program = program
        self.start()

    def start(self) -> None:
        """Start it, on the same port and store as before."""
        arguments = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]
        self._process = subprocess.Popen(
            [self._program, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_die_with_parent,
        )
        ready, said = threading.Event(), self._process.stderr
        assert said is not None
        self._reader = threading.Thread(target=_read_all, args=(said, ready), daemon=True)
        self._reader.start()
        if not ready.wait(30) or self._process.poll() is not None:
            pytest.fail(f"nats-server did not start: status {self._process.poll()}")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()


def _read_all(said: IO[str], ready: threading.Event) -> None:
    """Read what it says until it ends: a server whose words nobody takes stands still as soon as the pipe is full."""
    with said:
        for line in said:
            if "Server is ready" in line:
                ready.set()
    ready.set()  # it ended


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def program() -> str | None:
    """Return where nats-server is, None where it is not."""
    return shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def why_not() -> str:
    """Return why there is no server for tests, "" if there is one."""
    return "" if program() else "no nats-server on this machine (Debian: apt-get install nats-server)"


@functools.cache
def _shared(path: str) -> Broker:
    broker, owner = Broker(path), os.getpid()
    atexit.register(lambda: broker.stop() if os.getpid() == owner else None)  # a forked child's end is not ours
    return broker


def broker() -> Broker:
    """Return the one that tests of one process share."""
    path = program()
    assert path is not None, why_not()
    shared = _shared(path)
    if not shared.alive:  # a test that ends all children of its process has ended this one
        shared.start()
    return shared
