"""Calls about proxy pairs (guide 5.1.1 to 5.1.4), and what a proxy needs to begin its work."""

from typing import TYPE_CHECKING, Any

from drvs.base.codes import Code
from drvs.base.flags import Call, Connection, Misc, PairFlag
from drvs.base.ids import NONE
from drvs.daemon import protocol
from drvs.daemon.calls.checks import WORD, check_folder_name
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.pairs import Pair, Proxy, changed, find_proxy
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection as Client

_BOTH = PairFlag.SCONNECTED | PairFlag.RCONNECTED


@handles(protocol.ProxiesBind, Rights.ROOT, call=Call.PROXYBIND)
def proxies_bind(node: "Node", conn: "Client", request: protocol.ProxiesBind) -> Answer:
    """Register a pair. Codes: PERM, DRVSINIT, BADNODEID, NAMETOOLONG, INVAL, NODEBUSY, EXIST, BADPID, NOTDIR, BADF."""
    node.pairs.check_number(request.px)
    check_folder_name(request.name, "proxy pair", Code.INVAL)
    if request.px in node.pairs.in_use:
        raise Refused(Code.NODEBUSY, f"{node.pairs.in_use[request.px].text()} is registered already")
    _check_name_is_free(node, request.name)
    sender, receiver = (_proxy(conn, pid) for pid in (request.sender, request.receiver))
    node.pairs.bind(Pair(request.px, request.name, sender, receiver))
    return done()


def _check_name_is_free(node: "Node", name: str) -> None:
    """Pairs and VMs have a directory each, in one place."""
    owner = next((pair for pair in node.pairs.in_use.values() if pair.name == name), None) or node.names.get(name)
    if owner is not None:
        raise Refused(Code.EXIST, f"{owner.text()} has this name")


def _proxy(conn: "Client", pid: int | None) -> Proxy:
    proxy = find_proxy(conn.peer.pid if pid is None else pid)
    if pid is None and proxy.start != conn.start:
        raise Refused(Code.BADPID, f"process {conn.peer.pid}, which connected, has ended")
    return proxy


@handles(protocol.ProxyConn, Rights.ROOT, call=Call.PROXYCONN)
def proxy_conn(node: "Node", _conn: "Client", request: protocol.ProxyConn) -> Answer:
    """Tell whether a pair is connected, to all its nodes or to one. Codes: PERM, DRVSINIT, BADNODEID, INVAL, NOPROXY,
    NODEFREE.
    """
    node.pairs.check_number(request.px)
    if request.status not in list(Connection):
        raise Refused(Code.INVAL, f"{request.status} is not a status of a connection: 1 to 4 are")
    pair, status = node.pairs.get(request.px, Code.NOPROXY), Connection(request.status)
    peers = [peer for peer in node.peers.known.values() if peer.px == pair.px]
    if request.node is None:
        pair.flags = changed(pair.flags, status)
        node.pairs.save(pair)
    else:
        node.peers.check_other(request.node)
        peers = [peer for peer in peers if peer.number == request.node]
        if not peers:
            raise Refused(Code.NODEFREE, f"{pair.text()} does not lead to node {request.node}")
    for peer in peers:
        node.peers.tell(peer, status)
    return done()


@handles(protocol.ProxyUnbind, Rights.ROOT, call=Call.PROXYUNBIND)
def proxy_unbind(node: "Node", _conn: "Client", request: protocol.ProxyUnbind) -> Answer:
    """Forget a pair. Codes: PERM, DRVSINIT, BADNODEID, NOPROXY."""
    node.pairs.unbind(node.pairs.get(request.px, Code.NOPROXY))
    return done()


@handles(protocol.GetProxyInfo, Rights.ROOT, call=Call.GETPROXYINFO)
def getproxyinfo(node: "Node", _conn: "Client", request: protocol.GetProxyInfo) -> Answer:
    """A pair and its two processes. Codes: PERM, DRVSINIT, BADNODEID, NOPROXY."""
    return describe_pair(node, node.pairs.get(request.px, Code.NOPROXY)), ()


@handles(protocol.Proxies, Rights.ANYONE)
def proxies(node: "Node", _conn: "Client", _request: protocol.Proxies) -> Answer:
    """All pairs in use. Codes: DRVSINIT."""
    return done(proxies=[describe_pair(node, pair) for _, pair in sorted(node.pairs.in_use.items())])


def describe_pair(node: "Node", pair: Pair) -> dict[str, Any]:
    """Return a pair, its processes as proc_usr has them, and the nodes that it leads to."""
    nodes = sorted(peer.number for peer in node.peers.known.values() if peer.px == pair.px)
    return {
        "px": pair.px, "name": pair.name, "flags": pair.flags, "nodes": nodes,
        "sender": _describe_proxy(node, pair, pair.sender, PairFlag.SCONNECTED, nodes),
        "receiver": _describe_proxy(node, pair, pair.receiver, PairFlag.RCONNECTED, nodes),
    }  # fmt: skip


def _describe_proxy(node: "Node", pair: Pair, proxy: Proxy, link: PairFlag, nodes: list[int]) -> dict[str, Any]:
    nobody, map_of_nodes = int(NONE), sum(1 << number for number in nodes)
    return {
        "p_nr": pair.px, "endpoint": nobody, "vmid": -1, "rts": 0, "rts_all": 0, "pid": proxy.pid, "tid": proxy.tid,
        "node": node.number, "nodes": map_of_nodes, "nodes64": map_of_nodes & WORD, "px": pair.px, "name": pair.name,
        "misc": int(Misc.PROXY | (Misc.CONNECTED if pair.flags & link else 0)), "getfrom": nobody, "sendto": nobody,
        "sent_local": 0, "sent_remote": 0,
    }  # fmt: skip


# ---- what a proxy works with ------------------------------------------------------------------------------------


@handles(protocol.ProxyAttach, Rights.ROOT, call=None)
def proxy_attach(node: "Node", conn: "Client", request: protocol.ProxyAttach) -> Answer:
    """Give a registered proxy the next VM. Codes: PERM, DRVSINIT, BADNODEID, NOPROXY, INVAL, BADPROXY."""
    pair = _pair_of(node, conn, request)
    ahead = sorted((vm.serial, vm) for vm in node.vms.values() if vm.running and vm.serial > request.after)
    names, fds = (["changed", "ledger"], [pair.bell, node.ledger.fd]) if request.begin else ([], [])
    if ahead:
        names, fds = [*names, "region", "bell"], [*fds, ahead[0][1].fd, ahead[0][1].bell]
    fields: dict[str, Any] = {
        "vm": _describe_vm(ahead[0][1]) if ahead else None, "more": len(ahead) > 1, "fds": names, "node": node.number,
        "px": pair.px, "pair": pair.serial,
    }  # fmt: skip
    return fields, tuple(fds)


def _pair_of(node: "Node", conn: "Client", request: protocol.ProxyAttach) -> Pair:
    """The pair whose sender or receiver the caller is; what was registered for its very thread comes first."""
    if request.role not in ("sender", "receiver"):
        raise Refused(Code.INVAL, f"the role {request.role[:20]!r} is not sender or receiver")
    if request.pair and all(pair.serial != request.pair for pair in node.pairs.in_use.values()):
        raise Refused(Code.NOPROXY, "the proxy pair was unbound")
    pairs = list(node.pairs.in_use.values()) if request.px is None else [node.pairs.get(request.px, Code.NOPROXY)]
    mine = [pair for pair in pairs if _half(pair, request.role).pid == conn.peer.pid]
    if not mine:
        raise Refused(Code.BADPROXY, f"process {conn.peer.pid} is not registered as a {request.role} proxy")
    return next((pair for pair in mine if _half(pair, request.role).tid == request.tid), mine[0])


def _half(pair: Pair, role: str) -> Proxy:
    return pair.sender if role == "sender" else pair.receiver


def _describe_vm(vm: Vm) -> dict[str, Any]:
    return {"vmid": vm.vmid, "serial": vm.serial, "name": vm.name, "copy_buf": vm.limits.copy_buf}
