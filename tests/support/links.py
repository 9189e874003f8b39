"""Nodes with links, all in one process and one loop, for tests of sessions and transports."""

import select
import time
from collections.abc import Callable

from drvs.cluster.links import Links
from drvs.cluster.session import Control, Ended, Event, Exchange, Identity, Records, Settings
from drvs.cluster.transports.address import Address, parse
from drvs.cluster.transports.carrier import Transport
from drvs.cluster.wire.hello import Limits

#: Short times, so that tests of silence are quick.
QUICK = Settings(keepalive_s=0.1, silence_s=1.0, resume_s=8.0, hello_s=2.0, ack_s=0.02)

PATIENCE_S = 20.0


def record(payload: bytes) -> bytes:
    """Return a record: its length, then what it says."""
    return (4 + len(payload)).to_bytes(4, "little") + payload


def payloads(blob: bytes | memoryview) -> list[bytes]:
    """Take a blob of records apart."""
    found, offset = [], 0
    while offset < len(blob):
        length = int.from_bytes(blob[offset : offset + 4], "little")
        found.append(bytes(blob[offset + 4 : offset + length]))
        offset += length
    return found


_incarnations = iter(range(1000, 1 << 30))


def identity(node: int, cluster: str = "lab", **changed: object) -> Identity:
    """Return an identity with an incarnation of its own."""
    changes = {"name": f"node{node}", "incarnation": next(_incarnations), "limits": Limits(), **changed}
    return Identity(node=node, cluster=cluster, **changes)  # type: ignore[arg-type]


class TestNode:
    """A node: its links, and what happened to it."""

    __test__ = False

    def __init__(self, exchange: Exchange, transports: list[Transport], listen: str) -> None:
        self.exchange = exchange
        self.number = exchange.local.node
        self.links = Links(exchange, transports)
        self.address: Address = self.links.listen(parse(listen))
        self.events: list[Event] = []
        self._seen = 0
        self._got: dict[int, list[bytes]] = {}

    def said(self, kind: type[Event], node: int | None = None) -> list[Event]:
        """Return the events of one kind (from one node)."""
        return [e for e in self.events if isinstance(e, kind) and (node is None or e.node == node)]

    def got(self, node: int) -> list[bytes]:
        """Return what the records of a node say, in order; control messages among them as b"<kind>: body"."""
        for event in self.events[self._seen :]:
            if isinstance(event, Records):
                parts = payloads(event.blob)
                assert len(parts) == event.count
                self._got.setdefault(event.node, []).extend(parts)
            elif isinstance(event, Control):
                self._got.setdefault(event.node, []).append(b"<%d>: " % event.kind + event.body)
        self._seen = len(self.events)
        return self._got.setdefault(node, [])

    def reasons(self, node: int | None = None) -> str:
        """Return why connections with a node, or with strangers, ended."""
        if node is None:
            return "\n".join(reason.text for reason in self.links.strangers)
        return "\n".join(reason.text for reason in self.links.peers[node].reasons)

    def ended(self, node: int) -> str:
        """Return why the session with a node ended, "" if it did not."""
        return "\n".join(e.reason for e in self.events if isinstance(e, Ended) and e.node == node)

    def connected(self, node: int) -> bool:
        """Say whether records can flow."""
        session = self.exchange.sessions.get(node)
        return session is not None and session.open


class Net:
    """Nodes that are driven together."""

    def __init__(self) -> None:
        self.nodes: list[TestNode] = []

    def add(self, node: TestNode) -> TestNode:
        """Drive a node from now on."""
        self.nodes.append(node)
        return node

    def drop(self, node: TestNode) -> None:
        """Let a node vanish without a word: as a crash."""
        self.nodes.remove(node)
        links = node.links
        for carrier in list(links._carriers):
            carrier.connection.broken("crash", time.monotonic())
            links._close(carrier, time.monotonic())
        links.close()

    def step(self, wait: float = 0.05) -> None:
        """Wait for one of the nodes to have something to do, and let it."""
        poller = select.poll()
        now = time.monotonic()
        for node in self.nodes:
            poller.register(node.links.fileno(), select.POLLIN)
            wait = min(wait, max(0.0, node.links.deadline - now))
        if not any(node.links._dirty for node in self.nodes):
            poller.poll(wait * 1000)
        for node in self.nodes:
            node.events += node.links.poll(0)

    def run_until(self, condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        """Drive the nodes until something is true."""
        end = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < end, "it did not happen:\n" + self.picture()
            self.step()

    def run_for(self, seconds: float) -> None:
        """Drive the nodes for a while: for what must *not* happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step(0.01)

    def picture(self) -> str:
        """Say where everything stands."""
        lines = []
        for node in self.nodes:
            lines += [f"node {node.number}: {status}" for status in node.links.status()]
            lines += [f"node {node.number}, strangers: {reason}" for reason in node.links.strangers]
        return "\n".join(lines)

    def close(self) -> None:
        """End it all."""
        for node in self.nodes:
            node.links.close()
        self.nodes.clear()
