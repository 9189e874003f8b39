"""drvs demo: see it work."""

from __future__ import annotations

import typer


def demo() -> None:
    """See it all work, in a few seconds.

    Starts a node of its own in a scratch directory. A file server binds in a privileged slot and serves the source of
    Python's standard library; eight processes fetch every file by sendrec and copy, and compare digests. Halfway the
    server is killed; each client gets DSTDIED, finds the next server by name, and goes on. Exit status 0 if nothing
    was lost.
    """
    from drvs.demo.show import run

    raise typer.Exit(run())
