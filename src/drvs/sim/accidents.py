"""What goes wrong, when, and for how long: each kind of accident at its own rate, by its own dice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drvs.sim.dice import dice, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    from drvs.sim.network import Way
    from drvs.sim.node import Node
    from drvs.sim.process import Process
    from drvs.sim.world import World


class Accidents:
    """All of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._options = world.options
        self._dice = {kind: dice(world.seed, "accident", kind) for kind in self._kinds()}

    def _kinds(self) -> dict[str, tuple[float, Callable[[], None]]]:
        options = self._options
        return {
            "cut": (options.cut, self._cut),
            "break": (options.break_, self._break),
            "slow": (options.slow, self._slow),
            "stall": (options.stall, self._stall),
            "death": (options.death, self._death),
            "proxies": (options.proxies, self._proxies),
            "node": (options.node, self._node),
        }

    def begin(self) -> None:
        """Have them happen from now on."""
        for kind, (rate, happen) in self._kinds().items():
            if rate > 0:
                self._again(kind, rate, happen)

    def _again(self, kind: str, rate: float, happen: Callable[[], None]) -> None:
        self._world.agenda.after(soon(self._dice[kind], 1 / rate), self._happen, kind, rate, happen)

    def _happen(self, kind: str, rate: float, happen: Callable[[], None]) -> None:
        if not self._world.resting:
            happen()
            self._again(kind, rate, happen)

    # ---- choosing ----

    def _some_node(self, kind: str) -> Node:
        return self._dice[kind].choice(self._world.nodes)

    def _some_ways(self, kind: str) -> list[Way]:
        """One direction between two nodes, or both, or all of one node."""
        chance, network = self._dice[kind], self._world.network
        here = self._some_node(kind)
        peers = [*self._world.peers_of(here.number)]
        if not peers:
            return []
        there = chance.choice(peers)
        match chance.randrange(4):
            case 0:
                return [network.way(here.number, there)]
            case 1:
                return [
                    way for peer in peers for way in (network.way(here.number, peer), network.way(peer, here.number))
                ]
            case _:
                return [network.way(here.number, there), network.way(there, here.number)]

    # ---- the network ----

    def _cut(self) -> None:
        ways = self._some_ways("cut")
        for way in ways:
            way.cut = True
            self._world.note(way.here, "~> %d cut", way.there)
        self._world.agenda.after(soon(self._dice["cut"], self._options.cut_s), self._heal, ways)

    def _heal(self, ways: list[Way]) -> None:
        for way in ways:
            way.heal()
            self._world.note(way.here, "~> %d healed", way.there)

    def _break(self) -> None:
        streams = [*self._world.network.hosts[self._some_node("break").number].streams]
        if streams:
            stream = self._dice["break"].choice(streams)
            self._world.note(stream.host.number, "~> %d broken", stream.other)
            stream.break_off()

    def _slow(self) -> None:
        ways = self._some_ways("slow")
        for way in ways:
            way.slowness = 30 ** self._dice["slow"].random()
            self._world.note(way.here, "~> %d slow, by %.1f", way.there, way.slowness)
        self._world.agenda.after(soon(self._dice["slow"], self._options.slow_s), self._heal, ways)

    # ---- processes ----

    def _stall(self) -> None:
        node = self._some_node("stall")
        node.stalled_until = self._world.agenda.now + soon(self._dice["stall"], self._options.stall_s)

    def _death(self) -> None:
        if not self._world.processes:
            return
        process: Process = self._dice["death"].choice([*self._world.processes])
        process.node.bury(process)
        vmid, index = process.space.vmid, self._world.index_of(process.name)
        self._world.agenda.after(soon(self._dice["death"], self._options.reborn_s), process.node.bear, vmid, index)

    def _proxies(self) -> None:
        node = self._some_node("proxies")
        if node.up and node.proxies is not None:
            node.kill_proxies()
            self._world.agenda.after(
                soon(self._dice["proxies"], self._options.back_s), self._proxies_back, node, node.lives
            )

    def _proxies_back(self, node: Node, life: int) -> None:
        if node.up and node.lives == life and node.proxies is None:
            node.start_proxies()

    def _node(self) -> None:
        node = self._some_node("node")
        if node.up:
            node.fall(silently=self._dice["node"].random() < 0.5)
            self._world.agenda.after(soon(self._dice["node"], self._options.back_s), self._node_back, node)

    def _node_back(self, node: Node) -> None:
        if not node.up:
            node.boot()

    def stop(self) -> None:
        """Mend everything that is broken."""
        world = self._world
        world.network.heal()
        for node in world.nodes:
            node.go_on()
            self._node_back(node)
            self._proxies_back(node, node.lives)
