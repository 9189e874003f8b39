"""What the files about nodes say: `info`, `nodes`, and `info` and `stats` of each other node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drvs.base.ids import NO_PID
from drvs.procview import bitmap
from drvs.procview.listings.words import pairs, plain, table

if TYPE_CHECKING:
    from drvs.api.info import NodeInfo, PairInfo, PeerInfo

_ROUTE_BYTES = 4
"""What a node costs in a VM's region: one word of its table of routes."""


def info(node: NodeInfo) -> str:
    """Return `info`: the parameters of the node, and the sizes of what its tables are made of."""
    from drvs.core import LAYOUT

    slot = LAYOUT["slot_bytes"]
    version = ".".join(map(str, node.version))
    return pairs(
        ("nodeid", node.node),
        ("nr_vms", node.nr_vms),
        ("nr_nodes", node.nr_nodes),
        ("max_nr_procs", node.nr_procs),
        ("max_nr_tasks", node.nr_tasks),
        ("max_sys_procs", node.nr_sysprocs),
        ("max_copy_buf", node.copy_buf),
        ("max_copy_len", node.copy_len_max),
        ("dbglvl", f"{int(node.debug):X}"),
        ("version", version),
        ("sizeof(proc)", slot),
        ("sizeof(proc) aligned", slot),
        ("sizeof(vm)", LAYOUT["header_bytes"]),
        ("sizeof(node)", _ROUTE_BYTES),
    )


def nodes(rows: Iterable[PeerInfo], nr_vms: int) -> str:
    """Return `nodes`: every node that is known, this one among them, and which VMs run there."""
    width = bitmap.width_for(nr_vms)
    return table(
        f"Node Flags Proxies {bitmap.ruler(width)} Name",
        (f"{row.node:4} {int(row.flags):5X} {row.px:7} {_vms(row, width)} {plain(row.name)}" for row in rows),
    )


def node_info(row: PeerInfo, pair: PairInfo | None, nr_vms: int) -> str:
    """Return the `info` of a node: its flags, the processes of its proxies (-1: it has none), and its VMs."""
    width = bitmap.width_for(nr_vms)
    sender, receiver = (pair.sender.tid, pair.receiver.tid) if pair else (NO_PID, NO_PID)
    return table(
        f"Node Flags Sender Receiver {bitmap.ruler(width)} Name",
        [f"{row.node:4} {int(row.flags):5X} {sender:6} {receiver:8} {_vms(row, width)} {plain(row.name)}"],
    )


def node_stats(row: PeerInfo) -> str:
    """Return the `stats` of a node: its proxies, and the commands sent to it and received from it.

    The guide describes this file but does not list it: the columns are ours.
    """
    return table(
        "Node Flags Proxies --sent-- --rcvd-- Name",
        [f"{row.node:4} {int(row.flags):5X} {row.px:7} {row.sent:8} {row.received:8} {plain(row.name)}"],
    )


def _vms(row: PeerInfo, width: int) -> str:
    return bitmap.marks(bitmap.bits_of(row.vms), width)
