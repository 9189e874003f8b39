"""What a node tells about itself: plain records, as `drvs status`, `drvs vm list` and `drvs ps` show them."""

from __future__ import annotations

from typing import Any

import msgspec

from drvs.base.flags import DebugMask, Misc, NodeFlag, PairFlag, Rts, VmState
from drvs.base.ids import NO_PROXIES, NONE, EndpointId, NodeId, ProcessNumber, VmId

_REQUESTS_ONLY = 1 << 28  # the core's own bit: RECEIVING, but requests alone
_VISIBLE = 0x0FFFFFFF


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A node: its limits and what it logs (drvs_usr of the guide)."""

    node: NodeId
    version: tuple[int, int]
    nr_vms: int
    nr_nodes: int
    nr_procs: int
    nr_tasks: int
    nr_sysprocs: int
    copy_buf: int
    copy_len_max: int
    debug: DebugMask

    @classmethod
    def from_reply(cls, row: dict[str, Any]) -> NodeInfo:
        """Return the record for noded's answer to getdrvsinfo."""
        return cls(
            node=NodeId(row["node"]),
            version=(row["version"], row["subversion"]),
            nr_vms=row["nr_vms"],
            nr_nodes=row["nr_nodes"],
            nr_procs=row["nr_procs"],
            nr_tasks=row["nr_tasks"],
            nr_sysprocs=row["nr_sysprocs"],
            copy_buf=row["copy_buf"],
            copy_len_max=row["copy_len_max"],
            debug=DebugMask(row["debug"]),
        )


class VmInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A VM: its limits, its state and the nodes it runs on (VM_usr of the guide)."""

    vmid: VmId
    name: str
    state: VmState
    nr_procs: int
    nr_tasks: int
    nr_sysprocs: int
    nr_nodes: int
    nodes: int
    bound: int

    @classmethod
    def from_reply(cls, row: dict[str, Any]) -> VmInfo:
        """Return the record for a VM as noded describes it."""
        return cls(
            vmid=VmId(row["vmid"]),
            name=row["name"],
            state=VmState(row["flags"]),
            nr_procs=row["nr_procs"],
            nr_tasks=row["nr_tasks"],
            nr_sysprocs=row["nr_sysprocs"],
            nr_nodes=row.get("nr_nodes", 0),
            nodes=row["nodes"],
            bound=row["bound"],
        )


class ProcessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A bound process or thread (proc_usr of the guide).

    Attributes:
        p_nr: its process number (slot).
        endpoint: its endpoint.
        pid, tid: of the host; -1 for a process on another node.
        rts: why it cannot run: 0 if it can.
        getfrom, sendto: whom it receives from or sends to, NONE if it does neither.
        calling: it waits for the answer to a request that was taken.
        requests_only: it receives requests alone.
        px: the proxy pair on which its call waits to be taken, -1 for none; of a proxy its own.
    """

    vmid: VmId
    p_nr: ProcessNumber
    endpoint: EndpointId
    name: str
    pid: int
    tid: int
    node: NodeId
    rts: Rts
    misc: Misc
    getfrom: EndpointId
    sendto: EndpointId
    calling: bool
    requests_only: bool
    sent_local: int
    sent_remote: int
    copied_local: int
    copied_remote: int
    px: int = NO_PROXIES

    @classmethod
    def from_row(cls, vmid: int, row: dict[str, Any]) -> ProcessInfo:
        """Return the record for a snapshot of a slot as noded sends it."""
        rts = row["rts_all"]
        return cls(
            vmid=VmId(vmid),
            p_nr=ProcessNumber(row["p_nr"]),
            endpoint=EndpointId(row["endpoint"]),
            name=row["name"],
            pid=row["pid"],
            tid=row["tid"],
            node=NodeId(row["node"]),
            rts=Rts(rts & _VISIBLE),
            misc=Misc(row["misc"]),
            getfrom=EndpointId(row["getfrom"]) if rts & Rts.RECEIVING else NONE,
            sendto=EndpointId(row["sendto"]) if rts & Rts.SENDING else NONE,
            calling=bool(row["call"]) and bool(rts & Rts.RECEIVING),
            requests_only=bool(rts & _REQUESTS_ONLY),
            sent_local=row["sent_local"],
            sent_remote=row["sent_remote"],
            copied_local=row["copied_local"],
            copied_remote=row["copied_remote"],
            px=row["px"],
        )


class PeerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A node as this one knows it (node_usr of the guide).

    Attributes:
        node: its number.
        name: its name, empty if it is not known.
        flags: NodeFlag(0) if it is not known, ATTACHED once a proxy pair leads there, and what of that is connected.
        px: the proxy pair that leads there, -1 if none does.
        vms: the VMs of this node that run there too.
        local: it is this node.
        sent, received: commands that its proxies have carried.
        sent_ns, received_ns: when they last did (CLOCK_REALTIME in nanoseconds), 0 for never.
    """

    node: NodeId
    name: str
    flags: NodeFlag
    px: int
    vms: tuple[VmId, ...]
    local: bool
    sent: int
    received: int
    sent_ns: int
    received_ns: int

    @property
    def connected(self) -> bool:
        """Whether messages can go there and come from there."""
        return self.local or NodeFlag.SCONNECTED | NodeFlag.RCONNECTED in self.flags

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> PeerInfo:
        """Return the record for a node as noded describes it."""
        return cls(
            node=NodeId(row["node"]),
            name=row["name"],
            flags=NodeFlag(row["flags"]),
            px=row["px"],
            vms=tuple(map(VmId, bits(row["vms"]))),
            local=row["local"],
            sent=row["sent"],
            received=row["received"],
            sent_ns=row["sent_ns"],
            received_ns=row["received_ns"],
        )


class PairInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy pair.

    Attributes:
        px: its number.
        name: its name.
        flags: INUSE, and what is connected to all of its nodes.
        sender, receiver: its two processes (p_nr is the pair's number, endpoint NONE); they may be one.
        nodes: the nodes that it leads to.
    """

    px: int
    name: str
    flags: PairFlag
    sender: ProcessInfo
    receiver: ProcessInfo
    nodes: tuple[NodeId, ...]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> PairInfo:
        """Return the record for a pair as noded describes it."""
        return cls(
            px=row["px"],
            name=row["name"],
            flags=PairFlag(row["flags"]),
            sender=_proxy(row["sender"]),
            receiver=_proxy(row["receiver"]),
            nodes=tuple(map(NodeId, row["nodes"])),
        )


def _proxy(row: dict[str, Any]) -> ProcessInfo:
    return ProcessInfo.from_row(row["vmid"], {"call": 0, "copied_local": 0, "copied_remote": 0, **row})


def bits(bitmap: int) -> list[int]:
    """Return the numbers of the bits that are set."""
    return [bit for bit in range(bitmap.bit_length()) if bitmap >> bit & 1]
