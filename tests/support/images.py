"""Real programs to make images of, and to bring back: each answers lines on its standard streams."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from support.children import PATIENCE_S, LineReader

if TYPE_CHECKING:
    from drvs.procspace.image import Template


class Program:
    """A program that answers each line it is told with one line; restored ones look the same."""

    def __init__(self, command: Sequence[str | Path], **options: object) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            **options,  # type: ignore[call-overload]
        )
        assert self.process.stdout is not None
        self._lines = LineReader(self.process.stdout.fileno())

    @property
    def pid(self) -> int:
        """Its pid (of a restored one: that of the restorer)."""
        return self.process.pid

    def line(self) -> str:
        """Wait for its next line."""
        found = self._lines.next_line(PATIENCE_S)
        if found is None:
            raise AssertionError(f"{self.process.args} is silent")
        return found

    def ask(self, text: str = "") -> str:
        """Tell it a line and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        return self.line()

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()


def python(source: str, **options: object) -> Program:
    """Start Python with a program; it should print a first line when it is ready."""
    return Program([sys.executable, "-c", source], **options)


_RESTORER = """
import os, sys
from drvs.procspace import image
if "old" in sys.argv:
    from drvs.procspace.image import timers
    timers.ids_can_be_chosen = lambda: False
pid = image.restore(os.open(sys.argv[1], os.O_RDONLY | os.O_CLOEXEC), keep_pid="keep" in sys.argv)
print("pid", pid, file=sys.stderr, flush=True)
os.close(0), os.close(1)
_, status = os.waitpid(pid, 0)
os._exit(os.waitstatus_to_exitcode(status) & 255)
"""


class Restored(Program):
    """A program out of an image; its own pid is `real_pid`, and `process` is who restored it."""

    def __init__(self, image: Path, *words: str) -> None:
        reader, writer = os.pipe()
        super().__init__([sys.executable, "-c", _RESTORER, str(image), *words], stderr=writer)
        os.close(writer)
        try:
            said = LineReader(reader).next_line(PATIENCE_S)
            if not said or not said.startswith("pid "):
                raise AssertionError(f"{said}\n{self._words(reader)}")
        finally:
            os.close(reader)
        self.real_pid = int(said.split()[1])

    def _words(self, reader: int) -> str:
        """All that the restorer said before it ended."""
        self.process.wait(PATIENCE_S)
        return os.read(reader, 65536).decode()

    def end(self) -> None:
        """Kill it, and let its restorer see it end."""
        try:
            os.kill(self.real_pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait(PATIENCE_S)
        super().end()


def compiled(source: Path, target: Path, *flags: str) -> Path:
    """Compile a C program."""
    subprocess.run(["gcc", "-O1", "-o", str(target), str(source), *flags], check=True)
    return target


def dumped(pid: int, path: Path, **options: bool) -> Path:
    """Write the image of a process to a new file of mode 0600."""
    from drvs.procspace import image

    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        image.dump(pid, fd, **options)
    finally:
        os.close(fd)
    return path


class Copy:
    """A copy that a template of ours has made, with streams of its own."""

    def __init__(self, template: Template, rank: int = 0, size: int = 1, **options: int) -> None:
        stdin, self._tell = os.pipe()
        self._told, stdout = os.pipe()
        self._lines = LineReader(self._told)
        try:
            self.pid = template.copy(rank, size, streams=(stdin, stdout, 2), **options)
        finally:
            os.close(stdin)
            os.close(stdout)

    def line(self) -> str:
        """Wait for its next line."""
        found = self._lines.next_line(PATIENCE_S)
        if found is None:
            raise AssertionError(f"copy {self.pid} is silent")
        return found

    def ask(self, text: str = "") -> str:
        """Tell it a line and return its answer."""
        os.write(self._tell, text.encode() + b"\n")
        return self.line()

    def finish(self) -> int:
        """Let it find the end of its input, and return its exit status."""
        os.close(self._tell)
        self._tell = -1
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def end(self) -> None:
        """Kill it."""
        if self._tell >= 0:
            os.close(self._tell)
            self._tell = -1
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self._told)

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()
