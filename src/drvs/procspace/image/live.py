"""Copies of a process that runs, and goes on: a snapshot of it streams into a template."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from drvs.procspace.image import birth
from drvs.procspace.image.apart import Apart
from drvs.procspace.image.dumping import Dumped
from drvs.procspace.image.errors import BadImage, ImageError
from drvs.procspace.image.template import Template


@contextmanager
def template_of(
    pid: int,
    *,
    argv: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    share_files: bool = False,
    close_fds: bool = False,
    hooks: bool = True,
    hook_timeout_s: float = 10.0,
    detach: bool = False,
) -> Iterator[tuple[Template, Dumped]]:
    """Give a template of a running process, and what its dump did; the process goes on after a short pause.

    The arguments are those of `dump` and of `Template`.

    Raises:
        ImageError: as they do.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        dumper = Apart(pid, writer, snapshot=True, close_fds=close_fds, hooks=hooks, hook_timeout_s=hook_timeout_s)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        template = _filled(reader, dumper, argv=argv, environ=environ, share_files=share_files, detach=detach)
        with template:
            yield template, dumper.result()
    finally:
        os.close(reader)
        dumper.end()


def _filled(reader: int, dumper: Apart, **options: object) -> Template:
    try:
        return Template(reader, **options)  # type: ignore[arg-type]
    except BadImage:
        dumper.result()  # why the stream ended, if it was the dumper
        raise


def fork(
    pid: int,
    n: int,
    *,
    argv: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    share_files: bool = False,
    close_fds: bool = False,
    hooks: bool = True,
    hook_timeout_s: float = 10.0,
) -> list[int]:
    """Start copies of a running process, as children of the caller. It goes on after a pause of some milliseconds.

    Args:
        pid: the process; not a child of it is copied, but all its threads.
        n: how many.
        argv: the arguments that a program with `drvs.hooks` finds in each copy.
        environ: the environment that it finds; None leaves it as it was.
        share_files: files open for writing are one for all copies; else they are refused.
        close_fds: put dead placeholders where descriptors cannot be kept, instead of refusing.
        hooks: let a process that has imported `drvs.hooks` run them before.
        hook_timeout_s: how long they may take.

    Returns:
        The pids, by rank.

    Raises:
        ImageError: as for `dump` and `Template`; none of the copies is left.
    """
    pids: list[int] = []
    with template_of(
        pid, argv=argv, environ=environ, share_files=share_files, close_fds=close_fds, hooks=hooks,
        hook_timeout_s=hook_timeout_s,
    ) as (template, _):  # fmt: skip
        try:
            pids.extend(template.copies(n))
        except ImageError:
            for copy in pids:
                birth.kill(copy)
            raise
    return pids
