"""What the view shows of nodes and proxies: plain records, as `drvs cat --json` gives them."""

from __future__ import annotations

from typing import Any

import msgspec

from drvs.base.flags import Misc, Rts
from drvs.base.ids import NO_PROXIES, NONE, EndpointId, NodeId


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A node that this one knows (NODE_usr of the guide).

    Attributes:
        node: its number.
        name: its name.
        flags: 2 attached, 4 its sender is connected, 8 its receiver is; 0 the number is free.
        proxies: the pair that leads there, -1 for none.
        vms: bit n is set where VM n runs there.
        local: whether it is this node.
        sent, received: commands that went there and came from there.
        sent_ns, received_ns: when the last one did, in nanoseconds of CLOCK_REALTIME; 0 for never.
    """

    node: NodeId
    name: str
    flags: int
    proxies: int = NO_PROXIES
    vms: int = 0
    local: bool = False
    sent: int = 0
    received: int = 0
    sent_ns: int = 0
    received_ns: int = 0

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> NodeRecord:
        """Return the record for a node as noded describes it."""
        return cls(
            node=NodeId(row["node"]),
            name=row["name"],
            flags=row["flags"],
            proxies=row["px"],
            vms=row["vms"],
            local=row["local"],
            sent=row["sent"],
            received=row["received"],
            sent_ns=row["sent_ns"],
            received_ns=row["received_ns"],
        )


class ProxyProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One process, or thread, of a pair of proxies."""

    pid: int
    tid: int
    rts: Rts = Rts(0)
    misc: Misc = Misc.PROXY
    getfrom: EndpointId = NONE
    sendto: EndpointId = NONE

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> ProxyProcess:
        """Return the record for a proxy as noded describes it."""
        return cls(
            pid=row["pid"],
            tid=row["tid"],
            rts=Rts(row["rts"]),
            misc=Misc(row["misc"]),
            getfrom=EndpointId(row["getfrom"]),
            sendto=EndpointId(row["sendto"]),
        )


class ProxyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of proxies (proxies_usr of the guide).

    Attributes:
        proxies: its number.
        name: its name.
        flags: 1 in use, 2 its sender is connected, 4 its receiver is.
        sender, receiver: its processes; one may be both.
        nodes: bit n is set where the pair leads to node n.
    """

    proxies: int
    name: str
    flags: int
    sender: ProxyProcess
    receiver: ProxyProcess
    nodes: int = 0

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> ProxyRecord:
        """Return the record for a pair as noded describes it."""
        return cls(
            proxies=row["px"],
            name=row["name"],
            flags=row["flags"],
            sender=ProxyProcess.from_row(row["sender"]),
            receiver=ProxyProcess.from_row(row["receiver"]),
            nodes=sum(1 << number for number in row["nodes"]),
        )
