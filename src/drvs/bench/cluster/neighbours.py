"""All nodes of a cluster file but one, linked to that one only: `python -m drvs.bench.cluster.neighbours FILE NODE`."""

from __future__ import annotations

import secrets
import select
import sys
import time

from drvs.cluster.config import Cluster, NodeEntry, load
from drvs.cluster.links import Links
from drvs.cluster.session import Established, Exchange, Identity
from drvs.cluster.transports.tcp import Tcp
from drvs.cluster.wire.hello import Limits

DIALS = 50
"""Connections begun at one time: fewer than wait at a listener."""


def neighbour(cluster: Cluster, entry: NodeEntry, server: NodeEntry, epoll: select.epoll) -> Links:
    """Be a node that knows one other."""
    limits = Limits(nr_nodes=len(cluster.node))
    start = secrets.randbits(62) | 1
    identity = Identity(node=entry.id, name=entry.name, cluster=cluster.name, incarnation=start, limits=limits)
    links = Links(Exchange(identity), [Tcp()], epoll)
    links.add_peer(server.id, server.addresses)
    return links


def main() -> None:
    """Connect them all, say so, and keep the connections until killed."""
    cluster, number = load(sys.argv[1]), int(sys.argv[2])
    server = cluster.entry(number)
    waiting = [entry for entry in cluster.node if entry.id != number]
    epoll, everybody, connected = select.epoll(), list[Links](), 0
    missing = len(waiting)
    while True:
        while waiting and len(everybody) - connected < DIALS:
            everybody.append(neighbour(cluster, waiting.pop(), server, epoll))
        before, connected = connected, connected + turn(epoll, everybody)
        if before < missing <= connected:
            print("ready", flush=True)


def turn(epoll: select.epoll, everybody: list[Links]) -> int:
    """Do what is to be done; return how many connections were established."""
    established, now = 0, time.monotonic()
    for links in everybody:
        links.flush(now)
        if links.deadline <= now:
            links.tick(now)
    for fd, mask in epoll.poll(0.05, 256):
        links = next(links for links in everybody if links.owns(fd))
        established += sum(isinstance(event, Established) for event in links.ready(fd, mask, now))
    return established


if __name__ == "__main__":
    main()
