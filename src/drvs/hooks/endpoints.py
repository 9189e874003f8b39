"""Endpoints of a process that is dumped: it keeps them and goes on; its copies start unbound, like forked children."""

from __future__ import annotations

import sys


def hang_up() -> None:
    """Close idle connections to noded, which an image cannot hold; the next call opens one."""
    client = sys.modules.get("drvs.daemon.client")
    if client is not None:
        client.hang_up()


def unbind() -> None:
    """Forget what this process was bound to before it was restored."""
    for name in ("drvs.api.binding", "drvs.compat.mnx.threads", "drvs.compat.mnx.proxying"):
        module = sys.modules.get(name)
        if module is not None:
            module.start_over()
