"""ProxyPair: two processes, or one, that carry what goes to other nodes and comes from there."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from drvs.api.info import PairInfo
from drvs.base.errors import NotRunning, Unreachable
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
