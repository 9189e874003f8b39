"""Image files of the command line: where images come from and go to, and how their sizes are said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

File = Annotated[str, typer.Argument(metavar="FILE", help="The image; - is standard input or output.")]


@contextmanager
def written(file: str) -> Iterator[int]:
    """Give a descriptor for a new image: a file appears under its name, mode 0600, only when it is complete."""
    if file == "-":
        yield sys.stdout.fileno()
        return
    part = f"{file}.part-{os.getpid()}"
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield fd
        os.rename(part, file)
    except BaseException:
        os.unlink(part)
        raise
    finally:
        os.close(fd)


@contextmanager
def read(file: str) -> Iterator[int]:
    """Give a descriptor for reading an image."""
    if file == "-":
        yield sys.stdin.fileno()
        return
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def threads(count: int) -> str:
    """Say how many threads."""
    return f"{count} thread{'s' if count != 1 else ''}"


def size(count: int) -> str:
    """Say how many bytes."""
    return f"{count / 1e6:.1f} MB"
