"""Which VMs and names the nodes of the cluster have, as one of them knows it.

No I/O: what the node's own noded and its peers tell goes in, and actions come out, for the process to carry out. A
VM *spans* two nodes when it runs on both under one number and name, and each means it to span the other.

A fresh session begins with the whole state of both, so nothing has to be undone message by message. What was said in
a session that ended may not have been heard: the ends of endpoints, which no state shows, are kept, and said again
from where the peer is known to have seen them. A VM that is meant to span a node which does not run it is asked for
there once in each session: a node that was restarted gets its VMs back, and one on which somebody ended a VM is left
in peace.
"""

from collections import deque
from typing import NamedTuple

from drvs.base import limits
from drvs.cluster.proxies import gossip
from drvs.cluster.proxies.gossip import Gone, Kind, NameEntry, Seen, State, VmEnded, VmEntry, VmRefused


class Tell(NamedTuple):
    """Send a control message."""

    node: int
    kind: Kind
    body: bytes


class AddNode(NamedTuple):
    """The VM has processes on that node from now on."""

    vmid: int
    node: int


class DropNode(NamedTuple):
    """The VM does not run on that node any more."""

    vmid: int
    node: int


class CreateVm(NamedTuple):
    """A peer asks for a VM."""

    node: int
    vm: VmEntry


class LearnName(NamedTuple):
    """A named endpoint lives on that node."""

    node: int
    name: NameEntry


class LearnGone(NamedTuple):
    """An endpoint of that node is no longer bound."""

    node: int
    vmid: int
    endpoint: int
    incarnation: int


class ForgetNode(NamedTuple):
    """Nothing is known of that node's names any more."""

    node: int


class Connect(NamedTuple):
    """Calls may go to that node: what had gone there is forgotten here."""

    node: int


class Note(NamedTuple):
    """Something for the log."""

    node: int
    text: str


Action = Tell | AddNode | DropNode | CreateVm | LearnName | LearnGone | ForgetNode | Connect | Note


class _Peer:
    """What one peer has told, and how much of what happens here it has seen."""

    def __init__(self) -> None:
        self.up = False
        self.vms: dict[int, VmEntry] = {}
        self.names: dict[tuple[int, int], NameEntry] = {}
        self.asked: set[int] = set()
        self.seen = -1  # the event here up to which it knows; -1: it knows nothing

    def forget_names(self, vmid: int) -> None:
        """Its VM has ended there."""
        self.names = {key: name for key, name in self.names.items() if key[0] != vmid}


class Membership:
    """The state of one node's proxies. Every method returns the actions that follow."""

    def __init__(self, node: int) -> None:
        self.node = node
        self._vms: dict[int, VmEntry] = {}  # ours that span nodes
        self._names: dict[tuple[int, int], NameEntry] = {}
        self._peers: dict[int, _Peer] = {}
        self._joined: set[tuple[int, int]] = set()  # (vmid, node) that noded knows of
        self._ends: deque[tuple[int, Gone]] = deque(maxlen=limits.ENDS_KEPT)  # by number of the event
        self._event = 0

    # ---- what the node's own noded tells ---------------------------------------------------------------------------

    def vm_started(self, vm: VmEntry) -> list[Action]:
        """A VM runs here. One that spans no other node concerns nobody."""
        if not set(vm.nodes) - {self.node}:
            return []
        self._vms[vm.vmid] = vm
        actions: list[Action] = []
        for node, peer in self._peers.items():
            if not peer.up:
                continue
            actions.append(Tell(node, Kind.VM, gossip.encode(vm)))
            actions += self._compare(node, peer, vm.vmid)
        return actions

    def vm_ended(self, vmid: int) -> list[Action]:
        """A VM runs here no longer."""
        if self._vms.pop(vmid, None) is None:
            return []
        self._joined = {pair for pair in self._joined if pair[0] != vmid}
        self._names = {key: name for key, name in self._names.items() if key[0] != vmid}
        for peer in self._peers.values():
            peer.asked.add(vmid)  # ended on purpose: not to be asked for again
            if not peer.up:
                peer.seen = -1
        return self._tell_all(Kind.VM_ENDED, VmEnded(vmid))

    def bound(self, name: NameEntry) -> list[Action]:
        """An endpoint with a name was bound here."""
        if name.vmid not in self._vms:
            return []
        self._names[name.vmid, name.endpoint] = name
        return self._tell_all(Kind.NAME, name)

    def unbound(self, vmid: int, endpoint: int, incarnation: int = 0) -> list[Action]:
        """An endpoint was unbound here: whoever waits on it elsewhere is to know."""
        if vmid not in self._vms:
            return []
        self._names.pop((vmid, endpoint), None)
        gone = Gone(vmid, endpoint, incarnation)
        self._event += 1
        self._ends.append((self._event, gone))
        return self._tell_all(Kind.GONE, gone)

    # ---- what the links tell ---------------------------------------------------------------------------------------

    def established(self, node: int) -> list[Action]:
        """A fresh session with a peer begins."""
        peer = self._peers.setdefault(node, _Peer())
        anew = peer.seen < 0 or peer.seen < self._event - len(self._ends)
        gone = () if anew else tuple(gone for event, gone in self._ends if event > peer.seen)
        state = State(tuple(self._vms.values()), tuple(self._names.values()), anew, gone, self._event)
        peer.up, peer.asked = True, set()
        return [Tell(node, Kind.STATE, gossip.encode(state))]

    def ended(self, node: int) -> list[Action]:
        """The session with a peer is over. What it told stays until it says in the next one what has become of it."""
        if node in self._peers:
            self._peers[node].up = False
        return []

    def heard(self, node: int, kind: int, body: bytes) -> list[Action]:
        """A control message came."""
        peer = self._peers.get(node)
        if peer is None or not peer.up:
            return []
        try:
            known, message = gossip.decode(kind, body)
        except ValueError as error:
            return [Note(node, f"node {node} sent what this version does not understand: {error}")]
        match message:
            case State():
                return self._learn_state(node, peer, message)
            case Seen(event):
                peer.seen = max(peer.seen, min(event, self._event))
                return []
            case VmEntry():
                return self._learn_vm(node, peer, message, wanted=known == Kind.VM_WANTED)
            case VmEnded(vmid):
                peer.vms.pop(vmid, None)
                peer.forget_names(vmid)
                return self._leave(node, vmid)
            case VmRefused(vmid, reason):
                return [Note(node, f"node {node} does not run VM {vmid}: {reason[:200]}")]
            case NameEntry():
                return self._learn_name(node, peer, message)
            case Gone(vmid, endpoint, incarnation):
                peer.names.pop((vmid, endpoint), None)
                return [LearnGone(node, vmid, endpoint, incarnation)] if (vmid, node) in self._joined else []

    def refused(self, node: int, vmid: int, reason: str) -> list[Action]:
        """A VM that a peer asked for could not be created here."""
        return [Tell(node, Kind.VM_REFUSED, gossip.encode(VmRefused(vmid, reason)))]

    # ---- what follows ----------------------------------------------------------------------------------------------

    def _learn_state(self, node: int, peer: _Peer, state: State) -> list[Action]:
        peer.vms = {vm.vmid: vm for vm in state.vms}
        peer.names = {(name.vmid, name.endpoint): name for name in state.names}
        actions: list[Action] = [ForgetNode(node)] if state.anew else []
        ends = [gone for gone in state.gone if gone.vmid in self._vms]
        actions += [LearnGone(node, gone.vmid, gone.endpoint, gone.incarnation) for gone in ends]
        actions.append(Connect(node))
        known = [name for name in state.names if (name.vmid, node) in self._joined]
        actions += [LearnName(node, name) for name in known]
        for vmid in [*self._vms]:
            actions += self._compare(node, peer, vmid)
        return [*actions, Tell(node, Kind.SEEN, gossip.encode(Seen(state.event)))]

    def _learn_name(self, node: int, peer: _Peer, name: NameEntry) -> list[Action]:
        if name.vmid not in peer.vms:
            return []
        peer.names[name.vmid, name.endpoint] = name
        return [LearnName(node, name)] if (name.vmid, node) in self._joined else []

    def _learn_vm(self, node: int, peer: _Peer, vm: VmEntry, *, wanted: bool) -> list[Action]:
        peer.vms[vm.vmid] = vm
        if vm.vmid not in self._vms:
            return [CreateVm(node, vm)] if wanted else []
        return self._compare(node, peer, vm.vmid)

    def _compare(self, node: int, peer: _Peer, vmid: int) -> list[Action]:
        """Join, leave or ask for a VM that runs here, after either side has changed."""
        ours, theirs = self._vms[vmid], peer.vms.get(vmid)
        if node not in ours.nodes:
            return self._leave(node, vmid)
        if theirs is None:
            return self._ask(node, peer, ours)
        if why := self._misfit(ours, theirs):
            return [*self._leave(node, vmid), Note(node, f"VM {vmid} does not span node {node}: {why}")]
        return self._join(node, peer, vmid)

    def _misfit(self, ours: VmEntry, theirs: VmEntry) -> str:
        if ours.name != theirs.name:
            return f"it is {ours.name!r} here and {theirs.name!r} there"
        if ours.nr_tasks != theirs.nr_tasks or ours.nr_procs != theirs.nr_procs:
            return f"it has {ours.nr_tasks} + {ours.nr_procs} slots here, {theirs.nr_tasks} + {theirs.nr_procs} there"
        return "" if self.node in theirs.nodes else "it is not meant to span this node there"

    def _ask(self, node: int, peer: _Peer, vm: VmEntry) -> list[Action]:
        if vm.vmid in peer.asked:
            return self._leave(node, vm.vmid)
        peer.asked.add(vm.vmid)
        return [*self._leave(node, vm.vmid), Tell(node, Kind.VM_WANTED, gossip.encode(vm))]

    def _join(self, node: int, peer: _Peer, vmid: int) -> list[Action]:
        if (vmid, node) in self._joined:
            return []
        self._joined.add((vmid, node))
        names = [name for key, name in peer.names.items() if key[0] == vmid]
        return [AddNode(vmid, node), *(LearnName(node, name) for name in names)]

    def _leave(self, node: int, vmid: int) -> list[Action]:
        if (vmid, node) not in self._joined:
            return []
        self._joined.discard((vmid, node))
        return [DropNode(vmid, node)]

    def _tell_all(self, kind: Kind, message: gossip.Message) -> list[Action]:
        body = gossip.encode(message)
        return [Tell(node, kind, body) for node, peer in self._peers.items() if peer.up]

    def known_names(self, vmid: int) -> set[int]:
        """The endpoints of a VM here that have a name."""
        return {endpoint for known, endpoint in self._names if known == vmid}
