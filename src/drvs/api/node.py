"""Node: the noded of one runtime directory, and what it manages."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from drvs.api import binding
from drvs.api.endpoint import Endpoint
from drvs.api.info import NodeInfo, PairInfo, PeerInfo, VmInfo
from drvs.api.proxies import ProxyPair
from drvs.api.spanning import chosen, wait_until_spanning
from drvs.api.timeouts import to_milliseconds
from drvs.api.vm import VM
from drvs.base.codes import Code
from drvs.base.errors import make_error
from drvs.base.flags import VmState
from drvs.base.ids import EndpointId, NodeId
from drvs.base.limits import SPIN_US
from drvs.daemon.client import Client


class Node:
    """A node, reached through its runtime directory; from `drvs.connect`.

    As a context manager it closes its connections; what was created on the node goes on.

    Attributes:
        client: the connection to noded, for management calls that have no method here.
    """

    def __init__(self, runtime_dir: str | os.PathLike[str] | None = None) -> None:
        self.client = Client(runtime_dir)
        self._id: NodeId | None = None

    @property
    def id(self) -> NodeId:
        """The number of the node."""
        if self._id is None:
            self._id = NodeId(self.client.call("hello")["node"])
        return self._id

    @property
    def runtime_dir(self) -> str:
        """The directory with the node's socket."""
        return self.client.runtime_dir

    def __repr__(self) -> str:
        return f"<Node in {self.runtime_dir}>"

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to noded; the next call opens one again."""
        self.client.close()

    # ---- the node

    def init(
        self,
        node: int = 0,
        *,
        nr_vms: int | None = None,
        nr_nodes: int | None = None,
        nr_procs: int | None = None,
        nr_tasks: int | None = None,
        nr_sysprocs: int | None = None,
        copy_buf: int | None = None,
        copy_len_max: int | None = None,
        notes: int | None = None,
        stripe: int | None = None,
        stripes: int | None = None,
        debug: int = 0,
    ) -> None:
        """Initialise the node (`drvs up` has done so, unless it was told not to).

        Args:
            node: its number in the cluster.
            nr_vms, nr_nodes: how many VMs and nodes at most.
            nr_procs, nr_tasks, nr_sysprocs: slots of a VM, unless the VM asks for less.
            copy_buf, copy_len_max: bytes of one piece of a copy, and of one copy.
            notes: notifications from user slots that may be pending in a VM.
            stripe, stripes: where `VM.bind` may choose a slot, it takes every `stripes`-th user slot, from number
                `stripe` on; nodes of one cluster take a stripe each, so that no endpoint is given twice.
            debug: categories of the log (`drvs.DebugMask`).

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Busy: it is initialised already.
            OutOfRange: a limit is out of range.

        Canonical: mnx_drvs_init (guide 4.1.1)
        """
        limits: dict[str, Any] = {
            "nr_vms": nr_vms,
            "nr_nodes": nr_nodes,
            "nr_procs": nr_procs,
            "nr_tasks": nr_tasks,
            "nr_sysprocs": nr_sysprocs,
            "copy_buf": copy_buf,
            "copy_len_max": copy_len_max,
            "notes": notes,
            "stripe": stripe,
            "stripes": stripes,
        }
        self.client.call("drvs_init", node=node, debug=debug, **limits)
        self._id = NodeId(node)

    def end(self) -> None:
        """End all VMs and bindings; noded stays, and can be initialised again.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            NotRunning: it is not initialised.

        Canonical: mnx_drvs_end (guide 4.1.2)
        """
        self.client.call("drvs_end")

    def info(self) -> NodeInfo:
        """Return the node's limits and what it logs.

        Raises:
            NotRunning: it is not initialised.

        Canonical: mnx_getdrvsinfo (guide 4.1.3)
        """
        reply = self.client.call("getdrvsinfo")
        if reply["node"] < 0:
            raise make_error(Code.DRVSINIT, "info")
        return NodeInfo.from_reply(reply.fields)

    def set_debug(self, mask: int) -> None:
        """Choose the categories of noded's log (`drvs.DebugMask`).

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
        """
        self.client.call("setdebug", mask=int(mask))

    def dump(self) -> str:
        """Write the table of VMs into noded's log, in the guide's columns, and return it.

        Canonical: mnx_vm_dump (guide 4.1.12)
        """
        return str(self.client.call("vm_dump")["text"])

    # ---- VMs

    def create_vm(
        self,
        name: str,
        *,
        vmid: int | None = None,
        nr_procs: int | None = None,
        nr_tasks: int | None = None,
        nr_sysprocs: int | None = None,
        notes: int | None = None,
        nodes: Iterable[int] = (),
        span: str | Iterable[int] = (),
        timeout: float = 10.0,
    ) -> VM:
        """Create a VM.

        Args:
            name: at most 15 bytes, unique on the node.
            vmid: its number; None for the lowest free one.
            nr_procs, nr_tasks, nr_sysprocs, notes: its limits; None for the node's.
            nodes: other nodes that it runs on already; `VM.add_node` adds more.
            span: nodes on which the standard proxies create it too, or "all" for all that are known. This call waits
                until it runs there; a node that joins or is restarted later gets it then.
            timeout: seconds to wait for that.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Busy: the name or the number is taken.
            OutOfRange: a limit is above the node's.
            NoMemory: there is no memory for it.
            TimedOut: it runs here, but not yet on all nodes of `span`.

        Canonical: mnx_vm_init (guide 4.1.4)
        """
        limits: dict[str, Any] = {
            "nr_procs": nr_procs,
            "nr_tasks": nr_tasks,
            "nr_sysprocs": nr_sysprocs,
            "notes": notes,
        }
        limits["nodes"] = sum(1 << number for number in {*nodes})
        everywhere = chosen(self.client, span)
        reply = self.client.call("vm_init", name=name, vmid=vmid, span=everywhere, **limits)
        wait_until_spanning(self.client, reply["vmid"], everywhere, timeout)
        return VM(self, reply["vmid"], name, owned=True)

    def vm(self, name_or_id: str | int, timeout: float | None = 0) -> VM:
        """Return a running VM by its name or number.

        Args:
            timeout: seconds to wait for a name; 0 only looks, None waits for ever. On a node that has just been
                started, a VM that spans nodes runs as soon as another of them is connected.

        Raises:
            NotRunning: there is none.
            TimedOut: none of that name ran in time.

        Canonical: mnx_getvminfo (guide 4.1.6)
        """
        key: dict[str, Any] = {"name": name_or_id, "timeout_ms": to_milliseconds(timeout)}
        if not isinstance(name_or_id, str):
            key = {"vmid": int(name_or_id)}
        reply = self.client.call("getvminfo", **key)
        info = VmInfo.from_reply(reply.fields)
        if info.state == VmState.FREE:
            raise make_error(Code.VMNOTRUN, "vm", detail=f"there is no running VM {name_or_id!r}")
        return VM(self, info.vmid, info.name)

    def vms(self) -> list[VmInfo]:
        """Return the VMs of the node."""
        return [VmInfo.from_reply(row) for row in self.client.call("vm_list")["vms"]]

    # ---- other nodes, and the proxies that lead there

    def bind_proxies(
        self, name: str, px: int, sender_pid: int | None = None, receiver_pid: int | None = None
    ) -> ProxyPair:
        """Register a proxy pair: the processes that carry what goes to other nodes.

        The pair ends with the first of its processes; the other one gets SIGPIPE then.

        Args:
            name: at most 15 bytes; no other pair and no VM has it.
            px: the pair's number, 0 <= px < min(nr_nodes, 256).
            sender_pid, receiver_pid: process or thread ids; None for the caller.

        Returns:
            The pair: a context manager that forgets it at its end.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Busy: the number or the name is taken.
            Unreachable: there is no such number.
            OutOfRange: there is no such process.

        Canonical: mnx_proxies_bind (guide 5.1.1)
        """
        self.client.call("proxies_bind", name=name, px=px, sender=sender_pid, receiver=receiver_pid)
        return ProxyPair(self, px, name, owned=True)

    def proxy_pair(self, px: int) -> ProxyPair:
        """Return a registered pair by its number.

        Raises:
            Unreachable: it is not registered.

        Canonical: mnx_getproxyinfo (guide 5.1.4)
        """
        return ProxyPair(self, px, self.client.call("getproxyinfo", px=px)["name"])

    def proxies(self) -> list[PairInfo]:
        """Return all pairs that are registered."""
        return [PairInfo.from_row(row) for row in self.client.call("proxies")["proxies"]]

    def node_up(self, name: str, node: int, px: int) -> None:
        """Reach another node through a pair.

        Args:
            name: at most 15 bytes, that no other node has.
            node: the node's number.
            px: the pair's.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Unreachable: no other node has that number, or the pair is not registered.
            Busy: the node is reached through another pair, or the name is taken.

        Canonical: mnx_node_up (guide 5.1.8)
        """
        self.client.call("node_up", name=name, node=node, px=px)

    def node_down(self, node: int) -> None:
        """Reach a node no longer: what is under way with it ends with Unreachable (NOPROXY).

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Unreachable: no other node has that number, or no pair leads there.

        Canonical: mnx_node_down (guide 5.1.9)
        """
        self.client.call("node_down", node=node)

    def node_info(self, node: int) -> PeerInfo:
        """Return what is known of a node.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Unreachable: no node has that number.

        Canonical: mnx_getnodeinfo (guide 5.1.6)
        """
        return PeerInfo.from_row(self.client.call("getnodeinfo", node=node).fields)

    def nodes(self) -> list[PeerInfo]:
        """Return this node and all others that are known."""
        return [PeerInfo.from_row(row) for row in self.client.call("nodes")["nodes"]]

    def set_name(self, name: str) -> None:
        """Name this node; otherwise it is called "node" and its number.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Busy: another node has that name.
        """
        self.client.call("node_name", name=name)

    # ---- processes

    def wait_for_bind(self, timeout: float | None = None, *, spin_us: int = SPIN_US) -> Endpoint:
        """Wait until this process is bound on this node, and return its endpoint; see `drvs.wait_for_bind`.

        Raises:
            TimedOut: nobody bound it in `timeout` seconds.

        Canonical: mnx_wait4bind, mnx_wait4bind_T (guide 4.1.8)
        """
        reply = self.client.call("wait4bind", timeout_ms=to_milliseconds(timeout))
        return binding.attach_found(self, reply, spin_us)

    def endpoint_of(self, pid: int) -> EndpointId:
        """Return the endpoint of a host process in the caller's VM.

        Raises:
            NotBound: one of the two is not bound.
            OutOfRange: it is in another VM, or no process can have that number.

        Canonical: mnx_getep (guide 4.1.10)
        """
        return EndpointId(self.client.call("getep", pid=pid)["endpoint"])
