"""The tables of a node at one moment: every VM, its processes, and their waits."""

from __future__ import annotations

from typing import NamedTuple

from drvs.api import VM, Node, ProcessInfo, VmInfo
from drvs.base.errors import NotRunning
from drvs.procview.waits import WaitView, analyse


class VmView(NamedTuple):
    """A VM as it was seen: its description, its processes by process number, and who of them waits on whom."""

    info: VmInfo
    processes: tuple[ProcessInfo, ...]
    waits: WaitView


def look(node: Node) -> list[VmView]:
    """Return the VMs of a node with their processes; one that ends meanwhile is left out.

    Raises:
        AccessDenied: the caller is neither bound, nor root, nor the owner of the node.
    """
    views = []
    for info in node.vms():
        try:
            processes = tuple(VM(node, info.vmid, info.name).processes())
        except NotRunning:
            continue
        views.append(VmView(info, processes, analyse(processes)))
    return views
