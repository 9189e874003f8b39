"""Several nodes in one process: a region and a pair of proxies for each, and the links between them moved by hand."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from drvs.core import CODES, Message, Proxy, Region, _core, decode_command
from support.regions import FIRST_USER_SLOT, make_region

CONNECTED = _core.ROUTE_VM | _core.ROUTE_CONNECTED
OK, BLOCKED = 0, _core.BLOCKED


def route(px: int = 0, flags: int = CONNECTED) -> int:
    """A route word."""
    return flags | (px + 1) << _core.ROUTE_PX_SHIFT


@dataclass
class Node:
    """One node: its VM, its proxies, and what waits on the links that lead to it."""

    number: int
    region: Region
    proxy: Proxy
    arriving: dict[int, deque[bytes]] = field(default_factory=dict)
    failures: list[tuple[dict[str, Any], int]] = field(default_factory=list)

    def bind(self, slot: int, name: str = "") -> int:
        """Bind this process at a slot; its endpoint."""
        pid = os.getpid()
        code, endpoint, _ = self.region.bind(slot, pid, pid, self.number, _core.BIND_LOCAL, 0, name)
        assert code == OK, code
        return endpoint

    def bind_remote(self, endpoint: int, node: int, name: str = "far") -> int:
        """Make a process of another node known here; the code."""
        slot = self.region.decode(endpoint)
        assert slot is not None
        return self.region.bind(slot, -1, -1, node, _core.BIND_REMOTE, endpoint, name)[0]

    def state(self, endpoint: int) -> dict[str, Any]:
        """The snapshot of a process's slot."""
        slot = self.region.decode(endpoint)
        assert slot is not None
        snapshot = self.region.snapshot(slot)
        assert isinstance(snapshot, dict)
        return snapshot

    def rts(self, endpoint: int) -> int:
        """The state word of a process's slot."""
        return int(self.state(endpoint)["rts_all"])

    def take(self, limit: int = 64, **options: Any) -> list[tuple[int, dict[str, Any]]]:
        """What the sender proxy takes, decoded: for tests that play the network themselves."""
        return [(node, decode_command(record)) for node, record in self.proxy.take(limit, **options)]

    # ---- calls, by the slot's endpoint ----------------------------------------------------------------------------

    def step(self, me: int, op: int, peer: int = _core.ANY, body: bytes = b"", **options: Any) -> int:
        """One call of a process, without waiting; its code."""
        slot = self.region.decode(me)
        assert slot is not None
        message = Message(payload=body.ljust(56, b"\0"))
        return self.region.step(slot, op, peer, message, **options)[0]

    def receive(self, me: int, source: int = _core.ANY, op: int = _core.RECEIVE, **options: Any) -> tuple[int, Message]:
        """A receive; what was there at once is in the message."""
        slot = self.region.decode(me)
        assert slot is not None
        message = Message()
        return self.region.step(slot, op, source, message, **options)[0], message

    def finish(self, me: int, op: int = _core.RECEIVE) -> tuple[int, Message]:
        """How a call that had blocked ended."""
        slot = self.region.decode(me)
        assert slot is not None
        assert not self.rts(me), f"{me} is still blocked: {self.rts(me):#x}"
        message = Message()
        return self.region.finish(slot, op, message)[0], message

    def cancel(self, me: int, verdict: int = CODES["TIMEDOUT"]) -> int:
        """Give a call up; the code."""
        slot = self.region.decode(me)
        assert slot is not None
        return self.region.cancel(slot, verdict)[0]

    def unbind(self, endpoint: int) -> int:
        """Unbind a process; the code."""
        slot = self.region.decode(endpoint)
        assert slot is not None
        return self.region.unbind(slot, 0, CODES["SHUTDOWN"], True)

    def blocked(self, me: int) -> bool:
        """Whether a process waits."""
        waits = _core.RTS_SENDING | _core.RTS_RECEIVING | _core.RTS_RMTOPER | _core.RTS_ONCOPY
        return bool(self.rts(me) & waits)


def split(records: bytes | bytearray) -> list[bytes]:
    """The records of a run."""
    parts, at = [], 0
    while at < len(records):
        length = int.from_bytes(records[at : at + 4], "little")
        parts.append(bytes(records[at : at + length]))
        at += length
    return parts


class Nodes:
    """Nodes 0 to n - 1, of one VM each, all connected to one another."""

    def __init__(self, n: int = 2, **limits: Any) -> None:
        self.nodes = []
        for number in range(n):
            region = make_region(**{"vmid": 7, "node": number, "name": "lab", **limits})
            proxy = Proxy(0, number)
            proxy.add(region)
            node = Node(number, region, proxy, {other: deque() for other in range(n) if other != number})
            self.nodes.append(node)
            for other in node.arriving:
                assert region.set_route(other, route()) == OK

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    # ---- links ----------------------------------------------------------------------------------------------------

    def collect(self, number: int, limit: int = 64) -> int:
        """Put on the links what a node's sender proxy takes; how many commands."""
        taken = 0
        for to, records, count in self.nodes[number].proxy.take_runs(limit, 1 << 20):
            parts = split(records)
            assert len(parts) == count
            self.nodes[to].arriving[number] += parts
            taken += count
        return taken

    def deliver(self, number: int, source: int) -> int:
        """Put all that has arrived at a node from another; how many commands."""
        node, arrived = self.nodes[number], self.nodes[number].arriving[source]
        for record in arrived:
            node.failures += [(decode_command(record), code) for _, code in node.proxy.put(record, source)]
        count = len(arrived)
        arrived.clear()
        return count

    def carry(self) -> int:
        """Move everything that waits, to the end; how many commands that was."""
        moved = 0
        while True:
            now = sum(self.collect(node.number) for node in self.nodes)
            now += sum(self.deliver(node.number, source) for node in self.nodes for source in node.arriving)
            if not now:
                return moved
            moved += now

    # ---- topology -------------------------------------------------------------------------------------------------

    def cut(self, here: int, there: int, code: int = CODES["NOTCONN"], unbind: bool = False) -> None:
        """One node loses another, as its daemon sees to it; the other notices nothing yet."""
        flags = _core.ROUTE_VM if code == CODES["NOTCONN"] else 0
        assert self.nodes[here].region.set_route(there, route(0, flags)) == OK
        assert self.nodes[here].region.cut(there, code, unbind) == OK
        self.nodes[here].arriving[there].clear()

    def sever(self, a: int, b: int, code: int = CODES["NOTCONN"], unbind: bool = False) -> None:
        """Two nodes lose each other."""
        self.cut(a, b, code, unbind)
        self.cut(b, a, code, unbind)

    def audit(self) -> list[str]:
        """What is not sound in any of the VMs."""
        return [f"node {node.number}: {text}" for node in self.nodes for text in node.region.audit()]


USER = FIRST_USER_SLOT
