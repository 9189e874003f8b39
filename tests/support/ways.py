"""The ways in which links can carry bytes, and a little cluster on one of them."""

from collections.abc import Callable
from dataclasses import dataclass

from drvs.cluster.session import Exchange, Identity, Settings
from drvs.cluster.transports.carrier import Transport
from drvs.cluster.transports.tcp import Tcp
from support.links import QUICK, Net, TestNode, identity


@dataclass
class Way:
    """A way to carry bytes: makes a node's transport, and says where it listens."""

    name: str
    transport: Callable[[int], Transport]
    listen: Callable[[int], str]


def tcp_plain() -> Way:
    """tcp between two ends of one machine."""
    return Way("tcp-plain", lambda node: Tcp(), lambda node: "tcp://127.0.0.1:0")


WAYS = {"tcp-plain": tcp_plain}


class Cluster:
    """Makes nodes on one way, and lets them know each other."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.net = Net()

    def node(self, number: int, who: Identity | None = None, settings: Settings = QUICK) -> TestNode:
        """Start a node."""
        exchange = Exchange(who or identity(number), None, settings)
        return self.net.add(TestNode(exchange, [self.way.transport(number)], self.way.listen(number)))

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
