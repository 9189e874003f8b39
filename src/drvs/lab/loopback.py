"""The network of a lab without namespaces: every node has a loopback address, and a relay stands in for its peers.

Node A finds B at a port of A's own address. What arrives there by TCP or UDP is passed on to B's real address, seen
from where B finds A, so that each knows the other by one address in both directions.
"""

from __future__ import annotations

import random
import resource
import socket

from drvs.daemon.loop import Loop
from drvs.lab.datagrams import DatagramRelay
from drvs.lab.links import Link, Links
from drvs.lab.spec import PORT, Spec
from drvs.lab.streams import StreamRelay

_TRIES = 200


def free_network() -> int:
    """Return a number such that the addresses 127.NUMBER.0.x are not in use."""
    for _ in range(_TRIES):
        number = random.randint(64, 127)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((f"127.{number}.0.1", PORT))
                udp.bind((f"127.{number}.0.1", PORT))
                return number
            except OSError:
                continue
    raise OSError(f"no address 127.x.0.1 has its port {PORT} free")


class Loopback:
    """Stands in for each node at each other one."""

    def __init__(self, loop: Loop, spec: Spec, links: Links) -> None:
        self._streams: list[StreamRelay] = []
        self._datagrams: list[DatagramRelay] = []
        if spec.direct:
            return
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for link in links:
            self._stand_in(loop, spec, link)

    def _stand_in(self, loop: Loop, spec: Spec, link: Link) -> None:
        ends = ((link.a, link.b), (link.b, link.a))
        seen = {a: (spec.host(a), spec.relay_port(a, b)) for a, b in ends}
        real = {a: (spec.host(a), PORT) for a, _ in ends}
        self._streams += [StreamRelay(loop, link, seen[a], real[b]) for a, b in ends]
        self._datagrams.append(DatagramRelay(loop, link, [(seen[a], real[a]) for a, _ in ends]))

    def attach(self, node: int, pid: int) -> None:
        """Nothing to do: the relay is there before the nodes."""

    def detach(self, node: int) -> None:
        """Nothing to do: connections to it break by themselves."""

    def changed(self, link: Link) -> None:
        """A link was cut or healed: let its connections stop, or go on."""
        for relay in self._streams:
            if relay.link is link:
                relay.changed()
