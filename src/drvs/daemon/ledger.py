"""The ledger: what the proxies have carried, for each node, in shared memory that they write and noded reads.

    four words of 64 bits for each node: time of the last command sent, of the last received (CLOCK_REALTIME, ns),
    commands sent, commands received

No rule depends on it: it is what listings show. It comes about with the first proxy pair, and survives noded.
"""

import fcntl
import mmap
import os
import struct

from drvs.base.limits import MAX_NODES

WORDS = 4
WORD = struct.Struct("<Q")
BYTES = MAX_NODES * WORDS * WORD.size
NAME = "ledger"
_ENTRY = struct.Struct(f"<{WORDS}Q")


class Ledger:
    """noded's side of it."""

    def __init__(self) -> None:
        self.fd = -1
        self._memory: mmap.mmap | None = None

    def create(self) -> None:
        """Make it.

        Raises:
            OSError: there is no memory for it.
        """
        fd = os.memfd_create("drvs-ledger", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.posix_fallocate(fd, 0, BYTES)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self.adopt(fd)

    def adopt(self, fd: int) -> None:
        """Take over the one that a predecessor made."""
        self.fd, self._memory = fd, mmap.mmap(fd, BYTES)

    def close(self) -> None:
        """Forget it."""
        if self._memory is not None:
            self._memory.close()
            os.close(self.fd)
        self.fd, self._memory = -1, None

    def read(self, number: int) -> tuple[int, int, int, int]:
        """Return a node's four words."""
        if self._memory is None:
            return 0, 0, 0, 0
        sent_ns, received_ns, sent, received = _ENTRY.unpack_from(self._memory, number * _ENTRY.size)
        return sent_ns, received_ns, sent, received
