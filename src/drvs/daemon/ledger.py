"""The ledger: what the proxies have carried, for each node, in shared memory that they write and noded reads.

    four words of 64 bits for each node: time of the last command sent, of the last received (CLOCK_REALTIME, ns),
    commands sent, commands received

No rule depends on it: it is what listings show.
"""

import fcntl
import mmap
import os
import struct

from drvs.base.limits import MAX_NODES

ENTRY = struct.Struct("<4Q")
BYTES = MAX_NODES * ENTRY.size
NAME = "ledger"


class Ledger:
    """noded's side of it; it survives noded."""

    def __init__(self, fd: int | None = None) -> None:
        if fd is None or os.fstat(fd).st_size < BYTES:
            fd = os.memfd_create("drvs-ledger", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.posix_fallocate(fd, 0, BYTES)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self.fd = fd
        self._memory = mmap.mmap(fd, BYTES)

    def read(self, number: int) -> tuple[int, int, int, int]:
        """Return a node's four words."""
        sent_ns, received_ns, sent, received = ENTRY.unpack_from(self._memory, number * ENTRY.size)
        return sent_ns, received_ns, sent, received

    def clear(self) -> None:
        """Forget all counts."""
        self._memory[:] = bytes(BYTES)
