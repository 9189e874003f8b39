"""The calls of chapter 6, which take migration: until there is that they answer EMOLNOSYS.

They have the guide's names and arguments, so that a program that only mentions them runs.
"""

from __future__ import annotations

from drvs.compat.mnx.constants import EMOLNOSYS
from drvs.compat.mnx.errno import failed


def mnx_migr_start(vmid: int, endpoint: int) -> int:
    """Stop the traffic to an endpoint that is going to move (guide 6.1.1)."""
    return failed(EMOLNOSYS)


def mnx_migr_commit(pid: int, vmid: int, endpoint: int, node: int) -> int:
    """Let the traffic go on to where the endpoint is now (guide 6.1.2)."""
    return failed(EMOLNOSYS)


def mnx_migr_rollback(vmid: int, endpoint: int) -> int:
    """Let the traffic go on to where the endpoint was (guide 6.1.3)."""
    return failed(EMOLNOSYS)
