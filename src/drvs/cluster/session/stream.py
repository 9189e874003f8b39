"""A connection over a stream of bytes: tcp, plain or in TLS."""

from drvs.cluster.session.connection import Connection
from drvs.cluster.session.events import Event
from drvs.cluster.session.session import Buffer
from drvs.cluster.wire.frames import FrameError


class StreamConnection(Connection):
    """Frames, one after the other.

    A transport that reads into a buffer of its own may put `partial` in front of what it reads, set it to b"", and
    give both to `receive` as one: then nothing is copied but such beginnings.
    """

    def receive(self, data: Buffer, now: float) -> list[Event]:
        """Take bytes that have arrived, as they come."""
        events: list[Event] = []
        if self.over:
            return events
        if self.partial:
            data = b"".join((self.partial, data))
        try:
            self._take_frames(data, now, events)
        except FrameError as error:
            events += self._failed(error, now)
        return events

    @property
    def wants_output(self) -> bool:
        """Whether `output` has something to give."""
        return bool(self._own) or (self.open and self.session is not None and self.session.wants_output)

    def output(self, limit: int, now: float) -> list[Buffer]:
        """Return buffers to be sent in a row: one frame if there is one, and more up to `limit` bytes."""
        own: list[Buffer] = []
        if self._own:
            own, self._own = list(self._own), []
        if self.session is not None and self.session.connection is self:
            return own + self.session.output(limit, now) if own else self.session.output(limit, now)
        return own
