"""Where each file of the view comes from: one question to noded, its answer as records, and their text.

Each function looks anew, so what it returns is of one moment. A VM or node that is gone gives FileNotFoundError.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from drvs.api.info import ProcessInfo, VmInfo
from drvs.base.errors import DaemonGone, NotRunning, OutOfRange
from drvs.procview.listings import of_node, of_proxies, of_vm
from drvs.procview.records import NodeRecord, ProxyRecord

if TYPE_CHECKING:
    from drvs.api.info import NodeInfo
    from drvs.api.node import Node

Record = msgspec.Struct


class Listing(NamedTuple):
    """A file as it was at one moment: its text, and the record or records that it was made from."""

    text: str
    objects: Record | tuple[Record, ...]


def gone(what: str) -> FileNotFoundError:
    """Return the error for something that is not there any more."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), what)


# ---- the node and its peers


def info(node: Node) -> Listing:
    """Look at the node's parameters."""
    found = parameters(node)
    return Listing(of_node.info(found), found)


def parameters(node: Node) -> NodeInfo:
    """Return the node's parameters.

    Raises:
        FileNotFoundError: it is not initialised.
    """
    try:
        return node.info()
    except DaemonGone:
        raise
    except NotRunning:
        raise gone("info") from None


def nodes(node: Node) -> Listing:
    """Look at all nodes that are known."""
    rows = node_records(node)
    return Listing(of_node.nodes(rows, _nr_vms(node, rows)), rows)


def _nr_vms(node: Node, rows: Iterable[NodeRecord]) -> int:
    """How many VMs there may be; for those whom noded does not tell, as many as there are."""
    try:
        return parameters(node).nr_vms
    except AccessDenied:
        return max(row.vms.bit_length() for row in rows)


def node_records(node: Node) -> tuple[NodeRecord, ...]:
    """Return every node that is known, this one among them."""
    found = parameters(node)
    vms = sum(1 << info.vmid for info in node.vms())
    own = NodeRecord(node=found.node, name=f"node{found.node}", flags=6, vms=vms, local=True)
    return (own,)


def proxy_records(_node: Node) -> tuple[ProxyRecord, ...]:
    """Return every pair of proxies."""
    return ()


def find_node(node: Node, number: int, name: str) -> NodeRecord:
    """Return a node as it is now.

    Raises:
        FileNotFoundError: the number is free, or another node's.
    """
    for row in node_records(node):
        if (row.node, row.name) == (number, name):
            return row
    raise gone(name)


def node_info(node: Node, number: int, name: str) -> Listing:
    """Look at one node and its proxies."""
    row = find_node(node, number, name)
    proxy = next((proxy for proxy in proxy_records(node) if proxy.proxies == row.proxies), None)
    return Listing(of_node.node_info(row, proxy, parameters(node).nr_vms), row)


def node_stats(node: Node, number: int, name: str) -> Listing:
    """Look at what went to a node and came from it."""
    row = find_node(node, number, name)
    return Listing(of_node.node_stats(row), row)


# ---- proxies


def proxies_info(node: Node) -> Listing:
    """Look at the pairs of proxies."""
    rows = proxy_records(node)
    return Listing(of_proxies.info(rows, parameters(node).nr_nodes), rows)


def proxies_procs(node: Node) -> Listing:
    """Look at the processes of the proxies."""
    rows = proxy_records(node)
    return Listing(of_proxies.procs(rows), rows)


# ---- VMs


def vm_info(node: Node, vmid: int, name: str) -> Listing:
    """Look at a VM."""
    for found in node.vms():
        if (found.vmid, found.name) == (vmid, name):
            return Listing(of_vm.info(found, _cpus(node)), found)
    raise gone(name)


def _cpus(node: Node) -> int:
    """The CPUs that the node's processes may use: those of noded, unless somebody has confined them further."""
    try:
        cpus = os.sched_getaffinity(int(node.client.call("hello")["pid"]))
    except OSError:  # from another pid namespace
        cpus = os.sched_getaffinity(0)
    return sum(1 << cpu for cpu in cpus)


def vm_procs(node: Node, vmid: int, name: str) -> Listing:
    """Look at the processes of a VM."""
    rows = _processes(node, vmid, name)
    return Listing(of_vm.procs(rows), rows)


def vm_stats(node: Node, vmid: int, name: str) -> Listing:
    """Look at what the processes of a VM have sent and copied."""
    rows = _processes(node, vmid, name)
    return Listing(of_vm.stats(rows), rows)


def _processes(node: Node, vmid: int, name: str) -> tuple[ProcessInfo, ...]:
    """The processes, if the VM is still the one that had this name."""
    try:
        reply = node.client.call("procs", vmid=vmid)
    except DaemonGone:
        raise
    except (NotRunning, OutOfRange):
        raise gone(name) from None
    if VmInfo.from_reply(reply["vm"]).name != name:
        raise gone(name)
    return tuple(ProcessInfo.from_row(vmid, row) for row in reply["procs"])
