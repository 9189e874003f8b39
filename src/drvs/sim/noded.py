"""A node's noded, as far as other nodes matter: the real tables of peers, routes and names over the simulation's
regions.

What a noded needs besides (sockets, files, clocks, watches over processes) is not here; `_Nothing` stands in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from drvs.base.codes import Code
from drvs.base.flags import Connection, PairFlag
from drvs.cluster.proxies.gossip import NameEntry, VmEntry
from drvs.daemon.directory import Directory, Entry
from drvs.daemon.pairs import Pair
from drvs.daemon.peers import Peers
from drvs.daemon.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable

    from drvs.cluster.proxies.membership import Action, Membership
    from drvs.daemon.vm import Vm
    from drvs.sim.space import Space

Note = "Callable[..., None]"


class _Nothing:
    """Takes every call and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_kwargs: None


class _Size(NamedTuple):
    nr_nodes: int
    nr_pairs: int = 1


class _Pair(NamedTuple):
    """The one pair of proxies."""

    px: int = 0
    flags: PairFlag = PairFlag.INUSE

    def text(self) -> str:
        """How a log names it."""
        return "the proxies"


class Noded:
    """What `drvs.daemon.node.Node` is to its tables, and `drvs.cluster.proxies.noded.Noded` to the proxies."""

    def __init__(self, number: int, nr_nodes: int, spaces: dict[int, Space], changed: Callable[[int], None]) -> None:
        self.number = number
        self.size = _Size(nr_nodes)
        self.spaces = spaces
        self.vms: dict[int, Vm] = {vmid: space.vm for vmid, space in spaces.items()}
        self.log = self.table = self.waits = self.watchdog = _Nothing()
        as_node = cast("Any", self)
        self.peers, self.routes, self.directory = Peers(as_node), Routes(as_node), Directory(as_node)
        #: What happened that the proxies have not heard of yet.
        self.news: list[Callable[[Membership], list[Action]]] = []
        self._changed = changed

    # ---- what the proxies call ----

    def node_up(self, node: int, name: str) -> None:
        """Lead to a node, which is not connected yet."""
        self.peers.up(node, name, cast("Pair", _Pair()))
        self._changed(node)

    def connected(self, node: int, name: str) -> None:
        """Messages to a node may go."""
        peer = self.peers.known.get(node)
        if peer is None or peer.name != name:
            self.peers.up(node, name, cast("Pair", _Pair()))
            peer = self.peers.known[node]
        self.peers.tell(peer, Connection.CONNECT_SENDER)
        self.peers.tell(peer, Connection.CONNECT_RECEIVER)
        self._changed(node)

    def disconnected(self, node: int, reason: str) -> None:
        """They may not any more."""
        self._changed(node)
        peer = self.peers.known[node]
        self.peers.tell(peer, Connection.DISCONNECT_SENDER)
        self.peers.tell(peer, Connection.DISCONNECT_RECEIVER)

    def add_node(self, vmid: int, node: int) -> None:
        """Let a VM have processes on a node."""
        vm = self.vms[vmid]
        vm.nodes |= 1 << node
        self.routes.write(vm, node)
        self._changed(node)

    def drop_node(self, vmid: int, node: int) -> None:
        """Take a node out of a VM."""
        self._changed(node)
        vm = self.vms[vmid]
        vm.nodes &= ~(1 << node)
        self.routes.write(vm, node, Code.NOVMNODE, unbind=True)

    def create_vm(self, vm: VmEntry) -> None:
        """Create a VM that a peer asks for: all there are, are there."""

    def learn_name(self, node: int, name: NameEntry) -> None:
        """A named endpoint lives on a node."""
        self.directory.set(Entry(node, name.vmid, name.name, name.endpoint))

    def learn_gone(self, node: int, vmid: int, endpoint: int, incarnation: int) -> None:
        """An endpoint of a node is gone."""
        self.directory.drop(node, vmid, endpoint, incarnation)

    def forget_names(self, node: int) -> None:
        """Nothing is known of a node's names."""
        self.directory.clear(node)

    # ---- what the node does ----

    def lose_proxies(self) -> None:
        """The proxies have died: nothing leads anywhere."""
        for node in list(self.peers.known):
            self._changed(node)
        self.peers.lose(0)
        for vm in self.vms.values():
            vm.check(vm.region.bury_proxies(0))
        self.news.clear()

    def everything(self, membership: Membership) -> list[Action]:
        """Tell new proxies how things are."""
        actions: list[Action] = []
        for space in self.spaces.values():
            size = space.vm.limits
            entry = VmEntry(space.vmid, space.vm.name, size.nr_procs, size.nr_tasks, size.nr_sysprocs, space.span)
            actions += membership.vm_started(entry)
            for name, process in space.names.items():
                actions += membership.bound(NameEntry(space.vmid, process.endpoint, name))
        return actions

    def tell_bound(self, vmid: int, endpoint: int, name: str) -> None:
        """A process was bound."""
        self.news.append(lambda membership: membership.bound(NameEntry(vmid, endpoint, name)))

    def tell_unbound(self, vmid: int, endpoint: int, incarnation: int) -> None:
        """A process was unbound."""
        self.news.append(lambda membership: membership.unbound(vmid, endpoint, incarnation))
