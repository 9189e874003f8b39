"""What a node tells about itself: plain records, as `drvs status`, `drvs vm list` and `drvs ps` show them."""

from __future__ import annotations

from typing import Any

import msgspec

from drvs.base.flags import DebugMask, Misc, Rts, VmState
from drvs.base.ids import NONE, EndpointId, NodeId, ProcessNumber, VmId

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
        )
