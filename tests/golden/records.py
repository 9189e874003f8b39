"""The records that the guide's listings of chapter 7 show, and the text that the view makes of them."""

from drvs.api.info import NodeInfo, ProcessInfo, VmInfo
from drvs.base.flags import DebugMask, Misc, Rts, VmState
from drvs.base.ids import NO_PID, NONE, EndpointId, NodeId, ProcessNumber, VmId
from drvs.procview import NodeRecord, ProxyProcess, ProxyRecord
from drvs.procview.listings import of_node, of_proxies, of_vm

NODE = NodeInfo(
    node=NodeId(0), version=(2, 1), nr_vms=32, nr_nodes=32, nr_procs=189, nr_tasks=67, nr_sysprocs=96, copy_buf=32768,
    copy_len_max=524288, debug=DebugMask(0),
)  # fmt: skip

NODES = [
    NodeRecord(node=NodeId(0), name="node0", flags=6, vms=1, local=True),
    NodeRecord(node=NodeId(1), name="node1", flags=2, proxies=1, vms=1),
    NodeRecord(node=NodeId(2), name="node2", flags=2, proxies=2, vms=0),
]

NODE1 = NodeRecord(node=NodeId(1), name="node1", flags=0, proxies=1, vms=1, sent=120, received=117)


def pair(px: int, name: str, sender: int, receiver: int) -> ProxyRecord:
    """A pair of proxies that leads to the node of its own number."""
    processes = [ProxyProcess(pid=pid, tid=pid) for pid in (sender, receiver)]
    return ProxyRecord(proxies=px, name=name, flags=1, sender=processes[0], receiver=processes[1], nodes=1 << px)


LAB = VmInfo(
    vmid=VmId(0), name="VM0", state=VmState.RUNNING, nr_procs=189, nr_tasks=67, nr_sysprocs=96, nr_nodes=32, nodes=3,
    bound=1,
)  # fmt: skip

REMOTE = ProcessInfo(
    vmid=VmId(0), p_nr=ProcessNumber(1), endpoint=EndpointId(1), name="SoyRemoto", pid=NO_PID, tid=NO_PID,
    node=NodeId(1), rts=Rts.REMOTE, misc=Misc(0), getfrom=NONE, sendto=NONE, calling=False, requests_only=False,
    sent_local=0, sent_remote=0, copied_local=0, copied_remote=0,
)  # fmt: skip

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
