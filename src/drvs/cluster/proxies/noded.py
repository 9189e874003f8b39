"""The node's side of the proxies: management calls, and the stream of what happens on the node.

Calls are answered at once; only the one that waits for events is left open, on a connection of its own that the loop
watches. When noded is restarted the stream is begun anew with a look at everything: what happened meanwhile shows.
"""

import os
import socket
from collections.abc import Iterator
from typing import Any

from drvs.api.node import Node
from drvs.base import limits, paths
from drvs.base.codes import Code
from drvs.base.errors import DaemonGone, DrvsError
from drvs.base.flags import Connection
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
        self._after: int | None = None
        self._running: dict[int, VmEntry] = {}

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

    def connected(self, node: int, name: str) -> None:
        """Messages to a node may go."""
        self._client.call("node_up", node=node, name=name, px=self.pair.px)
        self.pair.connect(node=node)
        self.forget_names(node)

    def disconnected(self, node: int, reason: str) -> None:
        """They may not any more; what is under way ends with NOTCONN."""
        self.pair.disconnect(node=node)

    def note(self, text: str) -> None:
        """Write a line into noded's log; without noded it is lost."""
        try:
            self._client.call("note", text=text[: limits.NOTE_CHARACTERS])
        except DrvsError:
            pass

    def report(self, links: list[dict[str, Any]]) -> None:
        """Leave what `drvs status` shows of the links."""
        self._client.call("links_report", links=links)

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
        span = sum(1 << node for node in vm.nodes)
        code = self._client.call(
            "vm_init", check=False, vmid=vm.vmid, name=vm.name, span=span,
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

    def learn_gone(self, node: int, vmid: int, endpoint: int) -> None:
        """An endpoint of a node is gone: whoever waits on it here is to know."""
        self._unless("names_drop", {Code.VMNOTRUN}, node=node, vmid=vmid, endpoint=endpoint)

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
        self._after = None
        actions = list(self._compare(membership))
        self._ask()
        return actions

    @property
    def gone_for_good(self) -> bool:
        """Whether the node was ended, and not only its noded killed: then the socket is left."""
        return not os.path.exists(os.path.join(self._node.runtime_dir, paths.SOCKET))

    def _ask(self) -> None:
        request = {"v": VERSION, "op": "events", "after": self._after, "timeout_ms": -1}
        self.socket.send(packets.encode(request), socket.MSG_NOSIGNAL)

    def hear(self, membership: Membership) -> list[Action]:
        """Take what the stream brings.

        Raises:
            OSError: noded closed it.
        """
        fields, _ = packets.receive_answer(self.socket)
        actions = self._read(membership, fields)
        self._ask()
        return actions

    def _read(self, membership: Membership, fields: dict[str, Any]) -> list[Action]:
        if fields["code"] < 0:
            raise DaemonGone(fields["code"], "events", detail=fields.get("error"))
        lost, self._after = fields["lost"] or self._after is None, fields["serial"]
        if lost:
            return list(self._compare(membership))
        return [action for event in fields["events"] for action in self._tell(membership, event)]

    def _tell(self, membership: Membership, event: dict[str, Any]) -> list[Action]:
        kind, vmid = event["event"], event["vmid"]
        if kind == "vm_started":
            return self._started(membership, self._describe(event["vm"]))
        if kind == "vm_ended":
            return self._ended(membership, vmid)
        if kind == "bound":
            return membership.bound(NameEntry(vmid, event["endpoint"], event["name"]))
        return membership.unbound(vmid, event["endpoint"])

    def _started(self, membership: Membership, vm: VmEntry) -> list[Action]:
        self._running[vm.vmid] = vm
        return membership.vm_started(vm)

    def _ended(self, membership: Membership, vmid: int) -> list[Action]:
        self._running.pop(vmid, None)
        return membership.vm_ended(vmid)

    # ---- a look at everything ----------------------------------------------------------------------------------------

    def _compare(self, membership: Membership) -> Iterator[Action]:
        """What is different from what is known."""
        now = {vm.vmid: vm for row in self._client.call("vm_list")["vms"] if (vm := self._describe(row))}
        for vmid in [vmid for vmid, vm in self._running.items() if now.get(vmid) != vm]:
            yield from self._ended(membership, vmid)
        for vm in now.values():
            if vm.vmid not in self._running:
                yield from self._started(membership, vm)
            if set(vm.nodes) - {self.number}:
                yield from self._compare_names(membership, vm.vmid)

    def _compare_names(self, membership: Membership, vmid: int) -> Iterator[Action]:
        rows = [row for row in self._client.call("procs", vmid=vmid)["procs"] if row["node"] == self.number]
        for endpoint in membership.known_names(vmid) - {row["endpoint"] for row in rows}:
            yield from membership.unbound(vmid, endpoint)
        for row in rows:
            if row["name"]:
                yield from membership.bound(NameEntry(vmid, row["endpoint"], row["name"]))

    def _describe(self, row: dict[str, Any]) -> VmEntry:
        span = int(row["span"])
        nodes = tuple(node for node in range(span.bit_length()) if span >> node & 1)
        return VmEntry(row["vmid"], row["name"], row["nr_procs"], row["nr_tasks"], row["nr_sysprocs"], nodes)
