"""The other nodes of the cluster as this one knows them: name, the proxy pair that leads there, whether it does."""

from typing import TYPE_CHECKING, Any

from drvs.base.codes import Code
from drvs.base.flags import Connection, NodeFlag, PairFlag
from drvs.base.ids import NO_PROXIES
from drvs.daemon.pairs import Pair, changed
from drvs.daemon.refusal import Refused
from drvs.daemon.table import FREE_NODE, NodeRecord

if TYPE_CHECKING:
    from drvs.daemon.node import Node

_WORD = (1 << 64) - 1
_BOTH = PairFlag.SCONNECTED | PairFlag.RCONNECTED


class Peer:
    """A node that a pair leads to."""

    __slots__ = ("links", "name", "number", "px")

    def __init__(self, number: int, name: str, px: int, links: PairFlag) -> None:
        self.number = number
        self.name = name
        self.px = px
        self.links = links & _BOTH

    @property
    def connected(self) -> bool:
        """Whether messages can go there and come from there."""
        return self.links == _BOTH

    @property
    def flags(self) -> NodeFlag:
        """What is true of the node."""
        flags = NodeFlag.ATTACHED
        if self.links & PairFlag.SCONNECTED:
            flags |= NodeFlag.SCONNECTED
        if self.links & PairFlag.RCONNECTED:
            flags |= NodeFlag.RCONNECTED
        return flags


def _links_of(flags: int) -> PairFlag:
    sends = PairFlag.SCONNECTED if flags & NodeFlag.SCONNECTED else PairFlag(0)
    return sends | (PairFlag.RCONNECTED if flags & NodeFlag.RCONNECTED else PairFlag(0))


class Peers:
    """All of them, by number."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.known: dict[int, Peer] = {}
        self.own_name = ""

    # ---- finding -------------------------------------------------------------------------------------------------

    def check_other(self, number: int) -> None:
        """Refuse (BADNODEID) what is not the number of another node."""
        self.check_number(number)
        if number == self._node.number:
            raise Refused(Code.BADNODEID, f"node {number} is this one")

    def check_number(self, number: int) -> None:
        """Refuse (BADNODEID) what is not the number of a node."""
        if not 0 <= number < self._node.size.nr_nodes:
            raise Refused(Code.BADNODEID, f"node {number} is not in 0…{self._node.size.nr_nodes - 1}")

    def get(self, number: int, unknown: Code) -> Peer:
        """Return a node that a pair leads to.

        Raises:
            Refused: BADNODEID, `unknown` if none does.
        """
        self.check_other(number)
        peer = self.known.get(number)
        if peer is None:
            raise Refused(unknown, f"no proxies lead to node {number}: bring it up first")
        return peer

    def check_name(self, name: str, number: int) -> None:
        """Refuse (EXIST) a name that another node has."""
        names = {self._node.number: self.name_of_this_node(), **{p.number: p.name for p in self.known.values()}}
        taken = next((other for other, its in names.items() if its == name and other != number), None)
        if taken is not None:
            raise Refused(Code.EXIST, f"node {taken} has the name {name!r}")

    def name_of_this_node(self) -> str:
        """Return what it was named, or a name made of its number."""
        return self.own_name or f"node{self._node.number}"

    # ---- up and down -------------------------------------------------------------------------------------------------

    def up(self, number: int, name: str, pair: Pair) -> None:
        """Reach a node through a pair."""
        peer = self.known.get(number)
        if peer is None:
            peer = self.known[number] = Peer(number, name, pair.px, pair.flags)
        peer.name = name
        self._save(peer)
        self._node.routes.changed(number)
        self._node.log.note(f"node {number} ({name!r}) is reached through {pair.text()}")

    def down(self, peer: Peer, ended: Code = Code.NOPROXY) -> None:
        """Reach it no longer: what is under way with it ends."""
        del self.known[peer.number]
        self._node.table.write_peer(peer.number, FREE_NODE)
        self._node.routes.changed(peer.number, ended)
        self._node.log.note(f"node {peer.number} ({peer.name!r}) is not reached any more")

    def lose(self, px: int) -> None:
        """All nodes of a pair are reached no longer."""
        for peer in [peer for peer in self.known.values() if peer.px == px]:
            self.down(peer)

    def tell(self, peer: Peer, status: Connection) -> None:
        """One of its proxies says whether it is connected; if not, what is under way ends with NOTCONN."""
        before, peer.links = peer.connected, changed(peer.links, status)
        self._save(peer)
        if before != peer.connected:
            self._node.routes.changed(peer.number, None if peer.connected else Code.NOTCONN)

    def forget_all(self) -> None:
        """The node ends."""
        for peer in list(self.known.values()):
            self.down(peer)
        self.own_name = ""

    def _save(self, peer: Peer) -> None:
        self._node.table.write_peer(peer.number, NodeRecord(peer.flags, peer.px, peer.name.encode()))

    def adopt(self, number: int, record: NodeRecord) -> None:
        """Take over a node that a predecessor knew."""
        name = record.name.rstrip(b"\0").decode(errors="replace")
        self.known[number] = Peer(number, name, record.px, _links_of(record.flags))

    # ---- showing -----------------------------------------------------------------------------------------------------

    def describe(self, number: int) -> dict[str, Any]:
        """Return a node as node_usr has it."""
        vms = sum(1 << vm.vmid for vm in self._node.vms.values() if vm.nodes >> number & 1)
        sent_ns, received_ns, sent, received = self._node.ledger.read(number)
        fields: dict[str, Any] = {
            "node": number, "flags": 0, "px": NO_PROXIES, "name": "", "local": number == self._node.number,
            "vms": vms, "vms64": vms & _WORD, "sent_ns": sent_ns, "received_ns": received_ns,
            "sent": sent, "received": received,
        }  # fmt: skip
        peer = self.known.get(number)
        if number == self._node.number:
            return fields | {"flags": NodeFlag.ATTACHED | NodeFlag.SCONNECTED, "name": self.name_of_this_node()}
        return fields | ({} if peer is None else {"flags": peer.flags, "px": peer.px, "name": peer.name})
