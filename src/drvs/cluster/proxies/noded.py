"""The node's side of the proxies: management calls, and the stream of what happens on the node.

Calls are answered at once; only the one that waits for events is left open, on a connection of its own that the loop
watches. When noded is restarted the stream is begun anew with a look at everything: what happened meanwhile shows.
"""

import os
import socket
from typing import Any

from drvs.api.node import Node
from drvs.base import paths
from drvs.base.codes import Code
from drvs.base.errors import DrvsError
from drvs.cluster.proxies.gossip import NameEntry, VmEntry
from drvs.cluster.proxies.membership import Action, Membership
from drvs.daemon import packets
from drvs.daemon.protocol import VERSION

PAIR_NAME = "links"


class Noded:
    """One node, as its proxies see it."""

    def __init__(self, runtime_dir: str, px: int = 0) -> None:
        self._node = Node(runtime_dir)
        self._client = self._node.client
        self.number = int(self._node.id)
        self.size = self._node.info()
        self.pair = self._node.bind_proxies(PAIR_NAME, px)
        self.socket = socket.socket(socket.AF_UNIX)  # the stream of events
        self._after, self._epoch = 0, ""
        self._serials: dict[int, int] = {}  # of the VMs that are known

    def close(self) -> None:
        """Forget the pair."""
        try:
            self.pair.unbind()
        except DrvsError:
            pass  # the node is gone, or will see for itself
        self.socket.close()

    # ---- peers -------------------------------------------------------------------------------------------------------

    def name(self, name: str) -> None:
        """Give this node its name."""
        self._client.call("node_name", name=name)

    def node_up(self, node: int, name: str) -> None:
        """Lead to a node, which is not connected yet."""
        self._client.call("node_up", node=node, name=name, px=self.pair.px)
        self.pair.disconnect(node=node)

    def node_down(self, node: int) -> None:
        """Lead there no longer."""
        self._unless("node_down", {Code.PROXYFREE}, node=node)

    def connected(self, node: int, name: str) -> None:
        """Messages to a node may go."""
        self._client.call("node_up", node=node, name=name, px=self.pair.px)
        self.pair.connect(node=node)

    def disconnected(self, node: int, reason: str) -> None:
        """They may not any more; what is under way ends with NOTCONN."""
        self.pair.disconnect(node=node)

    def report(
        self, links: list[dict[str, str | int]], strangers: list[dict[str, str | float]], notes: list[str]
    ) -> None:
        """Leave what `drvs status` shows of the links, and lines for noded's log; without noded they are lost."""
        try:
            self._client.call("links_report", links=links, strangers=strangers, notes=notes)
        except DrvsError:
            pass

    # ---- VMs and names -----------------------------------------------------------------------------------------------

    def add_node(self, vmid: int, node: int) -> None:
        """Let a VM have processes on a node; it may know."""
        self._unless("add_node", {Code.VMNODE}, vmid=vmid, node=node)

    def drop_node(self, vmid: int, node: int) -> None:
        """Take a node out of a VM, if both are still there."""
        self._unless("del_node", {Code.VMNODE, Code.VMNOTRUN, Code.NOPROXY}, vmid=vmid, node=node)

    def create_vm(self, vm: VmEntry) -> None:
        """Create a VM that a peer asks for; one that is the same already is fine.

        Raises:
            DrvsError: it cannot be.
        """
        code = self._client.call(
            "vm_init", check=False, vmid=vm.vmid, name=vm.name, span=vm.nodes,
            nr_procs=vm.nr_procs, nr_tasks=vm.nr_tasks, nr_sysprocs=vm.nr_sysprocs,
        ).code  # fmt: skip
        if code >= 0:
            return
        found = self._client.call("getvminfo", vmid=vm.vmid)
        if found["flags"] or found["name"] != vm.name:
            self._client.call("vm_init", vmid=vm.vmid, name=vm.name)  # says why not

    def learn_name(self, node: int, name: NameEntry) -> None:
        """A named endpoint lives on a node."""
        self._client.call("names_set", node=node, vmid=name.vmid, name=name.name, endpoint=name.endpoint)

    def learn_gone(self, node: int, vmid: int, endpoint: int, incarnation: int) -> None:
        """An endpoint of a node is gone: whoever waits on it here is to know."""
        fields = {"node": node, "vmid": vmid, "endpoint": endpoint, "incarnation": incarnation}
        self._unless("names_drop", {Code.VMNOTRUN}, **fields)

    def forget_names(self, node: int) -> None:
        """Nothing is known of a node's names."""
        self._client.call("names_clear", node=node)

    def _unless(self, op: str, harmless: set[Code], **fields: Any) -> None:
        reply = self._client.call(op, check=False, **fields)
        if reply.code < 0 and reply.code not in harmless:
            self._client.call(op, **fields)

    # ---- what happens ------------------------------------------------------------------------------------------------

    def begin(self, membership: Membership) -> list[Action]:
        """Begin the stream, or begin it anew: the actions that follow from how things are.

        Raises:
            OSError: there is no noded.
        """
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self.socket.connect(os.path.join(self._node.runtime_dir, paths.SOCKET))
        self._ask(0)
        return self.hear(membership)

    @property
    def gone_for_good(self) -> bool:
        """Whether the node was ended, and not only its noded killed: then the socket is left."""
        return not os.path.exists(os.path.join(self._node.runtime_dir, paths.SOCKET))

    def _ask(self, timeout_ms: int) -> None:
        request = {"v": VERSION, "op": "events", "after": self._after, "epoch": self._epoch, "timeout_ms": timeout_ms}
        self.socket.send(packets.encode(request), socket.MSG_NOSIGNAL)

    def hear(self, membership: Membership) -> list[Action]:
        """Take what the stream brings.

        Raises:
            OSError: noded closed it.
        """
        fields, _ = packets.receive_answer(self.socket)
        if fields["code"] < 0:
            raise ConnectionAbortedError(fields.get("error"))
        self._epoch, self._after = fields["epoch"], fields["last"]
        actions = self._compare(membership, fields["events"]) if fields["anew"] else []
        if not fields["anew"]:
            actions = [action for event in fields["events"] for action in self._tell(membership, event)]
        self._ask(-1)
        return actions

    def _tell(self, membership: Membership, event: dict[str, Any]) -> list[Action]:
        vmid = event["vmid"]
        match event["kind"]:
            case "vm_started":
                return self._started(membership, event)
            case "vm_ended":
                self._serials.pop(vmid, None)
                return membership.vm_ended(vmid)
            case "bound":
                return membership.bound(NameEntry(vmid, event["endpoint"], event["name"]))
            case "unbound":
                return membership.unbound(vmid, event["endpoint"], event["incarnation"])
        return []

    def _started(self, membership: Membership, event: dict[str, Any]) -> list[Action]:
        """Tell of a VM; one that has ended by now tells so itself."""
        vmid, serial = event["vmid"], event["serial"]
        row = self._client.call("getvminfo", vmid=vmid)
        if row["serial"] != serial or self._serials.get(vmid) == serial:
            return []
        self._serials[vmid] = serial
        vm = VmEntry(vmid, row["name"], row["nr_procs"], row["nr_tasks"], row["nr_sysprocs"], tuple(row["span"]))
        return membership.vm_started(vm)

    def _compare(self, membership: Membership, events: list[dict[str, Any]]) -> list[Action]:
        """What is different from what is known: the events say all there is."""
        serials = {event["vmid"]: event["serial"] for event in events if event["kind"] == "vm_started"}
        actions: list[Action] = []
        for vmid in [vmid for vmid, serial in self._serials.items() if serials.get(vmid) != serial]:
            del self._serials[vmid]
            actions += membership.vm_ended(vmid)
        for vmid in self._serials:
            there = {event["endpoint"] for event in events if event["vmid"] == vmid and event["kind"] == "bound"}
            for endpoint in sorted(membership.known_names(vmid) - there):
                actions += membership.unbound(vmid, endpoint)
        return actions + [action for event in events for action in self._tell(membership, event)]
