"""A cluster on one machine, to try things on: `drvs lab up 3`, or in Python

    from drvs.lab import Lab

    with Lab(3) as lab:
        lab.node(1).run(["drvs", "status"])
        lab.cut(0, 1)

With root each node has its own network, pid, mount, UTS and IPC namespace; without, it is a daemon on a loopback
address of its own. Between each two nodes stands a relay that can cut, delay and lose what passes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drvs.lab.errors import LabError, NoSuchLab
    from drvs.lab.lab import Lab
    from drvs.lab.node import LabNode

__all__ = ["Lab", "LabError", "LabNode", "NoSuchLab"]

_HOMES = {"Lab": "lab", "LabNode": "node", "LabError": "errors", "NoSuchLab": "errors"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"drvs.lab.{_HOMES[name]}"), name)
