"""The files that are served: the source of Python's standard library, and the digests to compare with."""

from __future__ import annotations

import hashlib
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_NOT_THE_LIBRARY = ("site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test")


@dataclass(frozen=True)
class Tree:
    """Files below a folder, by relative name, with their digests."""

    folder: Path
    digests: dict[str, str]
    nbytes: int


def standard_library() -> Tree:
    """Read Python's standard library: every source file that belongs to it and can be read, but for its tests."""
    folder = Path(sysconfig.get_path("stdlib")).resolve()
    digests, nbytes = {}, 0
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        if any(part in _NOT_THE_LIBRARY for part in name.parts) or not path.resolve().is_relative_to(folder):
            continue
        content = path.read_bytes()
        digests[str(name)] = hashlib.sha256(content).hexdigest()
        nbytes += len(content)
    return Tree(folder, digests, nbytes)
