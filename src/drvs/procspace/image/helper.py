"""The helper of `dump_self`, in its own interpreter. Arguments: the process, its mailbox's address, dump flags."""

from __future__ import annotations

import os
import sys

from drvs.procspace.image import mailbox
from drvs.procspace.image.dumping import dump
from drvs.procspace.image.errors import ImageError
from drvs.procspace.image.selfdump import FD

_PATIENCE_S = 10.0


def main() -> None:
    """Dump the process that waits, and tell it how that went."""
    pid, address, flags = map(int, sys.argv[1:4])
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        dump(
            pid, FD, no_descriptors=True, exempt={os.getpid()}, waits_at=address, hook_timeout_s=_PATIENCE_S,
            flags=flags,
        )  # fmt: skip
    except ImageError as error:
        mailbox.store_verdict(memory, address, mailbox.REFUSED, 0, str(error))
    except OSError as error:
        mailbox.store_verdict(memory, address, mailbox.REFUSED, error.errno or 5, error.strerror or str(error))


if __name__ == "__main__":
    main()
