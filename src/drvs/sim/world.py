"""A world: nodes, processes, the network between them, accidents, and those who watch; from one seed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from drvs.sim.accidents import Accidents
from drvs.sim.agenda import Agenda
from drvs.sim.checks.copies import Copies
from drvs.sim.checks.delivery import Delivery
from drvs.sim.checks.ends import Ends
from drvs.sim.checks.notices import Notices
from drvs.sim.checks.rest import Rest
from drvs.sim.dice import dice, soon
from drvs.sim.history import History
from drvs.sim.network import Network
from drvs.sim.node import Node, size_for
from drvs.sim.program import Program
from drvs.sim.space import Arena, Space
from drvs.sim.trace import Trace
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from drvs.daemon.vm import VmLimits
    from drvs.sim.options import Options
    from drvs.sim.process import Process


#: Virtual seconds without anything to be seen under way that count as rest.
QUIET_S = 0.4


class World:
    """All of it. `close` gives back its memory."""

    def __init__(self, seed: int, options: Options) -> None:
        self.seed, self.options = seed, options
        self.agenda = Agenda()
        self.trace = Trace(options.trace_lines)
        self.network = Network(options, self.agenda, seed)
        self.arena = Arena()
        self.bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        #: Nobody begins anything any more.
        self.resting = False
        #: Living processes.
        self.processes: dict[Process, None] = {}
        self._serial = 0
        self._vms = self._lay_out()
        self._schemes = dice(seed, "schemes")
        self._peers = self._choose_peers()
        self._by_endpoint: dict[tuple[int, int], list[Process]] = {}
        self._names = {
            vmid: [self.name(n, vmid, i) for n in span for i in range(options.processes)]
            for vmid, span in self._vms.items()
        }
        self._home = {
            self.name(n, vmid, i): (n, vmid, i)
            for vmid, span in self._vms.items()
            for n in span
            for i in range(options.processes)
        }
        self._servers = {vmid: names[::2] for vmid, names in self._names.items()}
        self._servers_at: dict[tuple[int, int], list[str]] = {}
        for vmid, names in self._servers.items():
            for name in names:
                self._servers_at.setdefault((vmid, self.node_of(name)), []).append(name)
        self.history = History()
        self.history.now = lambda: self.agenda.now
        self.copies, self.notices = Copies(self), Notices(self)
        self.delivery = Delivery(self)
        self.history.judge_by([self.delivery, Ends(self), self.notices, self.copies])
        self.program = Program(self)
        #: Nodes that something has happened to since they were found at rest.
        self.restless: dict[Node, None] = {}
        self.nodes = [Node(self, number) for number in range(options.nodes)]
        self.accidents = Accidents(self)
        for node in self.nodes:
            node.boot()
        self.accidents.begin()

    def close(self) -> None:
        """Give back what the operating system has lent."""
        for space in [*self.spaces()]:
            space.close()
        os.close(self.bell)

    def note(self, node: int, text: str, *args: Any) -> None:
        """Keep a line of the trace."""
        self.trace.note(self.agenda.now, node, text, *args)

    def serial(self) -> int:
        """Return a number that was not used yet."""
        self._serial += 1
        return self._serial

    # ---- what is where ----

    def _lay_out(self) -> dict[int, tuple[int, ...]]:
        """Return the nodes of each VM: all, or windows that overlap by half, in a ring."""
        nodes, span = self.options.nodes, self.options.span
        if nodes <= span:
            return {vmid: tuple(range(nodes)) for vmid in range(self.options.vms)}
        starts = range(0, nodes, max(1, span // 2))
        return {vmid: tuple(sorted((start + i) % nodes for i in range(span))) for vmid, start in enumerate(starts)}

    def _choose_peers(self) -> dict[int, dict[int, str]]:
        """Return for each node those that it shares a VM with, and the transport between them."""
        peers: dict[int, dict[int, str]] = {number: {} for number in range(self.options.nodes)}
        for span in self._vms.values():
            for a in span:
                for b in span:
                    if a < b and b not in peers[a]:
                        peers[a][b] = peers[b][a] = "udp" if self._schemes.random() < self.options.datagrams else "tcp"
        return peers

    def vms_of(self, number: int) -> list[tuple[int, tuple[int, ...]]]:
        """Return the VMs of a node: number and nodes of each."""
        return [(vmid, span) for vmid, span in self._vms.items() if number in span]

    def peers_of(self, number: int) -> dict[int, str]:
        """Return the nodes that a node is to be connected to, and by which transport."""
        return self._peers[number]

    def size_of(self, span: tuple[int, ...]) -> VmLimits:
        """Return the size of a VM."""
        return size_for(self.options.nodes, self.options, len(span))

    def name(self, node: int, vmid: int, index: int) -> str:
        """Return the name of a process."""
        letter = "" if len(self._vms) == 1 else chr(ord("a") + vmid) if len(self._vms) <= 26 else f"v{vmid}."
        return f"{node}.{letter}{index}"

    def index_of(self, name: str) -> int:
        """Return which of its node's and VM's processes has a name."""
        return self._home[name][2]

    def node_of(self, name: str) -> int:
        """Return the node of a name."""
        return self._home[name][0]

    def spaces(self) -> Iterator[Space]:
        """Iterate over all regions."""
        for node in self.nodes:
            yield from node.spaces.values()

    # ---- processes ----

    def born(self, process: Process) -> None:
        """A process has been bound."""
        self.processes[process] = None
        self._by_endpoint.setdefault((process.space.vmid, process.endpoint), []).append(process)
        self.agenda.after(soon(process.dice, self.options.think_s), self.program.act, process)

    def died(self, process: Process) -> None:
        """A process lives no longer."""
        del self.processes[process]

    def sender_of(self, vmid: int, endpoint: int) -> list[Process]:
        """Return who has, or had, an endpoint: the last one first."""
        return self._by_endpoint.get((vmid, endpoint), [])[::-1]

    def living(self, vmid: int, endpoint: int) -> Process | None:
        """Return who has an endpoint now."""
        for process in reversed(self._by_endpoint.get((vmid, endpoint), ())):
            if process.alive:
                return process
        return None

    def some_name(self, chance: random.Random, vmid: int, but: str) -> str:
        """Choose a name of a VM."""
        names = self._names[vmid]
        name = chance.choice(names)
        return name if name != but else names[names.index(name) - 1]

    def some_server(self, chance: random.Random, vmid: int, node: int | None = None) -> str:
        """Choose a name of a VM whose process mostly serves; on one node, if it has any."""
        found = self._servers_at.get((vmid, node)) if node is not None else None
        return chance.choice(found or self._servers[vmid])

    def somebody(self, chance: random.Random, process: Process) -> Process | None:
        """Choose another living process of the same VM."""
        name = self.some_name(chance, process.space.vmid, process.name)
        node, vmid, _ = self._home[name]
        space = self.nodes[node].spaces.get(vmid)
        return None if space is None else space.names.get(name)

    def is_disturbed(self, a: int, b: int, since: float) -> bool:
        """Say whether the link between two nodes has changed since, or is not whole."""
        return self.history.disturbed(a, b, since) or not (self._leads(a, b) and self._leads(b, a))

    def _leads(self, here: int, there: int) -> bool:
        node = self.nodes[here]
        peer = node.noded.peers.known.get(there) if node.up else None
        shared = [space.vm.nodes >> there & 1 for space in node.spaces.values() if there in space.span]
        return peer is not None and peer.connected and all(shared)

    # ---- time ----

    def play(self) -> None:
        """Live through the history, and come to rest.

        Raises:
            Violation: Something went wrong.
        """
        options, agenda, history = self.options, self.agenda, self.history
        every = options.audit_every or options.events + 1
        audit_at, in_turn = every, self._in_turn()
        while agenda.events < options.events and agenda.step():
            if agenda.events >= audit_at:
                audit_at += every
                if space := next(in_turn):
                    self._audit(space)
            if options.messages and history.received_messages >= options.messages:
                break
        self.rest()

    def _in_turn(self) -> Iterator[Space | None]:
        """Yield one region after the other, again and again; None after each round."""
        while True:
            for node in self.nodes:
                for space in [*node.spaces.values()]:
                    if node.spaces.get(space.vmid) is space:
                        yield space
            yield None

    def audit(self) -> None:
        """Look at all regions.

        Raises:
            Violation: One is not sound.
        """
        for space in self.spaces():
            self._audit(space)

    def _audit(self, space: Space) -> None:
        found = space.audit()
        if found:
            raise Violation(f"VM {space.vmid} at node {space.vm.node}: {'; '.join(found)}")

    def rest(self) -> None:
        """Mend everything, let everything arrive, and look at what is left.

        Raises:
            Violation: It does not come to rest, or something is left that should not be.
        """
        self.note(-1, "REST")
        self.resting = True
        self.accidents.stop()
        limit, agenda = self.agenda.now + self.options.rest_s, self.agenda
        quiet_since, look_at = agenda.now, 0
        self.restless = dict.fromkeys(self.nodes)
        while agenda.now - quiet_since < QUIET_S:
            if not agenda.step():
                break
            if agenda.events < look_at:
                continue
            look_at = agenda.events + len(self.nodes) // 16  # which in a large cluster is soon
            if why := self._unrest():
                quiet_since = agenda.now
                if agenda.now > limit:
                    raise Violation(f"the cluster does not come to rest: {why}")
        rest = Rest(self)
        rest.check()
        self.program.collect_all()
        rest.check_received()

    def _unrest(self) -> str:
        """Return what is still under way; "": nothing that can be seen."""
        while self.restless:
            node, _ = self.restless.popitem()
            if why := self._unrest_of(node):
                self.restless[node] = None
                return why
        return ""

    def _unrest_of(self, node: Node) -> str:
        for space in node.spaces.values():
            if not space.queue_is_empty:
                return f"the proxies of node {node.number} have work"
        if node.proxies is None:
            return f"node {node.number} has no proxies"
        return node.proxies.unrest()
