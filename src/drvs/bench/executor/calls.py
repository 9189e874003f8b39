"""What workers are asked to do. They import this and nothing else of the benchmark."""

from __future__ import annotations

import os
from typing import Any


def same(value: int) -> int:
    """Answer at once."""
    return value


def nbytes(array: Any) -> int:
    """Look at an array."""
    return int(array.nbytes)


def arrive(meeting: str) -> int:
    """Use numpy, say who is here, and answer when all have come: so each call needs a worker of its own."""
    import numpy as np

    assert int(np.arange(3).sum()) == 3
    with open(f"{meeting}/here", "wb", buffering=0) as here:
        here.write(os.getpid().to_bytes(8, "little"))
    with open(f"{meeting}/go", "rb", buffering=0) as go:
        go.read(1)
    return os.getpid()
