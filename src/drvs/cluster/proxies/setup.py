"""From a plan to the links of a node, and to its place in the registry."""

import secrets
import select
import time
from typing import TYPE_CHECKING

from drvs.cluster.links import Links
from drvs.cluster.proxies.plan import Plan
from drvs.cluster.registry import Presence, Registry
from drvs.cluster.session import Exchange, Identity
from drvs.cluster.wire.hello import Limits

if TYPE_CHECKING:
    from drvs.api.info import NodeInfo
    from drvs.cluster.ca.credentials import NodeCredentials
    from drvs.cluster.proxies.noded import Noded
    from drvs.cluster.transports.carrier import Transport
    from drvs.cluster.transports.nats_connection import NatsConnection


class Joined:
    """What joins a node: its links, and what they stand on.

    Raises:
        OSError: an address cannot be listened on, a transport is not there, or NATS cannot be reached.
        ValueError: the credentials cannot be used.
    """

    def __init__(self, plan: Plan, noded: "Noded", epoll: select.epoll) -> None:
        self.plan = plan
        self.nats: NatsConnection | None = None
        self.registry: Registry | None = None
        self._credentials = _credentials(plan)
        if "nats" in plan.schemes:
            self.nats = _connect(plan)
        self.identity = _identity(plan, noded.size)
        exchange = Exchange(self.identity, self._credentials, admit=self._admit)
        self.links = Links(exchange, [self._transport(scheme) for scheme in sorted(plan.schemes)], epoll)
        noded.name(plan.name)
        addresses = [str(self.links.listen(address)) for address in plan.listens]
        for peer in plan.peers:
            noded.node_up(peer.node, peer.name)
            self.links.add_peer(peer.node, list(peer.addresses))
        if plan.registry and self.nats is not None:
            self.registry = Registry(self.nats, plan.cluster)
            self.registry.join(plan.node, Presence(plan.name, self.identity.incarnation, tuple(addresses)))

    def _admit(self, peer: Identity) -> str:
        """Who is not in the file is not wanted; with a registry, whoever is of the cluster is."""
        if self.plan.registry:
            return ""
        found = next((known for known in self.plan.peers if known.node == peer.node), None)
        if found is None:
            return f"node {peer.node} is not in this node's cluster file"
        return "" if found.name == peer.name else f"node {peer.node} is {found.name!r} here, not {peer.name!r}"

    def _transport(self, scheme: str) -> "Transport":
        if scheme == "tcp":
            from drvs.cluster.transports.tcp import Tcp

            return Tcp(None if self._credentials is None else self._credentials.contexts)
        if scheme == "udp":
            from drvs.cluster.transports.udp import Udp

            return Udp()
        if scheme == "tipc":
            from drvs.cluster.transports.tipc import Tipc

            return Tipc()
        from drvs.cluster.transports.nats import Nats

        assert self.nats is not None
        return Nats(self.nats)

    def close(self) -> None:
        """Leave the registry, end all sessions, and hang up."""
        if self.registry is not None:
            self.registry.leave()
        self.links.close()
        if self.nats is not None:
            self.nats.close()


def _connect(plan: Plan) -> "NatsConnection":
    from drvs.cluster.transports.nats_connection import NatsConnection

    return NatsConnection(plan.nats, f"drvs {plan.cluster} {plan.name}")


def _identity(plan: Plan, size: "NodeInfo") -> Identity:
    return Identity(
        node=plan.node, name=plan.name, cluster=plan.cluster, incarnation=secrets.randbits(62) | 1,
        limits=Limits(size.nr_tasks, size.nr_procs, size.nr_nodes, size.copy_len_max),
    )  # fmt: skip


def _credentials(plan: Plan) -> "NodeCredentials | None":
    if plan.credentials is None:
        return None
    from drvs.cluster.ca.credentials import NodeCredentials

    return NodeCredentials(plan.credentials, time.time(), plan.node)
