"""What the caller hands to the processes it starts: one memfd that spawner and fresh interpreters inherit.

It is read with what is in every interpreter from its first instruction (marshal), before `sys.path` is the caller's.
"""

from __future__ import annotations

import marshal
import os
import sys
from typing import Any, NamedTuple


class Setup(NamedTuple):
    """The caller's side of the world, and what workers are to prepare."""

    path: list[str]
    argv: list[str]
    flags: list[str]
    python: str
    preload: list[str]
    warmup: bytes
    initializer: bytes
    method: str
    image: str
    workers: int
    address: tuple[str, int, int] = ("", -1, 0)


#: Arguments, directory and environment of the caller's.
Outside = tuple[bytes, bytes, bytes]
#: The first words of every process that an executor starts: argv is the memfd, then what `main` takes.
BOOT = """import sys,os,marshal
n=int(sys.argv[1]);s=marshal.loads(os.pread(n,os.fstat(n).st_size,0));sys.path[:]=s[0]
from drvs.executor import {0} as m
m.main(s,*sys.argv[1:])"""


def store(setup: Setup) -> int:
    """Return a memfd with the setup in it."""
    fd = os.memfd_create("drvs-setup", os.MFD_CLOEXEC)
    data = memoryview(marshal.dumps(tuple(setup)))
    while data:
        data = data[os.write(fd, data) :]
    return fd


def read(fields: tuple[Any, ...]) -> Setup:
    """Return the setup that BOOT has read."""
    return Setup(*fields)


def own_path() -> list[str]:
    """Return the caller's `sys.path`; '' and relative entries mean what they mean now."""
    return [os.path.abspath(entry) if isinstance(entry, str) else os.fspath(entry) for entry in sys.path]


def own_flags() -> list[str]:
    """Return the options this interpreter was started with."""
    import subprocess

    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]


def outside(argv: list[str]) -> Outside:
    """Return arguments, directory and environment of the caller's: equal ones are equal bytes (in marshal's form 2)."""
    variables = [name + b"=" + value for name, value in os.environb.items()]
    return marshal.dumps(argv, 2), os.getcwdb(), b"\0".join(variables)
