"""Where each file of the view comes from: one question to noded, its answer as records, and their text.

Each function looks anew, so what it returns is of one moment. What is gone gives FileNotFoundError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from drvs.api.info import ProcessInfo, VmInfo
from drvs.base.errors import AccessDenied, DaemonGone, NotRunning, OutOfRange
from drvs.procview.listings import of_node, of_proxies, of_vm

if TYPE_CHECKING:
    from drvs.api.info import PairInfo, PeerInfo
    from drvs.api.node import Node


class Listing(NamedTuple):
    """A file as it was at one moment: its text, and the record or records that it was made from."""

    text: str
    objects: msgspec.Struct | tuple[msgspec.Struct, ...]


def gone(what: str) -> FileNotFoundError:
    """Return the error for something that is not there any more."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), what)


@contextmanager
def _of(what: str) -> Iterator[None]:
    """A node that is not initialised, and a VM that does not run, have nothing to show."""
    try:
        yield
    except DaemonGone:
        raise
    except (NotRunning, OutOfRange):
        raise gone(what) from None


# ---- the node and its peers


def info(node: Node) -> Listing:
    """Look at the node's parameters."""
    with _of("info"):
        found = node.info()
    return Listing(of_node.info(found), found)


def nodes(node: Node) -> Listing:
    """Look at all nodes that are known, this one among them."""
    with _of("nodes"):
        rows = tuple(node.nodes())
        highest = max((vmid for row in rows for vmid in row.vms), default=0)
        return Listing(of_node.nodes(rows, _limit(node, "nr_vms", highest)), rows)


def node_info(node: Node, number: int, name: str) -> Listing:
    """Look at one node and its proxies."""
    row = _peer(node, number, name)
    with _of(name):
        limit = _limit(node, "nr_vms", max(row.vms, default=0))
        return Listing(of_node.node_info(row, _pair(node, row.px), limit), row)


def node_stats(node: Node, number: int, name: str) -> Listing:
    """Look at what went to a node and came from it."""
    row = _peer(node, number, name)
    return Listing(of_node.node_stats(row), row)


def _peer(node: Node, number: int, name: str) -> PeerInfo:
    """A node as it is now, if it is still known by this name."""
    with _of(name):
        for row in node.nodes():
            if (row.node, row.name) == (number, name):
                return row
    raise gone(name)


def _pair(node: Node, px: int) -> PairInfo | None:
    return next((pair for pair in node.proxies() if pair.px == px), None)


def _limit(node: Node, name: str, highest: int) -> int:
    """A limit of the node, as which a bitmap is drawn; for those whom noded does not tell, what the rows need."""
    try:
        return int(getattr(node.info(), name))
    except AccessDenied:
        return highest + 1


# ---- proxies


def proxies_info(node: Node) -> Listing:
    """Look at the pairs of proxies."""
    with _of("proxies/info"):
        rows = tuple(node.proxies())
        highest = max((number for row in rows for number in row.nodes), default=0)
        return Listing(of_proxies.info(rows, _limit(node, "nr_nodes", highest)), rows)


def proxies_procs(node: Node) -> Listing:
    """Look at the processes of the proxies."""
    with _of("proxies/procs"):
        rows = tuple(node.proxies())
    return Listing(of_proxies.procs(rows), rows)


# ---- VMs


def vm_info(node: Node, vmid: int, name: str) -> Listing:
    """Look at a VM."""
    with _of(name):
        found = next((vm for vm in node.vms() if (vm.vmid, vm.name) == (vmid, name)), None)
    if found is None:
        raise gone(name)
    return Listing(of_vm.info(found, _cpus(node)), found)


def _cpus(node: Node) -> int:
    """The CPUs that the node's processes may use: those of noded, unless somebody has confined them further."""
    try:
        cpus = os.sched_getaffinity(int(node.client.call("hello")["pid"]))
    except OSError:  # it is in another pid namespace
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
    with _of(name):
        reply = node.client.call("procs", vmid=vmid)
    if VmInfo.from_reply(reply["vm"]).name != name:
        raise gone(name)
    return tuple(ProcessInfo.from_row(vmid, row) for row in reply["procs"])
