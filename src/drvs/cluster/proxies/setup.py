"""From a cluster file to the links of one of its nodes."""

import secrets
import select
import time
from typing import TYPE_CHECKING

from drvs.cluster.config import Cluster, ClusterFileError, NodeEntry
from drvs.cluster.links import Links
from drvs.cluster.session import Exchange, Identity
from drvs.cluster.transports.address import Address, parse, resolve
from drvs.cluster.wire.hello import Limits

if TYPE_CHECKING:
    from drvs.cluster.proxies.noded import Noded
    from drvs.cluster.ca.credentials import NodeCredentials
    from drvs.cluster.transports.carrier import Transport


def build_links(cluster: Cluster, noded: "Noded", epoll: select.epoll, *, insecure: bool = False) -> Links:
    """Return links that listen, and know all peers; the node is told of these.

    Raises:
        ClusterFileError: the file does not have this node, or its peers cannot be found.
        OSError: an address cannot be listened on, or a transport is not there.
        DrvsError: the node refuses a peer.
    """
    own = cluster.entry(noded.number)
    plain = insecure or cluster.cluster.insecure
    credentials = None if plain else _credentials(cluster, own)
    size = noded.size
    identity = Identity(
        node=own.id, name=own.name, cluster=cluster.name, incarnation=secrets.randbits(62) | 1,
        limits=Limits(size.nr_tasks, size.nr_procs, size.nr_nodes, size.copy_len_max),
    )  # fmt: skip
    exchange = Exchange(identity, credentials, admit=lambda peer: _admit(cluster, peer))
    links = Links(exchange, _transports(cluster, own, credentials), epoll)
    noded.name(own.name)
    if own.listens_at is not None:
        for address in resolve(own.listens_at):
            links.listen(address)
    for peer in cluster.node:
        if peer.id != own.id:
            noded.node_up(peer.id, peer.name)
            links.add_peer(peer.id, _addresses(cluster, peer))
    return links


def _admit(cluster: Cluster, peer: Identity) -> str:
    entry = cluster.nodes.get(peer.node)
    if entry is None:
        return f"node {peer.node} is not in this node's cluster file"
    return "" if entry.name == peer.name else f"node {peer.node} is {entry.name!r} here, not {peer.name!r}"


def _addresses(cluster: Cluster, peer: NodeEntry) -> list[Address]:
    if peer.reached_at is None:
        return [parse("nats://")]
    try:
        return resolve(peer.reached_at)
    except ValueError as error:
        raise ClusterFileError(cluster.file, 0, f"node {peer.id} cannot be found: {error}") from None


def _credentials(cluster: Cluster, own: NodeEntry) -> "NodeCredentials":
    folder = cluster.credentials(own.id)
    if folder is None:
        problem = "it names no credentials: make them with `drvs ca`, or write insecure = true in [cluster]"
        raise ClusterFileError(cluster.file, 0, problem)
    from drvs.cluster.ca.credentials import NodeCredentials

    return NodeCredentials(folder, time.time(), own.id)


def _transports(cluster: Cluster, own: NodeEntry, credentials: "NodeCredentials | None") -> "list[Transport]":
    schemes = {address.scheme for entry in cluster.node if (address := entry.reached_at) is not None}
    if own.listens_at is not None:
        schemes.add(own.listens_at.scheme)
    return [_transport(scheme, credentials) for scheme in sorted(schemes)]


def _transport(scheme: str, credentials: "NodeCredentials | None") -> "Transport":
    if scheme == "tcp":
        from drvs.cluster.transports.tcp import Tcp

        return Tcp(None if credentials is None else credentials.contexts)
    if scheme == "udp":
        from drvs.cluster.transports.udp import Udp

        return Udp()
    raise OSError(f"this version has no transport {scheme}")
