"""The records that the guide's listings of chapter 7 show, and the text that the view makes of them."""

from drvs.api.info import NodeInfo, PairInfo, PeerInfo, ProcessInfo, VmInfo
from drvs.base.flags import DebugMask, Misc, NodeFlag, PairFlag, Rts, VmState
from drvs.base.ids import NO_PID, NONE, EndpointId, NodeId, ProcessNumber, VmId
from drvs.procview.listings import of_node, of_proxies, of_vm

NODE = NodeInfo(
    node=NodeId(0), version=(2, 1), nr_vms=32, nr_nodes=32, nr_procs=189, nr_tasks=67, nr_sysprocs=96, copy_buf=32768,
    copy_len_max=524288, debug=DebugMask(0),
)  # fmt: skip


def peer(number: int, flags: int, px: int, *vms: int, sent: int = 0, received: int = 0) -> PeerInfo:
    """A node that is called by its number."""
    return PeerInfo(
        node=NodeId(number), name=f"node{number}", flags=NodeFlag(flags), px=px, vms=tuple(map(VmId, vms)),
        local=px < 0, sent=sent, received=received, sent_ns=0, received_ns=0,
    )  # fmt: skip


NODES = [peer(0, 6, -1, 0), peer(1, 2, 1, 0), peer(2, 2, 2)]

NODE1 = peer(1, 0, 1, 0, sent=120, received=117)


def process(p_nr: int, node: int, name: str, pid: int = NO_PID, rts: int = 0, misc: int = 0) -> ProcessInfo:
    """A process that waits for nobody and has sent nothing."""
    return ProcessInfo(
        vmid=VmId(0), p_nr=ProcessNumber(p_nr), endpoint=EndpointId(p_nr), name=name, pid=pid, tid=pid,
        node=NodeId(node), rts=Rts(rts), misc=Misc(misc), getfrom=NONE, sendto=NONE, calling=False,
        requests_only=False, sent_local=0, sent_remote=0, copied_local=0, copied_remote=0,
    )  # fmt: skip


def pair(px: int, name: str, sender: int, receiver: int) -> PairInfo:
    """A pair of proxies that leads to the node of its own number."""
    sends, receives = (process(px, 0, name, pid, misc=Misc.PROXY) for pid in (sender, receiver))
    return PairInfo(px=px, name=name, flags=PairFlag.INUSE, sender=sends, receiver=receives, nodes=(NodeId(px),))


LAB = VmInfo(
    vmid=VmId(0), name="VM0", state=VmState.RUNNING, nr_procs=189, nr_tasks=67, nr_sysprocs=96, nr_nodes=32, nodes=3,
    bound=1,
)  # fmt: skip

REMOTE = process(1, 1, "SoyRemoto", rts=Rts.REMOTE)

LISTINGS = {
    "info": of_node.info(NODE),
    "nodes": of_node.nodes(NODES, 32),
    "proxies-info": of_proxies.info([pair(1, "node1", 2292, 2293), pair(2, "node2", 2290, 2291)], 32),
    "proxies-procs": of_proxies.procs([pair(1, "tproxy", 2292, 2293), pair(2, "tproxy", 2290, 2291)]),
    "vm-info": of_vm.info(LAB, 0xFF),
    "vm-procs": of_vm.procs([REMOTE]),
    "vm-stats": of_vm.stats([REMOTE]),
    "node-info": of_node.node_info(NODE1, pair(1, "node1", 5260, 5261), 32),
    "node-stats": of_node.node_stats(NODE1),
}
"""Every file of the view, by the name of its golden file."""
