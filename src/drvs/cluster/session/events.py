"""What a session tells its owner: for each peer Established, then Records and Control, then Broken or Ended."""

import msgspec

from drvs.cluster.session.identity import Identity


class Established(msgspec.Struct, gc=False):
    """There is a connection to the peer.

    With `resumed`, the session goes on: nothing was lost and nothing will be repeated. Without, it is a new one.
    """

    node: int
    peer: Identity
    resumed: bool


class Records(msgspec.Struct, gc=False):
    """Records have arrived: whole ones, in order, exactly once.

    `blob` may look into a buffer that the transport uses again: it is good until the connection is given its next
    bytes. Copy what is to last longer.
    """

    node: int
    blob: bytes | memoryview
    count: int


class Control(msgspec.Struct, gc=False):
    """A control message has arrived."""

    node: int
    kind: int
    body: bytes


class Broken(msgspec.Struct, gc=False):
    """The connection is gone. The session waits for another, and keeps what was not acknowledged."""

    node: int
    reason: str


class Ended(msgspec.Struct, gc=False):
    """The session is over. What was not acknowledged may or may not have arrived, and will not be sent again."""

    node: int
    reason: str


Event = Established | Records | Control | Broken | Ended
