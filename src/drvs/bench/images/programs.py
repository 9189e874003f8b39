"""The programs that images are made of here: each says that it is ready, lets go of its streams, and waits.

SIGTERM ends one with a status of its own, so that a restored one can be seen to be at work.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STATUS = 42
"""What a program that is at work ends with when SIGTERM asks it to."""

PATIENCE_S = 10.0

HEAP_BYTES = 200_000_000

_PYTHON = f"""
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # in the threads to come as well
{{prepare}}
null = os.open(os.devnull, os.O_RDWR)
os.write(1, b"ready")
for stream in range(3): os.dup2(null, stream)
os.close(null)
{{then}}
os._exit({STATUS})
"""

_WAIT = "signal.sigwait([signal.SIGTERM])"

_SPIN = """
import mmap, time
gap = memoryview(mmap.mmap(os.open({note!r}, os.O_RDWR), 8)).cast("Q")
now, before = time.perf_counter_ns, time.perf_counter_ns()
while True:
    at = now()
    if at - before > gap[0]:
        gap[0] = at - before
    before = at
"""

_C = f"""
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
static void leave(int number) {{ _exit(number == SIGTERM ? {STATUS} : 1); }}
int main(void) {{
    signal(SIGTERM, leave);
    const int null = open("/dev/null", O_RDWR);
    if (write(1, "ready", 5) != 5) return 1;
    for (int stream = 0; stream < 3; stream++) dup2(null, stream);
    close(null);
    for (;;) pause();
}}
"""

_HEAP = "heap = os.urandom(1_000_000) * {megabytes}"


@dataclass(frozen=True)
class Subject:
    """A program to make images of: its name in the tables, and how it is started."""

    name: str
    command: tuple[str, ...]

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, and return when it has let go of its streams."""
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            self.command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, start_new_session=True
        )
        assert process.stdout is not None
        with process.stdout as said:
            if said.read() != b"ready":
                process.kill()
                raise RuntimeError(f"{self.name} does not start: status {process.wait()}")
        return process

    @contextlib.contextmanager
    def running(self) -> Iterator[int]:
        """Have it run for a block; gives its pid."""
        process = self.start()
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()


def _python(name: str, prepare: str = "", then: str = _WAIT) -> Subject:
    return Subject(name, (sys.executable, "-c", _PYTHON.format(prepare=prepare, then=then)))


def bare() -> Subject:
    """A Python that has done nothing yet."""
    return _python("python3")


def numpy() -> Subject:
    """A Python that has imported numpy, whose pool of threads it has then too."""
    return _python("python3 + numpy", "import numpy")


def heap(nbytes: int) -> Subject:
    """A Python with as much data of its own."""
    return _python(f"python3 + {nbytes // 1_000_000} MB", _HEAP.format(megabytes=nbytes // 1_000_000))


def spinning(name: str, note: str, prepare: str = "", heap_bytes: int = 0) -> Subject:
    """A Python that looks at the clock without pause, and notes in a file of eight bytes how long it did not."""
    data = _HEAP.format(megabytes=heap_bytes // 1_000_000)
    return _python(name, f"{prepare}\n{data}", _SPIN.format(note=note))


def static_c(folder: Path) -> Subject | None:
    """A static C program of ten lines; None without a compiler."""
    target, source = folder / "program", folder / "program.c"
    if not target.exists():
        if not shutil.which("gcc"):
            return None
        source.write_text(_C)
        subprocess.run(["gcc", "-O2", "-static", "-o", target, source], check=True)
    return Subject("static C", (str(target),))


def finish(pid: int) -> None:
    """End a restored program, a child of ours, and see that it was at work.

    Raises:
        RuntimeError: it ended in another way than the program does.
    """
    os.kill(pid, signal.SIGTERM)
    if not ended(pid, PATIENCE_S):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != STATUS:
        raise RuntimeError(f"the restored program ended with {os.waitstatus_to_exitcode(status)}, not {STATUS}")


def ended(pid: int, patience_s: float) -> bool:
    """Wait until a process has ended, at most `patience_s` seconds; tell whether it has."""
    pidfd = os.pidfd_open(pid)
    try:
        return bool(select.select([pidfd], [], [], patience_s)[0])
    finally:
        os.close(pidfd)
