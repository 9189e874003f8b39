"""Who a node is, and the bounds within which it talks."""

import msgspec

from drvs.base import limits
from drvs.cluster.wire.frames import VERSION
from drvs.cluster.wire.hello import Limits


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A node as its peers see it.

    `incarnation` is random and a new one for each start of its process: a peer with another one has forgotten
    everything.
    """

    node: int
    name: str
    cluster: str
    incarnation: int
    limits: Limits = Limits()
    #: The lowest and the highest version of the frame format that it speaks.
    versions: tuple[int, int] = (VERSION, VERSION)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds and sizes in bytes; `base.limits` says what each one bounds."""

    keepalive_s: float = limits.LINK_KEEPALIVE_MS / 1000
    silence_s: float = limits.LINK_SILENCE_MS / 1000
    resume_s: float = limits.LINK_RESUME_MS / 1000
    hello_s: float = limits.LINK_HELLO_MS / 1000
    hello_bytes: int = limits.LINK_HELLO_BYTES
    frame_bytes: int = limits.LINK_FRAME_BYTES
    batch_bytes: int = limits.LINK_BATCH_BYTES
    backlog_bytes: int = limits.LINK_BACKLOG_BYTES
    backlog_units: int = limits.LINK_BACKLOG_UNITS
    ack_bytes: int = limits.LINK_ACK_BYTES
    ack_s: float = limits.LINK_ACK_MS / 1000
    window: int = limits.DATAGRAM_WINDOW
    window_bytes: int = limits.DATAGRAM_WINDOW_BYTES
    datagram_ack_s: float = limits.DATAGRAM_ACK_MS / 1000
    retry_s: float = limits.DATAGRAM_RETRY_MS / 1000
    retry_min_s: float = limits.DATAGRAM_RETRY_MIN_MS / 1000
    retry_max_s: float = limits.DATAGRAM_RETRY_MAX_MS / 1000
