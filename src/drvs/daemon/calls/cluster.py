"""Calls of the process that joins this node to others: what happens here, and what has happened there."""

from typing import TYPE_CHECKING

from drvs.base.codes import Code
from drvs.daemon import node_requests
from drvs.daemon.calls.checks import check_name, check_timeout
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.directory import Entry
from drvs.daemon.refusal import Refused

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(node_requests.Events, Rights.ROOT)
def events(node: "Node", conn: "Connection", request: node_requests.Events) -> Answer | None:
    """What has happened since; waits until something does. Codes: PERM, DRVSINIT, RANGE, NOMEM."""
    check_timeout(request.timeout_ms)
    found = node.events.read(conn, request.after, request.epoch, request.timeout_ms)
    return None if found is None else (found, ())


@handles(node_requests.Names, Rights.ROOT)
def names(node: "Node", _conn: "Connection", _request: node_requests.Names) -> Answer:
    """The names of other nodes. Codes: PERM, DRVSINIT."""
    return done(names=[entry._asdict() for entry in sorted(node.directory)])


@handles(node_requests.NamesSet, Rights.ROOT)
def names_set(node: "Node", _conn: "Connection", request: node_requests.NamesSet) -> Answer:
    """A name of another node. Codes: PERM, DRVSINIT, BADNODEID, BADVMID, NAMETOOLONG, INVAL, NOMEM."""
    node.peers.check_other(request.node)
    _check_vmid(node, request.vmid)
    check_name(request.name, "name", Code.INVAL)
    if not request.name or not -(1 << 31) <= request.endpoint < 1 << 31:
        raise Refused(Code.INVAL, f"{request.name!r} cannot be the name of endpoint {request.endpoint}")
    node.directory.set(Entry(request.node, request.vmid, request.name, request.endpoint))
    return done()


@handles(node_requests.NamesDrop, Rights.ROOT)
def names_drop(node: "Node", _conn: "Connection", request: node_requests.NamesDrop) -> Answer:
    """An endpoint of another node is nobody's. Codes: PERM, DRVSINIT, BADNODEID, BADVMID."""
    node.peers.check_other(request.node)
    _check_vmid(node, request.vmid)
    node.directory.drop(request.node, request.vmid, request.endpoint, request.incarnation)
    return done()


@handles(node_requests.NamesClear, Rights.ROOT)
def names_clear(node: "Node", _conn: "Connection", request: node_requests.NamesClear) -> Answer:
    """Another node has nobody any more. Codes: PERM, DRVSINIT, BADNODEID."""
    node.peers.check_other(request.node)
    node.directory.clear(request.node)
    return done()


def _check_vmid(node: "Node", vmid: int) -> None:
    if not 0 <= vmid < node.size.nr_vms:
        raise Refused(Code.BADVMID, f"VM id {vmid} is not in 0…{node.size.nr_vms - 1}")
