"""noded's log: a file that is turned over when it grows, filtered by the guide's debug mask.

What people must know (starts, ends, deaths, damage) is always written. The thirteen categories of DebugMask come on
top, as `d_dbglvl` selects them.
"""

import os
import sys
import time
import traceback

from drvs.base import limits
from drvs.base.flags import DebugMask


class LogFile:
    """Lines with a time, to a file, or to stderr where a supervisor collects it.

    Never raises: a full disk loses lines.
    """

    def __init__(self, path: str | None, mask: int = 0) -> None:
        self.path = path
        self.mask = mask
        self._fd = 2 if path is None else _open(path)
        self._bytes = 0 if path is None else os.fstat(self._fd).st_size

    def note(self, text: str) -> None:
        """Write what is always written."""
        self._write(f"{_stamp()} {text}\n")

    def debug(self, category: DebugMask, text: str) -> None:
        """Write it if the mask selects the category."""
        if self.mask & category:
            self._write(f"{_stamp()} [{category.name}] {text}\n")

    def failure(self, error: BaseException) -> None:
        """Write a fault of noded itself, with its traceback."""
        lines = "".join(traceback.format_exception(error))
        self._write(f"{_stamp()} noded has a fault, please report it:\n{lines}")

    def tail(self, lines: int) -> list[str]:
        """Return the last lines, as far as one packet's worth of them is in the present file."""
        if self.path is None:
            return ["noded writes to its supervisor's log: see `journalctl -u drvs`"]
        with open(self.path, "rb") as file:
            file.seek(max(0, self._bytes - limits.PACKET_BYTES // 2))
            text = file.read(limits.PACKET_BYTES // 2).decode(errors="replace")
        return text.splitlines()[-max(0, lines) :] if lines else []

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        try:
            if self.path is not None and self._bytes + len(data) > limits.LOG_BYTES:
                self._turn_over(self.path)
            self._bytes += os.write(self._fd, data)
        except OSError:
            pass

    def _turn_over(self, path: str) -> None:
        os.replace(path, path + ".1")
        fd = _open(path)
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)
        self._bytes = 0


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _stamp() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def complain(text: str) -> None:
    """Tell the person who started noded, before there is a log."""
    print(f"noded: {text}", file=sys.stderr)
