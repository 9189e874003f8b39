"""Calls about other nodes, and about the VMs that run there too (guide 5.1.5 to 5.1.9)."""

from typing import TYPE_CHECKING

from drvs.base.codes import Code
from drvs.base.flags import Call
from drvs.daemon import protocol
from drvs.daemon.calls.checks import check_folder_name
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(protocol.NodeUp, Rights.ROOT, call=Call.NODEUP)
def node_up(node: "Node", _conn: "Connection", request: protocol.NodeUp) -> Answer:
    """Reach a node through a pair; once more with the same pair only renames it.

    Codes: PERM, DRVSINIT, BADNODEID, NAMETOOLONG, INVAL, PROXYFREE, NODEBUSY, EXIST.
    """
    node.peers.check_other(request.node)
    check_folder_name(request.name, "node", Code.INVAL)
    if not 0 <= request.px < node.size.nr_pairs:
        raise Refused(Code.PROXYFREE, f"proxy pair {request.px} is not in 0…{node.size.nr_pairs - 1}")
    pair = node.pairs.get(request.px, Code.PROXYFREE)
    known = node.peers.known.get(request.node)
    if known is not None and known.px != pair.px:
        raise Refused(Code.NODEBUSY, f"node {request.node} is reached through pair {known.px}: take it down first")
    node.peers.check_name(request.name, request.node)
    node.peers.up(request.node, request.name, pair)
    return done()


@handles(protocol.NodeDown, Rights.ROOT, call=Call.NODEDOWN)
def node_down(node: "Node", _conn: "Connection", request: protocol.NodeDown) -> Answer:
    """Reach a node no longer. Codes: PERM, DRVSINIT, BADNODEID, PROXYFREE."""
    node.peers.down(node.peers.get(request.node, Code.PROXYFREE))
    return done()


@handles(protocol.NodeName, Rights.ROOT)
def node_name(node: "Node", _conn: "Connection", request: protocol.NodeName) -> Answer:
    """Name this node. Codes: PERM, DRVSINIT, NAMETOOLONG, INVAL, EXIST."""
    check_folder_name(request.name, "node", Code.INVAL)
    node.peers.check_name(request.name, node.number)
    node.peers.own_name = request.name
    node.save()
    return done()


@handles(protocol.GetNodeInfo, Rights.ROOT, call=Call.GETNODEINFO)
def getnodeinfo(node: "Node", _conn: "Connection", request: protocol.GetNodeInfo) -> Answer:
    """A node, with flags 0 if it is not known. Codes: PERM, DRVSINIT, BADNODEID."""
    node.peers.check_number(request.node)
    return node.peers.describe(request.node), ()


@handles(protocol.Nodes, Rights.ANYONE)
def nodes(node: "Node", _conn: "Connection", _request: protocol.Nodes) -> Answer:
    """This node and all that are known. Codes: DRVSINIT."""
    numbers = sorted({node.number, *node.peers.known})
    return done(nodes=[node.peers.describe(number) for number in numbers])


# ---- the nodes of a VM --------------------------------------------------------------------------------------------


@handles(protocol.AddNode, Rights.ROOT, call=Call.ADDNODE)
def add_node(node: "Node", _conn: "Connection", request: protocol.AddNode) -> Answer:
    """Let a VM have processes on a node. Codes: PERM, DRVSINIT, BADNODEID, BADVMID, NOPROXY, VMNOTRUN, VMNODE."""
    node.peers.check_other(request.node)
    _check_vmid(node, request.vmid)
    node.peers.get(request.node, Code.NOPROXY)
    vm = node.vm(request.vmid)
    if vm.nodes >> request.node & 1:
        raise Refused(Code.VMNODE, f"{vm.text()} runs on node {request.node} already")
    _set_nodes(node, vm, vm.nodes | 1 << request.node)
    node.routes.write(vm, request.node)
    return done()


@handles(protocol.DelNode, Rights.ROOT, call=Call.DELNODE)
def del_node(node: "Node", _conn: "Connection", request: protocol.DelNode) -> Answer:
    """Take a node out of a VM, also one that no proxies lead to any more.

    Codes: PERM, DRVSINIT, BADNODEID, BADVMID, NOPROXY, VMNOTRUN, VMNODE.
    """
    node.peers.check_other(request.node)
    _check_vmid(node, request.vmid)
    vm = node.vms.get(request.vmid)
    if vm is None or not vm.nodes >> request.node & 1:
        node.peers.get(request.node, Code.NOPROXY)
    vm = node.vm(request.vmid)
    if not vm.nodes >> request.node & 1:
        raise Refused(Code.VMNODE, f"{vm.text()} does not run on node {request.node}")
    _set_nodes(node, vm, vm.nodes & ~(1 << request.node))
    node.routes.write(vm, request.node, Code.NOVMNODE, unbind=True)
    return done()


def _check_vmid(node: "Node", vmid: int) -> None:
    if not 0 <= vmid < node.size.nr_vms:
        raise Refused(Code.BADVMID, f"VM id {vmid} is not in 0…{node.size.nr_vms - 1}")


def _set_nodes(node: "Node", vm: Vm, nodes: int) -> None:
    vm.nodes = nodes
    node.save_vm(vm)
    node.events.vm("vm_nodes", vm)
