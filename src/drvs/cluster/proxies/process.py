"""The process of the standard proxies: what is connected to what, and its loop.

    doorbells of the VMs ─┐                 ┌─ links to the peers
                          ├─ one epoll ─────┤
    noded's events ───────┘                 └─ timers

The loop drains before it sleeps: commands of the VMs, then what the links have to send. Before it sleeps it arms the
doorbells, and looks once more; for a moment after traffic it looks on instead (`spin`), or has several commands come
together (`gather`).
"""

import select
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from drvs import core
from drvs.base import limits
from drvs.base.errors import DrvsError
from drvs.cluster.proxies.gather import Gather
from drvs.cluster.proxies.membership import (
    Action,
    AddNode,
    Connect,
    CreateVm,
    DropNode,
    ForgetNode,
    LearnGone,
    LearnName,
    Membership,
    Note,
    Tell,
)
from drvs.cluster.proxies.pump import Pump
from drvs.cluster.proxies.spin import Spin
from drvs.cluster.registry import Displaced, Joined, Left
from drvs.cluster.session import Broken, Control, Ended, Established, Event, Records
from drvs.cluster.transports.address import parse

if TYPE_CHECKING:
    from drvs.cluster.links import Links
    from drvs.cluster.proxies.noded import Noded
    from drvs.cluster.registry import Registry

#: A change wakes once.
EDGE = select.EPOLLIN | select.EPOLLET
#: Strangers of whom a report has more than their number.
STRANGERS_NOTED = 4
#: What `Proxy.look` says of a descriptor.
READABLE = 2
#: The longest sleep.
SLEEP_S = limits.LINK_SLEEP_MS / 1000


class Proxies:
    """Both proxies of a node, for all its peers, in one loop."""

    def __init__(
        self,
        noded: "Noded",
        links: "Links",
        registry: "Registry | None",
        epoll: select.epoll,
        spin_us: int = limits.LINK_SPIN_US,
    ) -> None:
        self._noded = noded
        self._notes: list[str] = []
        self._report_at = 0.0
        self._reported: list[dict[str, str | int]] = []
        self._turned_away = 0  # strangers that noded has been told of
        self._links = links
        self._registry = registry
        if registry is not None:
            epoll.register(registry.fileno(), select.EPOLLIN)
        self._epoll = epoll
        self._sender, self._receiver = noded.pair.sender, noded.pair.receiver
        sealed = links.exchange.credentials is not None
        part = limits.TAKE_SEALED_BYTES if sealed else limits.TAKE_BYTES
        self._pump = Pump(noded.number, self._sender, self._receiver, links, part)
        self._membership = Membership(noded.number)
        self._spin = Spin(spin_us)
        self._gather = Gather()
        self._running = True
        self._traffic_fd = -1  # of the link that brought something last
        self._passes = 0
        self._next_look = 0.0
        epoll.register(self._sender.fileno(), EDGE)  # never read: the loop looks for commands in any case
        for carrier in (self._sender, self._receiver):
            epoll.register(carrier.changed_fd, EDGE)
        self._events_fd = -1
        self._begin_events()

    def stop(self) -> None:
        """Let `run` return."""
        self._running = False

    def run(self) -> None:
        """Carry commands until `stop`, or until the node is gone."""
        links, send = self._links, self._pump.send
        while self._running:
            now = time.monotonic()
            busy = send()
            if events := links.flush(now):
                self._take(events)
            if busy:
                self._spin.sent()
            if links.deadline <= now:
                self._take(links.tick(now))
            if self._notes or now >= self._report_at:
                self._report(now)
            if self._events_fd < 0 and now >= self._next_look:
                self._begin_events()
            self._wait(now)

    # ---- waiting -----------------------------------------------------------------------------------------------------

    def _wait(self, now: float) -> None:
        """Look on for a moment, where that pays; otherwise look at all descriptors, and sleep if nothing waits."""
        self._passes += 1
        if self._spin.until_ns and self._passes % limits.LINK_LOOKS and self._look_on():
            return
        timeout, sender, receiver = 0.0, self._sender.core, self._receiver.core
        commands = self._gather.ask(sender.taken, receiver.roused, now)
        if sender.arm(self._pump.full, commands):
            receiver.rest()
            timeout = min(SLEEP_S, max(0.0, self._links.deadline - now))
            if commands > 1:
                core.doze(self._epoll.fileno(), int(1e9 * min(timeout, self._gather.wait_s)))
                timeout = 0.0
        for fd, mask in self._epoll.poll(timeout, 64):
            self._ready(fd, mask)

    def _look_on(self) -> bool:
        """Look at the VMs and at the link that brought something last, and at nothing else: whether there was any."""
        fd = self._traffic_fd
        found = self._sender.core.look(fd, self._spin.until_ns) if fd >= 0 else 0
        if found == READABLE:
            self._take(self._links.ready(fd, select.EPOLLIN, time.monotonic()))
        elif not found:
            self._spin.until_ns = 0
        return bool(found)

    def _ready(self, fd: int, mask: int) -> None:
        if self._links.owns(fd):
            self._traffic_fd = fd
            self._take(self._links.ready(fd, mask, time.monotonic()))
        elif fd == self._events_fd:
            self._hear()
        elif self._registry is not None and fd == self._registry.fileno():
            self._look_up(self._registry)
        else:
            for carrier in (self._sender, self._receiver):
                if fd == carrier.changed_fd:
                    carrier.refresh()

    def _note(self, text: str) -> None:
        self._notes.append(text)

    def _report(self, now: float) -> None:
        """Tell noded how the links are, and what has happened to them, if it does not know."""
        self._report_at = now + limits.LINK_REPORT_MS / 1000
        self._note_strangers()
        if not self._notes and self._reported and all(peer.connected for peer in self._links.peers.values()):
            return
        rows: list[dict[str, str | int]] = []
        for peer in self._links.status():
            last = peer.reasons[-1].text if peer.reasons else ""
            rows.append({
                "node": peer.node, "name": peer.name, "state": peer.state, "address": peer.address,
                "addresses": ", ".join(peer.addresses), "dials": peer.dials, "reason": last,
            })  # fmt: skip
        if self._notes or rows != self._reported:
            strangers = [msgspec.structs.asdict(reason) for reason in self._links.strangers]
            self._noded.report(rows, strangers, self._notes)
        self._notes, self._reported = [], rows

    def _note_strangers(self) -> None:
        """Note why connections ended whose other end never proved who it is; of many, how many there were."""
        links = self._links
        new, self._turned_away = links.turned_away - self._turned_away, links.turned_away
        for reason in [*links.strangers][-new:][-STRANGERS_NOTED:] if new else ():
            self._note(f"a connection from {reason.address} was turned away: {reason.text}")
        if new > STRANGERS_NOTED:
            self._note(f"{new} connections were turned away in all since the last report")

    # ---- what noded says ---------------------------------------------------------------------------------------------

    def _begin_events(self) -> None:
        """Find noded; where it was killed, go on without it, and look again in a second."""
        try:
            self._do(self._noded.begin(self._membership))
        except (OSError, DrvsError):
            self._noded.socket.close()
            self._next_look = time.monotonic() + 1
            self._running = self._running and not self._noded.gone_for_good
        else:
            self._events_fd = self._noded.socket.fileno()
            self._epoll.register(self._events_fd, select.EPOLLIN)

    def _hear(self) -> None:
        try:
            self._do(self._noded.hear(self._membership))
        except OSError:
            self._epoll.unregister(self._events_fd)
            self._noded.socket.close()
            self._events_fd = -1
            self._begin_events()

    # ---- what the registry says --------------------------------------------------------------------------------------

    def _look_up(self, registry: "Registry") -> None:
        for event in registry.take():
            match event:
                case Joined(node, presence):
                    self._join(node, presence.name)
                    self._meet(node, presence.addresses)
                case Left(node, expired):
                    self._lose(node, "its lease in the registry has ended" if expired else "it said goodbye")
                case Displaced():
                    self._note("another process runs as this node now: this one ends")
                    self.stop()

    def _join(self, node: int, name: str) -> None:
        """A peer is in the registry. Where there is a session with it, also an interrupted one, it stays as it is.

        It may have dialled before the registry told of it. And after the servers were away the registry tells anew of
        everybody: a session that is resumed then does not connect the node again, for it never said that it ended.
        """
        if not self._links.reaches(node):
            self._noded.node_up(node, name)

    def _meet(self, node: int, addresses: Iterable[str]) -> None:
        """Dial a peer by what the registry says of it; where none of that can be used, wait to be dialled."""
        try:
            self._links.add_peer(node, [parse(text) for text in addresses])
        except (OSError, ValueError) as error:
            self._note(f"node {node} cannot be dialled by its entry in the registry: {error}")
            self._links.add_peer(node, [])

    def _lose(self, node: int, why: str) -> None:
        """A peer is not in the registry any more; if it is still connected, that counts more."""
        peer = self._links.peers.get(node)
        if peer is None or peer.connected:
            return
        self._note(f"node {node} has left: {why}")
        self._take(self._links.remove_peer(node, why))
        self._noded.node_down(node)

    # ---- what the links say ------------------------------------------------------------------------------------------

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Records):
                self._receive(event)
            elif isinstance(event, Control):
                self._do(self._membership.heard(event.node, event.kind, event.body))
            else:
                self._links_changed(event)

    def _receive(self, event: Records) -> None:
        try:
            self._pump.receive(event.node, event.blob)
            self._spin.delivered(self._receiver.core.peer_cpu)
        except ValueError as error:
            self._take(self._links.remove_peer(event.node, f"node {event.node} sent no command: {error}"))

    def _links_changed(self, event: Event) -> None:
        if isinstance(event, Established):
            self._note(f"node {event.node} ({event.peer.name!r}) {'is back' if event.resumed else 'is connected'}")
            if not event.resumed:
                self._do(self._membership.established(event.node))
        elif isinstance(event, Broken):
            self._note(f"the connection to node {event.node} broke, and may come back: {event.reason}")
        elif isinstance(event, Ended):
            self._note(f"the session with node {event.node} is over: {event.reason}")
            self._noded.disconnected(event.node, event.reason)
            self._do(self._membership.ended(event.node))

    # ---- what follows for the node -----------------------------------------------------------------------------------

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            try:
                self._act(action)
            except DrvsError as error:
                self._note(f"{type(action).__name__}: {error}")

    def _act(self, action: Action) -> None:
        noded = self._noded
        match action:
            case Tell(node, kind, body):
                self._tell(node, kind, body)
            case AddNode(vmid, node):
                noded.add_node(vmid, node)
            case DropNode(vmid, node):
                noded.drop_node(vmid, node)
            case LearnName(node, name):
                noded.learn_name(node, name)
            case LearnGone():
                noded.learn_gone(*action)
            case ForgetNode(node):
                noded.forget_names(node)
            case Connect(node):
                noded.connected(node, self._links.name_of(node))
            case CreateVm(node, vm):
                try:
                    noded.create_vm(vm)
                except DrvsError as error:
                    self._do(self._membership.refused(node, vm.vmid, error.detail or str(error)))
            case Note(_, text):
                self._note(text)

    def _tell(self, node: int, kind: int, body: bytes) -> None:
        try:
            self._links.send_control(node, kind, body)
        except (ValueError, BufferError) as error:
            if self._links.reaches(node):  # otherwise its session has ended, which is the next thing to be heard
                self._note(f"node {node} could not be told: {error}")
