"""The two ways in: connect to a node, or wait until somebody binds this process."""

from __future__ import annotations

import os

from drvs.api.endpoint import Endpoint
from drvs.api.node import Node
from drvs.base.limits import SPIN_US


def connect(runtime_dir: str | os.PathLike[str] | None = None) -> Node:
    """Return the node of a runtime directory, after asking it whether it is there.

    Args:
        runtime_dir: None for the node that DRVS_RUNTIME_DIR and DRVS_NODE choose, this user's own, or the system's.

    Raises:
        DaemonGone: no noded answers there; start one with `drvs up`.
    """
    node = Node(runtime_dir)
    _ = node.id
    return node


def wait_for_bind(
    timeout: float | None = None, *, runtime_dir: str | os.PathLike[str] | None = None, spin_us: int = SPIN_US
) -> Endpoint:
    """Wait until this process is bound, by whoever may, and return its endpoint; at once if it is bound already.

    This is how an ordinary user's process meets the endpoint that `drvs run` or `VM.lclbind` gave it, and how a
    program finds its endpoint again after an exec.

    Args:
        timeout: seconds; None waits for ever.
        runtime_dir: as for `connect`.

    Raises:
        TimedOut: nobody bound it in time.
        DaemonGone: no noded answers there.

    Canonical: mnx_wait4bind, mnx_wait4bind_T (guide 4.1.8)
    """
    return Node(runtime_dir).wait_for_bind(timeout, spin_us=spin_us)
