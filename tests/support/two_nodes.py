"""Two real nodes on this machine, and the smallest proxies that join them: they move records over a socketpair.

with two_nodes() as nodes, joined(nodes) as pair:
    server = pair.bound(1, 5, serve)         # a process of node 1, at endpoint 5 of the VM that both have
    client = pair.bound(0, None, call, 5)    # and one of node 0
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drvs
from drvs.core import refuse_command
from support import children, nodes
from support.children import Child, spawn
from support.nodes import RunningNode

VMID, PX = 0, 0


@contextlib.contextmanager
def two_nodes() -> Iterator[list[RunningNode]]:
    """Nodes 0 and 1, each with a stripe of the user slots."""
    folder = Path(tempfile.mkdtemp(prefix="drvs-"))
    folder.chmod(0o755)
    running = [
        nodes.start(folder / str(number), node=number, size={"stripe": number, "stripes": 2}) for number in (0, 1)
    ]
    try:
        yield running
    finally:
        children.close_all()
        for node in running:
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Joined:
    """A VM that both nodes have, and the proxies between them."""

    def __init__(self, running: list[RunningNode]) -> None:
        self.running = running
        self.nodes = [drvs.connect(node.runtime_dir) for node in running]
        self.vms = [node.create_vm("both", vmid=VMID, nodes=(0, 1)) for node in self.nodes]
        ends = socket.socketpair()
        self.proxies = [
            spawn(carry, os.fspath(node.runtime_dir), 1 - number, ends[number], ends[1 - number])
            for number, node in enumerate(running)
        ]
        for end in ends:
            end.close()
        for proxy in self.proxies:
            proxy.wait_line("up")

    def close(self) -> None:
        """End what is left: the processes first, so that nobody sees the rest go."""
        children.close_all()
        for vm in self.vms:
            with contextlib.suppress(drvs.NotRunning):
                vm.end()
        for node in self.nodes:
            node.close()

    def bound(self, number: int, slot: int | None, function: Callable[..., Any], *args: Any, name: str = "") -> Child:
        """Start a process of a node that is bound and runs function(me, endpoint, *args); returns when it is bound."""
        child = spawn(_bound, os.fspath(self.running[number].runtime_dir), slot, name, function, args)
        child.endpoint = int(child.wait_line())  # type: ignore[attr-defined]
        return child

    def known(self, number: int, endpoint: int, name: str = "far") -> int:
        """Bind a process of the other node in a node's VM, as its directory would."""
        return int(self.vms[number].rmtbind(name, endpoint, 1 - number))


@contextlib.contextmanager
def joined(running: list[RunningNode]) -> Iterator[Joined]:
    """A VM on both nodes, with proxies, for one test."""
    pair = Joined(running)
    try:
        yield pair
    finally:
        pair.close()


def _bound(me: Any, runtime_dir: str, slot: int | None, name: str, function: Callable[..., Any], args: Any) -> Any:
    with drvs.connect(runtime_dir) as node, node.vm(VMID).bind(slot, name) as endpoint:
        me.say(int(endpoint.id))
        return function(me, endpoint, *args)


# ---- the proxies ---------------------------------------------------------------------------------------------------


def carry(me: Any, runtime_dir: str, other: int, link: socket.socket, others_end: socket.socket) -> None:
    """Be both proxies of a node: what it has for the other one goes into the link, what comes out is delivered."""
    others_end.close()
    node = drvs.connect(runtime_dir)
    with node.bind_proxies("wire", PX) as pair:
        node.node_up(f"node{other}", other, PX)
        pair.connect()
        me.say("up")
        Mover(pair, link).run()


class Mover:
    """Moves records until the link ends."""

    def __init__(self, pair: drvs.ProxyPair, link: socket.socket) -> None:
        self.pair = pair
        self.link = link
        self.coming = bytearray()
        link.setblocking(True)

    def run(self) -> None:
        """Send and deliver by turns; sleep when there is neither."""
        sender, _ = self.pair.sender, self.pair.receiver  # both now: noded may be killed before the first record comes
        poll = select.poll()
        for fd in (sender.fileno(), self.link.fileno()):
            poll.register(fd, select.POLLIN)
        while True:
            going = b"".join(record for _, record in sender.take(256))
            if going:
                self.send(going)
                self.put()
            elif sender.core.arm():
                self.pair.receiver.core.rest()
                ready = dict(poll.poll(1000))
                sender.wait(0)
                if self.link.fileno() in ready and not self.deliver():
                    return

    def send(self, data: bytes) -> None:
        """Send, and read meanwhile what fills the link in the other direction."""
        view = memoryview(data)
        while view:
            readable, writable, _ = select.select([self.link], [self.link], [])
            if writable:
                view = view[self.link.send(view[:65536], socket.MSG_DONTWAIT) :]
            if readable:
                self.coming += self.link.recv(1 << 16)

    def deliver(self) -> bool:
        """Take what has come; False at the end of the link."""
        data = self.link.recv(1 << 20)
        self.coming += data
        self.put()
        return bool(data)

    def put(self) -> None:
        """Put the whole records that have come."""
        end = 0
        while end + 4 <= len(self.coming):
            length = int.from_bytes(self.coming[end : end + 4], "little")
            if end + length > len(self.coming):
                break
            end += length
        whole = bytes(self.coming[:end])
        del self.coming[:end]
        for offset, code in self.pair.receiver.put(whole) if whole else ():
            refusal = refuse_command(whole[offset:], code)
            if refusal is not None:
                self.send(refusal[1])
