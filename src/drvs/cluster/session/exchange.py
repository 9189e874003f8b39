"""One node's sessions: the one thing that all its connections share."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from drvs.cluster.session.events import Event
from drvs.cluster.session.handshake import Credentials
from drvs.cluster.session.identity import Identity, Settings
from drvs.cluster.session.session import NEVER, Session
from drvs.cluster.wire.frames import FrameError
from drvs.cluster.wire.hello import Resume

if TYPE_CHECKING:
    from drvs.cluster.session.connection import Connection


def admit_all(peer: Identity) -> str:
    """Let every node in that has proved to be of the cluster."""
    return ""


class Exchange:
    """This node, and its session with each peer.

    Args:
        local: Who it is.
        credentials: What it proves that with; None: nothing is proved and nothing is encrypted.
        settings: Bounds.
        wall: The time in seconds since 1970, for certificates.
        admit: Says why a peer that has proved who it is is not wanted, "" if it is.
    """

    def __init__(
        self,
        local: Identity,
        credentials: Credentials | None = None,
        settings: Settings | None = None,
        *,
        wall: Callable[[], float] = time.time,
        admit: Callable[[Identity], str] = admit_all,
    ) -> None:
        self.local = local
        self.credentials = credentials
        self.settings = settings or Settings()
        self.wall = wall
        self.admit = admit
        self.sessions: dict[int, Session] = {}
        #: Connections that ended because of something that happened elsewhere. Their owner says what they still have
        #: to say, closes their transport, and takes them out.
        self.finished: list[Connection] = []

    def session(self, node: int) -> Session:
        """Return the session with a node, a new one if there is none or the last one is over."""
        found = self.sessions.get(node)
        if found is None or found.over:
            found = self.sessions[node] = Session(node, self.settings)
        return found

    def take_up(
        self, connection: "Connection", peer: Identity, theirs: Resume, now: float
    ) -> tuple[Session, list[Event]]:
        """Return the session that a listener's connection is to carry, claimed for it, and what that led to.

        Raises:
            FrameError: This connection is not to be; another one crosses it.
        """
        session = self.session(peer.node)
        crossing = session.connection is not None and not session.open and session.connection.dialled
        if crossing and self.local.node < peer.node:
            raise FrameError("both nodes dialled at once: the other connection stays")
        events: list[Event] = []
        if reason := session.why_not(peer, theirs):
            events += session.end(reason)
            session = self.session(peer.node)
        return session, events + session.claim(connection, now)

    @property
    def deadline(self) -> float:
        """When `tick` should be called at the latest, for the sessions that wait for a connection."""
        return min((s.deadline for s in self.sessions.values() if not s.open), default=NEVER)

    def tick(self, now: float) -> list[Event]:
        """End the sessions that have waited too long for a connection. Connections have a `tick` of their own."""
        return [event for s in list(self.sessions.values()) if not s.open for event in s.tick(now)]
