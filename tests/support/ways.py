"""The ways in which links can carry bytes, and a little cluster on one of them."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from drvs.cluster.ca.credentials import NodeCredentials
from drvs.cluster.session import Exchange, Identity, Settings
from drvs.cluster.transports.carrier import Hub, Transport
from drvs.cluster.transports.nats import Nats
from drvs.cluster.transports.nats_connection import NatsConnection
from drvs.cluster.transports.tcp import Tcp
from drvs.cluster.transports.tipc import Tipc, open_socket
from drvs.cluster.transports.udp import Udp
from support import brokers
from support.certificates import credentials
from support.links import QUICK, Net, TestNode, identity


@dataclass
class Way:
    """A way to carry bytes: makes a node's transport, and says where it listens."""

    transport: Callable[[int, NodeCredentials | None], Transport]
    listen: Callable[[int], str]
    secure: bool = True
    #: Whether the address itself says cluster and node, so that nobody else can answer there.
    names_the_node: bool = False


def tcp_insecure() -> Way:
    """tcp, and nothing proved."""
    return Way(lambda node, proof: Tcp(), lambda node: "tcp://127.0.0.1:0", secure=False)


def tcp_signed() -> Way:
    """tcp between two ends of one machine: HELLO is signed, nothing is encrypted."""
    return Way(lambda node, proof: Tcp(proof.contexts if proof else None), lambda node: "tcp://127.0.0.1:0")


def tcp_tls() -> Way:
    """tcp in TLS, as between machines."""
    return Way(
        lambda node, proof: Tcp(proof.contexts if proof else None, always_tls=True), lambda node: "tcp://127.0.0.1:0"
    )


def udp_insecure() -> Way:
    """Plain datagrams."""
    return Way(lambda node, proof: Udp(), lambda node: "udp://127.0.0.1:0", secure=False)


def udp_sealed() -> Way:
    """Sealed datagrams."""
    return Way(lambda node, proof: Udp(), lambda node: "udp://127.0.0.1:0")


def nats() -> Way:
    """Sealed datagrams through a server; each node has a connection of its own."""
    url = brokers.broker().url
    return Way(lambda node, proof: OwnNats(url, f"node{node}"), lambda node: "nats://", names_the_node=True)


class OwnNats(Nats):
    """The transport with a connection that ends with it."""

    def __init__(self, url: str, name: str) -> None:
        self.own = NatsConnection([url], name)
        super().__init__(self.own)

    def close(self, hub: Hub) -> None:
        """Close both."""
        super().close(hub)
        self.own.close()


def tipc() -> Way:
    """Sealed datagrams of TIPC, on one node or between network namespaces."""
    services = itertools.count(int.from_bytes(os.urandom(3), "little") + 100)
    return Way(lambda node, proof: Tipc(), lambda node: f"tipc://{next(services)}:{node}")


WAYS = {
    "nats": nats,
    "tipc": tipc,
    "tcp-insecure": tcp_insecure,
    "tcp-signed": tcp_signed,
    "tcp-tls": tcp_tls,
    "udp-insecure": udp_insecure,
    "udp-sealed": udp_sealed,
}


def why_not(name: str) -> str:
    """Return why a way cannot be tested on this machine, "" if it can."""
    if name == "nats":
        return brokers.why_not()
    if name == "tipc":
        try:
            open_socket().close()
        except OSError as error:
            return str(error.strerror)
    return ""


def parameters(*, secure: bool = False) -> list[object]:
    """Return the ways for `params` of a fixture, those that this machine does not have marked so."""
    names = [name for name in sorted(WAYS) if not (secure and name.endswith("insecure"))]
    skip = pytest.mark.skip
    return [pytest.param(name, marks=[skip(reason=why)] if (why := why_not(name)) else []) for name in names]


class Cluster:
    """Makes nodes on one way, and lets them know each other."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.net = Net()

    def node(
        self,
        number: int,
        who: Identity | None = None,
        settings: Settings = QUICK,
        proof: NodeCredentials | None = None,
        secure: bool | None = None,
    ) -> TestNode:
        """Start a node; with `proof`, or with what a node of its number and cluster has where the way is secure."""
        who = who or identity(number)
        if proof is None and (self.way.secure if secure is None else secure):
            proof = credentials(number, who.cluster)
        exchange = Exchange(who, proof, settings)
        return self.net.add(TestNode(exchange, [self.way.transport(number, proof)], self.way.listen(number)))

    def introduce(self, *nodes: TestNode) -> None:
        """Let each dial each."""
        for one in nodes:
            for other in nodes:
                if one is not other:
                    one.links.add_peer(other.number, [other.address])

    def pair(self) -> tuple[TestNode, TestNode]:
        """Return two nodes that are connected."""
        one, two = self.node(1), self.node(2)
        self.introduce(one, two)
        self.net.run_until(lambda: one.connected(2) and two.connected(1))
        return one, two
