"""A node's proxies: the real ones but for their loop, which is told by the simulation when to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drvs.cluster.links import Links
from drvs.cluster.proxies.gather import Gather
from drvs.cluster.proxies.membership import Action, AddNode, DropNode, ForgetNode, LearnGone, LearnName, Membership
from drvs.cluster.proxies.process import Proxies
from drvs.cluster.proxies.pump import Pump
from drvs.cluster.proxies.spin import Spin
from drvs.cluster.session import Broken, Control, Ended, Established, Event, Exchange, Identity, Records, Settings
from drvs.cluster.transports.address import Address
from drvs.cluster.wire.hello import Limits
from drvs.core import Proxy
from drvs.sim.datagrams import Datagrams
from drvs.sim.dice import dice
from drvs.sim.space import EMPTY, NR_TASKS
from drvs.sim.streams import Streams
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from drvs.sim.network import Host
    from drvs.sim.noded import Noded
    from drvs.sim.options import Options

#: Rounds of the loop without a look at anything else.
ROUNDS = 50
CLUSTER = "sim"
#: What links say when all is well.
TRAFFIC = (Records, Control)

#: What may be said of a connection or session that ends; anything else would be a fault of the protocol.
REASONS = (
    "another connection took its place", "both nodes dialled at once", "did not prove who it is in time",
    "reset by peer",
    "refused", "closed the connection", "has been silent for", "no connection to node", "was restarted",
    "began a new session",
    "still had an earlier session",
)  # fmt: skip


class Hands:
    """The sender's and the receiver's hands: the core's own, with the time of the simulation."""

    def __init__(self, proxy: Proxy, most: int, time_ns: Callable[[], int]) -> None:
        self.core = proxy
        #: They have changed something in a region.
        self.used = False
        self._most, self._time_ns = most, time_ns

    def take_runs(
        self, limit: int, nbytes: int, skip: frozenset[int] | None = None
    ) -> list[tuple[int, bytes | bytearray, int]]:
        """Return commands that wait."""
        self.used = True
        return self.core.take_runs(min(limit, self._most), nbytes, skip, now_ns=self._time_ns())

    def put(self, records: bytes | bytearray | memoryview, snode: int = -1) -> list[tuple[int, int]]:
        """Deliver records."""
        self.used = True
        return self.core.put(records, snode)


class SimProxies(Proxies):
    """Both proxies of a node, in one of their lives."""

    def __init__(
        self,
        noded: Noded,
        host: Host,
        options: Options,
        life: int,
        note: Callable[..., None],
        hears: Callable[[Event], None],
    ) -> None:
        network, number = host.network, noded.number
        self._noded: Any = noded
        self._host = host
        self._chance = dice(network.seed, "proxies", number, life)
        self.exchange = Exchange(self._identity(), None, settings_of(options))
        self._links = Links(self.exchange, [Streams(host), Datagrams(host)], host, rng=self._chance)
        for scheme in ("tcp", "udp"):
            self._links.listen(Address(scheme, str(number), 1))
        proxy = Proxy(0, number)
        self._queues = [space.queue for space in noded.spaces.values()]
        for space in noded.spaces.values():
            proxy.add(space.region)
        self._hands = hands = Hands(proxy, options.take, lambda: int(network.agenda.now * 1e9))
        self._sender: Any = hands
        self._receiver: Any = hands
        self._pump = Pump(number, hands, hands, self._links)
        self._core = proxy
        self._membership = Membership(number)
        self._spin = Spin(0)
        self._gather = Gather()
        self._tell_trace, self._hears = note, hears

    def _identity(self) -> Identity:
        number = self._noded.number
        limits = Limits(NR_TASKS, 1000, self._noded.size.nr_nodes, 1 << 20)
        incarnation = self._chance.getrandbits(62) | 1
        return Identity(node=number, name=f"n{number}", cluster=CLUSTER, incarnation=incarnation, limits=limits)

    @property
    def deadline(self) -> float:
        """When the links or the VMs want to be looked at."""
        due, until = self._links.deadline, self._gather.until
        return due if due < until else until

    def begin(self, peers: dict[int, str]) -> None:
        """Learn how things are on the node, and whom to be connected to: number and transport of each."""
        now = self._host.network.agenda.now
        self._do(self._noded.everything(self._membership))
        for node, scheme in peers.items():
            self._noded.node_up(node, f"n{node}")
            self._links.add_peer(node, [Address(scheme, str(node), 1)], now)

    def turn(self, now: float) -> bool:
        """Do what there is to do. False: the proxies sleep now, and the doorbells are armed."""
        links, queues, core = self._links, self._queues, self._core
        for _ in range(ROUNDS):
            busy = False
            for words, head in queues:
                if words[head] != EMPTY:
                    busy = self._pump.send()
                    break
            if events := links.flush(now):
                self._take(events)
            if links.deadline <= now:
                self._take(links.tick(now))
            if self._host.ready or self._noded.news:
                self._look(now)
            elif not busy and core.arm(self._pump.full, self._gather.ask(core.taken, core.roused, now)):
                return False
        return True

    def tick(self, now: float) -> bool:
        """Do what is due at the links, while the proxies sleep. False: something has come of it, and a turn is due."""
        if now >= self._gather.until:
            return False
        links = self._links
        events = links.flush(now)
        events += links.tick(now)
        if events:
            self._take(events)
        return not events

    def have_touched(self) -> bool:
        """Say whether they may have changed something in a region since this was asked last."""
        used, self._hands.used = self._hands.used, False
        return used

    def _look(self, now: float) -> None:
        """Take what has arrived, from the network and from noded."""
        ready, self._host.ready = self._host.ready, {}
        for fd, mask in ready.items():
            if events := self._links.ready(fd, mask, now):
                self._take(events)
        news, self._noded.news[:] = [*self._noded.news], []
        for tell in news:
            self._do(tell(self._membership))

    # ---- what the simulation wants to know ----

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, TRAFFIC):
                self._watch(event)
        super()._take(events)

    def _watch(self, event: Event) -> None:
        if isinstance(event, Broken | Ended):
            if not any(reason in event.reason for reason in REASONS):
                raise Violation(f"the session of node {self._noded.number} with {event.node} ended: {event.reason}")
            self._tell_trace(
                "-> %d %s: %s", event.node, "broken" if isinstance(event, Broken) else "ended", event.reason
            )
        elif isinstance(event, Established):
            self._tell_trace("-> %d %s", event.node, "resumed" if event.resumed else "established")
        self._hears(event)

    def _act(self, action: Action) -> None:
        match action:
            case AddNode(vmid, node):
                self._tell_trace("-> %d joined VM %d", node, vmid)
            case DropNode(vmid, node):
                self._tell_trace("-> %d left VM %d", node, vmid)
            case LearnName(node, name):
                self._tell_trace("-> %d name %s is %d", node, name.name, name.endpoint)
            case LearnGone(node, _, endpoint, _):
                self._tell_trace("-> %d gone %d", node, endpoint)
            case ForgetNode(node):
                self._tell_trace("-> %d forgot", node)
        self._hands.used = True
        super()._act(action)

    def _links_changed(self, event: Event) -> None:
        self._hands.used = True
        super()._links_changed(event)

    def _note(self, text: str) -> None:
        """A line for noded's log; but what goes well is seen elsewhere."""
        if any(
            word in text
            for word in ("could not be told", "does not understand", "sent no command", "does not span", "does not run")
        ):
            raise Violation(f"node {self._noded.number}: {text}")

    def unrest(self) -> str:
        """Return why these proxies are not at rest; "" if they are."""
        for node, peer in self._links.peers.items():
            if not peer.connected:
                return f"node {self._noded.number} is not connected to node {node}"
            if self.exchange.sessions[node].backlog:
                return f"node {self._noded.number} has not been told by node {node} that all has arrived"
        return ""


def settings_of(options: Options) -> Settings:
    """Return the bounds of sessions."""
    return Settings(
        keepalive_s=options.keepalive_s,
        silence_s=options.silence_s,
        resume_s=options.resume_s,
        hello_s=options.hello_s,
        ack_s=options.keepalive_s / 6,
        backlog_bytes=options.backlog_bytes,
    )


def of(proxies: SimProxies) -> Links:
    """Return the links, for tests."""
    return proxies._links
