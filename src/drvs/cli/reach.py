"""Reaching the node and the VM that a command means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drvs.api.node import Node
    from drvs.api.vm import VM


def the_node() -> Node:
    """Return the node that the environment means.

    Raises:
        DaemonGone: it does not run.
    """
    from drvs.api import connect

    return connect()


def the_vm(text: str) -> VM:
    """Return the VM that somebody named, by its name or number.

    Raises:
        NotRunning: there is none.
    """
    from drvs.base.codes import Code
    from drvs.base.errors import make_error

    node = the_node()
    rows = {str(info.vmid): info for info in node.vms()} | {info.name: info for info in node.vms()}
    if text not in rows:
        known = ", ".join(info.name for info in node.vms()) or "none"
        raise make_error(
            Code.VMNOTRUN,
            "vm",
            detail=f"there is no VM {text!r} here (running: {known})",
            hint="List them with `drvs vm list`, or create it with `drvs vm create`.",
        )
    return node.vm(int(rows[text].vmid))


def vms(only: str | None) -> list[VM]:
    """Return the VMs that a command is about: one by name or number, or all of the node."""
    if only is not None:
        return [the_vm(only)]
    node = the_node()
    return [node.vm(int(info.vmid)) for info in node.vms()]
