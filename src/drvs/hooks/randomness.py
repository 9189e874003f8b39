"""Random state that copies would share: each starts anew from the kernel's randomness, also under the old pid."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any


def reseed() -> None:
    """Reseed what the program has imported."""
    for name, step in _STEPS.items():
        module = sys.modules.get(name)
        if module is not None:
            step(module)


def _random(module: Any) -> None:
    module.seed()


def _numpy(module: Any) -> None:
    """The legacy global generator; generators that a program made itself are its own to reseed."""
    module.seed()


def _ssl(module: Any) -> None:
    module.RAND_add(os.urandom(64), 64.0)


def _uuid(module: Any) -> None:
    """uuid1 is unique by time, node and a clock sequence: the sequence becomes random in every one.

    libuuid keeps its own inside the process, so what it gives is given another.
    """
    for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
        if hasattr(module, name):
            setattr(module, name, None)
    if getattr(module, "_node", None) and module._node >> 40 & 1:  # it was random
        module._node = module._random_getnode()
    time_safe = getattr(module, "_generate_time_safe", None)
    if time_safe is not None and not hasattr(time_safe, "drvs"):
        module._generate_time_safe = _with_own_sequence(time_safe)


def _with_own_sequence(time_safe: Callable[[], tuple[bytes, Any]]) -> Callable[[], tuple[bytes, Any]]:
    def generate() -> tuple[bytes, Any]:
        made, safely = time_safe()
        sequence = int.from_bytes(os.urandom(2), "big") & 0x3FFF | 0x8000
        return made[:8] + sequence.to_bytes(2, "big") + made[10:], safely

    generate.drvs = True  # type: ignore[attr-defined]
    return generate


def _tempfile(module: Any) -> None:
    """Names of temporary files; it would notice another pid by itself."""
    if module._name_sequence is not None:
        module._name_sequence._rng_pid = None


_STEPS: dict[str, Callable[[Any], None]] = {
    "random": _random, "numpy.random": _numpy, "ssl": _ssl, "uuid": _uuid, "tempfile": _tempfile,
}  # fmt: skip
