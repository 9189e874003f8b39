"""What a node has to know to be joined to its cluster: from a cluster file, or from the registry in NATS."""

import os
from pathlib import Path

import msgspec

from drvs.cluster.config import Cluster, ClusterFileError, load
from drvs.cluster.transports.address import Address, parse, resolve


class PlannedPeer(msgspec.Struct, frozen=True):
    """A peer that is known from the start."""

    node: int
    name: str
    addresses: tuple[Address, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a node is joined. `nats`: servers; `registry`: the peers are those that the registry knows."""

    cluster: str
    node: int
    name: str
    credentials: Path | None
    listens: tuple[Address, ...] = ()
    peers: tuple[PlannedPeer, ...] = ()
    nats: tuple[str, ...] = ()
    registry: bool = False

    @property
    def schemes(self) -> set[str]:
        """The transports that are needed."""
        found = {address.scheme for address in self.listens}
        found |= {address.scheme for peer in self.peers for address in peer.addresses}
        return found | ({"nats", "tcp"} if self.registry else set())


def from_file(file: str | os.PathLike[str], node: int, *, insecure: bool = False) -> Plan:
    """Return the plan of one node of a cluster file.

    Raises:
        ClusterFileError: the file cannot be used, does not have this node, or has peers that cannot be found.
    """
    cluster = load(file)
    own = cluster.entry(node)
    folder = None if insecure or cluster.cluster.insecure else cluster.credentials(node)
    if folder is None and not (insecure or cluster.cluster.insecure):
        problem = "it names no credentials: make them with `drvs ca`, or write insecure = true in [cluster]"
        raise ClusterFileError(cluster.file, 0, problem)
    peers = tuple(
        PlannedPeer(entry.id, entry.name, _found(cluster, entry.id, entry.addresses))
        for entry in cluster.node
        if entry.id != node
    )
    return Plan(
        cluster=cluster.name, node=node, name=own.name, credentials=folder,
        listens=_found(cluster, node, own.listens), peers=peers,
        nats=tuple(cluster.cluster.nats_servers),
    )  # fmt: skip


def _found(cluster: Cluster, node: int, addresses: list[Address]) -> tuple[Address, ...]:
    try:
        return tuple(found for address in addresses for found in resolve(address))
    except ValueError as error:
        raise ClusterFileError(cluster.file, 0, f"node {node} cannot be found: {error}") from None


def from_registry(
    servers: str, cluster: str, node: int, name: str, credentials: Path | None, listens: list[str]
) -> Plan:
    """Return the plan of a node whose peers stand in the registry.

    Raises:
        ValueError: an address is none, or its host is not known.
    """
    addresses = [found for text in listens for found in resolve(parse(text))]
    return Plan(
        cluster=cluster, node=node, name=name, credentials=credentials, listens=(*addresses, parse("nats://")),
        nats=tuple(server.strip() for server in servers.split(",")), registry=True,
    )  # fmt: skip
