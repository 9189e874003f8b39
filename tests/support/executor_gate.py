"""A gate that holds a call in a worker, without anybody sleeping."""

import os


class Gate:
    """Holds a call in a worker until it is opened: `submit(calls.wait_for, gate.path)`."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.mkfifo(path + ".in")
        os.mkfifo(path + ".out")

    def wait_started(self) -> int:
        """Wait until the call runs; returns its process."""
        with open(self.path + ".in") as started:
            return int(started.read())

    def open(self, word: str = "gone on") -> None:
        """Let the call go on; it returns the word."""
        with open(self.path + ".out", "w") as go:
            go.write(word)
