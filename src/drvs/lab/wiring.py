"""How the nodes of a lab are joined: through the relay, or directly; in namespaces, or on loopback.

With namespaces the supervisor lives in a network namespace of its own, the hub. All namespaces are unnamed and held by
processes alone, so interfaces end with those who use them, whatever happened.
"""

from __future__ import annotations

import errno
import os
from typing import Protocol

from drvs.daemon.loop import Loop
from drvs.lab import tipc
from drvs.lab.frames import FrameRelay, mac_of
from drvs.lab.links import Link, Links
from drvs.lab.netlink import Network
from drvs.lab.spec import Spec

_PREFIX = 24
_BRIDGE = "lab"


class Wiring(Protocol):
    """What the supervisor asks of a network."""

    def attach(self, node: int, pid: int) -> None:
        """Join a node, whose first process is `pid`, to the others."""

    def detach(self, node: int) -> None:
        """The node has ended, or is to be heard no more. Harmless if that was said before."""

    def changed(self, link: Link) -> None:
        """A link was cut, healed or slowed down."""


def choose(loop: Loop, spec: Spec, links: Links) -> Wiring:
    """Return the wiring that a lab asks for."""
    if not spec.namespaces:
        from drvs.lab.loopback import Loopback

        return Loopback(loop, spec, links)
    _quiet_ipv6()
    if not spec.direct:
        return Relayed(loop, spec, links)
    return Pair(spec) if spec.count == 2 else Bridged(spec)


def _quiet_ipv6() -> None:
    """The hub itself has nothing to say to the nodes."""
    for scope in ("all", "default"):
        try:
            with open(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6", "w") as file:
                file.write("1")
        except OSError:
            pass  # no IPv6 here at all


class _Hub:
    """Interfaces whose other halves are in the hub."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.hub = Network()
        self.networks: dict[int, Network] = {}

    def open(self, node: int, pid: int) -> Network:
        """Open the network of a node."""
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        network = self.networks[node] = Network(namespace)
        network.up("lo")
        return network

    def address(self, node: int) -> None:
        """Give a node's interface its address, and bring it up."""
        network = self.networks[node]
        network.add_address("eth0", self.spec.host(node), _PREFIX)
        network.up("eth0")
        if self.spec.transport == "tipc":
            tipc.enable(network.namespace, "eth0")

    def close(self, node: int) -> None:
        """Forget the network of a node."""
        network = self.networks.pop(node, None)
        if network is not None:
            network.close()
            if network.namespace is not None:
                os.close(network.namespace)

    def join(self, node: int, pid: int) -> str:
        """Make a node's interface; returns the name that the other half has in the hub."""
        half = f"n{node}"
        network = self.open(node, pid)
        self.hub.add_veth(half, "02:00:00:01" + mac_of(node)[11:], network, "eth0", mac_of(node))
        return half

    def changed(self, link: Link) -> None:
        """Nothing to do: every frame looks at its link."""

    def part(self, node: int) -> None:
        """Remove a node's interface now: the kernel would take its time."""
        if node in self.networks:
            _remove(self.hub, f"n{node}")
            self.close(node)


def _remove(network: Network, name: str) -> None:
    try:
        network.remove(name)
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EINVAL):
            raise


class Relayed(_Hub):
    """Every frame passes through the relay."""

    def __init__(self, loop: Loop, spec: Spec, links: Links) -> None:
        super().__init__(spec)
        self._relay = FrameRelay(loop, links)

    def attach(self, node: int, pid: int) -> None:
        """Join a node to the relay."""
        half = self.join(node, pid)
        self.networks[node].checksum_in_software("eth0")
        self.hub.up(half)
        self._relay.attach(node, half)
        self.address(node)

    def detach(self, node: int) -> None:
        """Let a node go."""
        self._relay.detach(node)
        self.part(node)


class Bridged(_Hub):
    """The kernel's bridge joins the nodes."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.hub.add_bridge(_BRIDGE)
        self.hub.up(_BRIDGE)

    def attach(self, node: int, pid: int) -> None:
        """Join a node to the bridge."""
        self.hub.up(self.join(node, pid), master=_BRIDGE)
        self.address(node)

    def detach(self, node: int) -> None:
        """Let a node go."""
        self.part(node)


class Pair(_Hub):
    """Two nodes, and nothing between them but their two interfaces."""

    def attach(self, node: int, pid: int) -> None:
        """Join a node to the other one, when that is there."""
        network = self.open(node, pid)
        other = 1 - node
        if other in self.networks:
            network.add_veth("eth0", mac_of(node), self.networks[other], "eth0", mac_of(other))
            self.address(node)
            self.address(other)

    def detach(self, node: int) -> None:
        """Let a node go, and with it the interface of the other."""
        if node in self.networks:
            _remove(self.networks[node], "eth0")
        self.close(node)
