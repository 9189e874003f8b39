"""ProxyPair: two processes, or one, that carry what goes to other nodes and comes from there.

    with node.bind_proxies("wire", 0) as pair:
        node.node_up("far", 1, pair.px)
        pair.connect()
        while True:
            send_over_some_network(pair.get_remote().to_record())

and at the other end of it ``pair.put_local(Command.from_record(record))``. What is under way between nodes is the
core's to know: a proxy only carries.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from drvs.api.carrier import Carrier
from drvs.api.command import Command
from drvs.api.info import PairInfo
from drvs.base.codes import Code
from drvs.base.errors import NotRunning, Unreachable, make_error
from drvs.base.flags import Connection

if TYPE_CHECKING:
    from drvs.api.node import Node


class ProxyPair:
    """A registered proxy pair; from `Node.bind_proxies` or `Node.proxy_pair`.

    As a context manager, a pair that was registered there is forgotten at the end of the ``with`` statement.

    Attributes:
        node: the node it was reached through.
        px: its number.
        name: its name.
    """

    def __init__(self, node: Node, px: int, name: str, *, owned: bool = False) -> None:
        self.node = node
        self.px = px
        self.name = name
        self._owned = owned
        self._carriers: dict[str, Carrier] = {}

    def __repr__(self) -> str:
        return f"<ProxyPair {self.px} {self.name!r} of node {self.node.id}>"

    def __enter__(self) -> ProxyPair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned:
            try:
                self.unbind()
            except (Unreachable, NotRunning):
                pass  # somebody did it before

    def connect(self, *, sender: bool = True, receiver: bool = True, node: int | None = None) -> None:
        """Tell that the pair is connected: messages to its nodes may go, once both of its sides are.

        Args:
            sender, receiver: which side this is about.
            node: only the connection to this node, of a pair that leads to several.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Unreachable: the pair is not registered, or does not lead to that node.

        Canonical: mnx_proxy_conn (guide 5.1.2)
        """
        self._tell(sender, Connection.CONNECT_SENDER, node)
        self._tell(receiver, Connection.CONNECT_RECEIVER, node)

    def disconnect(self, *, sender: bool = True, receiver: bool = True, node: int | None = None) -> None:
        """Tell that it is not: what is under way there ends with Unreachable (NOTCONN), and so does what comes after.

        Args:
            sender, receiver, node: as for `connect`.

        Canonical: mnx_proxy_conn (guide 5.1.2)
        """
        self._tell(sender, Connection.DISCONNECT_SENDER, node)
        self._tell(receiver, Connection.DISCONNECT_RECEIVER, node)

    def _tell(self, wanted: bool, status: Connection, node: int | None) -> None:
        if wanted:
            self.node.client.call("proxy_conn", px=self.px, status=int(status), node=node)

    def info(self) -> PairInfo:
        """Return the pair's processes, what is connected, and the nodes that it leads to.

        Raises:
            Unreachable: it is not registered any more.

        Canonical: mnx_getproxyinfo (guide 5.1.4)
        """
        return PairInfo.from_row(self.node.client.call("getproxyinfo", px=self.px).fields)

    def unbind(self) -> None:
        """Forget the pair: its nodes are reached no longer.

        What is under way there ends with Unreachable (NOPROXY).

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Unreachable: it is not registered any more.

        Canonical: mnx_proxy_unbind (guide 5.1.3)
        """
        self.node.client.call("proxy_unbind", px=self.px)
        self.close()

    # ---- carrying

    @property
    def sender(self) -> Carrier:
        """What the sender works with: many commands at a time, as they are on the wire.

        Raises:
            OutOfRange: this process is not the pair's sender.
            Unreachable: the pair is not registered.
        """
        return self._carrier("sender")

    @property
    def receiver(self) -> Carrier:
        """What the receiver works with.

        Raises:
            OutOfRange: this process is not the pair's receiver.
            Unreachable: the pair is not registered.
        """
        return self._carrier("receiver")

    def _carrier(self, role: str) -> Carrier:
        if role not in self._carriers:
            self._carriers[role] = Carrier(self.node.client, self.px, role)
        return self._carriers[role]

    def get_remote(self, timeout: float | None = None) -> Command:
        """Take the oldest command that goes to a node of this pair, and wait for one.

        From then on it is this process's to deliver: nobody else has it any more.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            WouldBlock: there is none, and timeout is 0.
            TimedOut: there was none in time.
            OutOfRange: this process is not the pair's sender.
            Unreachable: the pair is not registered, or was unbound meanwhile.

        Canonical: mnx_get2rmt, mnx_get2rmt_T (guide 5.1.10)
        """
        sender = self.sender
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            for _, record in sender.take(1):
                return Command.from_record(record)
            if not sender.core.arm() or sender.wait(0):
                continue
            left = sender.LONGEST_SLEEP if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise make_error(Code.AGAIN if timeout == 0 else Code.TIMEDOUT, "get_remote", node=self.node.id)
            sender.wait(left)

    def put_local(self, command: Command) -> None:
        """Deliver a command that came from another node.

        Whatever goes wrong at its destination goes back to its source as an acknowledgement, by itself.

        Raises:
            OutOfRange: this process is not the pair's receiver, or no such VM.
            NotRunning: the VM does not run here.
            Unreachable: the command is not for this node, comes from one where the VM does not run, or from one that
                this pair is not connected to.
            ValueError: its payload is not what it asks for.

        Canonical: mnx_put2lcl (guide 5.1.11)
        """
        for _, code in self.receiver.put(command.to_record()):
            raise make_error(code, "put_local", peer=command.dst, vm=command.vmid, node=command.snode)

    def close(self) -> None:
        """Let go of all regions; the pair stays registered."""
        while self._carriers:
            self._carriers.popitem()[1].close()
