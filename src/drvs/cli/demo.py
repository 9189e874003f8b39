"""drvs demo: see it work."""

from __future__ import annotations

import typer


def demo() -> None:
    """See it all work, in half a minute.

    First act: starts a node of its own in a scratch directory. A file server binds in a privileged slot and serves the
    source of Python's standard library; eight processes fetch every file by sendrec and copy, and compare digests.
    Halfway the server is killed; each client gets DSTDIED, finds the next server by name, and goes on.

    Second act: a script that fits a curve with numpy is put aside in mid-loop, brought back, and multiplied by 32; the
    times are compared with multiprocessing's. Exit status 0 if nothing was lost and no answer differs.
    """
    from drvs.demo.show import run

    raise typer.Exit(run())
