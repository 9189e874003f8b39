"""Sessions between nodes, without I/O and without a clock: bytes and the time go in, bytes and events come out.

    Exchange            one node: who it is, and its session with each peer
    Session             one peer: numbers, acknowledgements, what to send again; survives connections
    StreamConnection    one connection that carries a stream of bytes
    DatagramConnection  one that carries datagrams, which may be lost, repeated, reordered or forged
    Handshake           who the peer is

A connection is fed by its transport: `receive(data, now)` and `tick(now)` return events, `output(limit, now)` returns
what to send, `broken(reason, now)` says that it is gone, and `over` says why it should be closed. When the peer has
proved who it is, the connection takes up the exchange's session with that peer; the session gives it records to carry
until it breaks, and the next connection goes on where it ended.
"""

from drvs.cluster.session.connection import Connection
from drvs.cluster.session.datagram import DatagramConnection
from drvs.cluster.session.events import Broken, Control, Ended, Established, Event, Records
from drvs.cluster.session.exchange import Exchange
from drvs.cluster.session.identity import Identity, Settings
from drvs.cluster.session.session import BacklogFull, Session
from drvs.cluster.session.stream import StreamConnection

__all__ = [
    "BacklogFull",
    "Broken",
    "Connection",
    "Control",
    "DatagramConnection",
    "Ended",
    "Established",
    "Event",
    "Exchange",
    "Identity",
    "Records",
    "Session",
    "Settings",
    "StreamConnection",
]
