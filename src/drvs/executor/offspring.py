"""One process that the spawner started: its pidfd, what it says on stderr, and how it ends."""

from __future__ import annotations

import os
import signal
from collections import deque

LAST_WORDS_BYTES = 2048
CHUNK_BYTES = 1 << 16
READS_MAX = 64


class Offspring:
    """A worker as its parent sees it."""

    __slots__ = ("_words", "pid", "pidfd", "rank", "stderr")

    def __init__(self, rank: int, pid: int, stderr: int) -> None:
        self.rank = rank
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.stderr = stderr
        self._words: deque[bytes] = deque()
        os.set_blocking(stderr, False)

    def listen(self) -> bool:
        """Pass on what it says on stderr; False if there is nothing (more) to hear."""
        try:
            data = os.read(self.stderr, CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not data:
            return False
        self._words.append(data[-LAST_WORDS_BYTES:])
        while len(self._words) > 1 and sum(map(len, self._words)) - len(self._words[0]) >= LAST_WORDS_BYTES:
            self._words.popleft()
        _pass_on(data)
        return True

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the worker and to what it started; it is ours and not reaped yet, so the pid is its own."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            os.kill(self.pid, number)  # it has not made its group yet

    def bury(self) -> tuple[int, str] | None:
        """Reap it; returns how it ended (negative: by that signal) and its last words.

        None: it died before its first parent, which is about to end and to hand it over.
        """
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            return None
        for _ in range(READS_MAX):  # what it started may still be talking
            if not self.listen():
                break
        os.close(self.pidfd)
        os.close(self.stderr)
        return os.waitstatus_to_exitcode(status), self.last_words()

    def last_words(self) -> str:
        """Return the end of what it said on stderr."""
        return b"".join(self._words)[-LAST_WORDS_BYTES:].decode(errors="replace").strip()


def _pass_on(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass  # nobody listens to the caller's stderr any more
