"""drvs config: what a C compiler must be told to build against this installation."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from drvs.cli.failure import fail


def config(
    cflags: Annotated[bool, typer.Option("--cflags", help="Flags for the compiler.")] = False,
    libs: Annotated[bool, typer.Option("--libs", help="Flags for the linker.")] = False,
    static: Annotated[bool, typer.Option("--static", help="Link the library into the program.")] = False,
    compat: Annotated[bool, typer.Option("--compat", help="Find stub_syscall.h and kernel/minix/*.h as well.")] = False,
    mandir: Annotated[bool, typer.Option("--mandir", help="The folder of the manual pages.")] = False,
) -> None:
    """Show the flags that C programs are built with.

    cc server.c $(drvs config --cflags --libs) -o server
    """
    from drvs.base import native

    if not native.present():
        fail("this installation has no C library", "Install drvs anew, or run `make build` in its source tree.")
    words: list[str] = []
    if cflags or not (libs or mandir):
        words += native.cflags(compat=compat)
    if libs or not (cflags or mandir):
        words += native.libs(static=static)
    if mandir:
        words.append(str(native.MAN))
    typer.echo(shlex.join(words))
