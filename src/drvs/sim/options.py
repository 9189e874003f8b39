"""What a simulation may be told: every probability, time and size, and what each one does.

Times are virtual. A history takes as many events as it is given, however long its seconds are; these defaults make
most of them traffic, and put several accidents of each kind into two thousand.
"""

import random

import msgspec

#: The accidents, in the words of `--without`.
KINDS = ("loss", "cut", "break", "slow", "stall", "death", "proxies", "node")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation. Rates are per virtual second; whatever is not drawn by the seed is as it stands here."""

    # ---- how large ----
    #: Nodes of the cluster.
    nodes: int = 5
    #: VMs that span all nodes. Larger clusters than `span` have one for each `span / 2` nodes instead, each spanning
    #: `span`.
    vms: int = 1
    #: Nodes that one VM spans at most.
    span: int = 8
    #: Processes that each node has in each of its VMs.
    processes: int = 5
    #: Events of the history, before it is brought to rest.
    events: int = 2000
    #: End the history once that many messages were received; 0: by events alone.
    messages: int = 0

    # ---- what processes do ----
    #: Mean seconds between two calls of one process.
    think_s: float = 0.02
    #: Probability that a call that may wait has a time limit.
    timed: float = 0.5
    #: Mean seconds of a time limit.
    timeout_s: float = 0.3
    #: Probability that a call does not wait at all.
    nowait: float = 0.06
    #: Probability that a process looks a name up again before it uses an endpoint that it knows.
    lookup: float = 0.1
    #: Only in a history that ends by messages, which in a large cluster otherwise soon is nothing but signs of life
    #: between processes that wait for each other: the most seconds for which a process has patience with a call without
    #: a limit, the mean seconds between two calls, the probability that it does what servers and clients mostly do
    #: (answer, serve, and call servers), and the one that the server is of its own node.
    patience_s: float = 0.5
    hurry_s: float = 0.001
    diligence: float = 0.95
    home: float = 0.5
    #: Bytes of each process's memory, and so of a copy at most.
    memory_bytes: int = 500
    #: Bytes of one piece of a copy.
    copy_buf: int = 128
    #: Notifications that may wait in a VM at one node.
    notes: int = 256

    # ---- the network ----
    #: Least and greatest seconds that anything takes on its way; each direction between two nodes has a range of its
    #: own within.
    delay_s: tuple[float, float] = (0.0005, 0.015)
    #: Probability that something takes ten times as long, and so is overtaken.
    straggle: float = 0.02
    #: Probability that a datagram is lost, and that it arrives twice.
    loss: float = 0.05
    duplicate: float = 0.03
    #: Probability that what a stream is given arrives in two parts.
    split: float = 0.2
    #: Bytes that a stream holds on their way before its sender has to wait.
    stream_window: int = 4096
    #: Longest datagram.
    datagram_bytes: int = 600
    #: Probability that a port has no room for a datagram at the moment.
    no_room: float = 0.02
    #: Probability that two nodes talk by datagrams, otherwise by streams.
    datagrams: float = 0.5

    # ---- the proxies ----
    #: Least and greatest seconds from a doorbell, or an arrival, until the proxies look.
    service_s: tuple[float, float] = (0.00001, 0.001)
    #: Commands that they take at one time at most.
    take: int = 8
    #: Seconds after which a session says that it is there, counts as broken, and is given up.
    keepalive_s: float = 1.0
    silence_s: float = 2.5
    resume_s: float = 5.0
    #: Seconds that a new connection has to prove who it is.
    hello_s: float = 1.5
    #: Bytes not acknowledged after which a link is full.
    backlog_bytes: int = 8192

    # ---- accidents ----
    #: Two nodes, or one and all others, cannot reach each other; in one direction or in both.
    cut: float = 0.4
    cut_s: float = 1.0
    #: A stream breaks; what is on its way is lost.
    break_: float = msgspec.field(default=1.0, name="break")
    #: A direction between two nodes becomes slower by a factor of up to 30.
    slow: float = 0.4
    slow_s: float = 2.0
    #: A node's proxies get no CPU.
    stall: float = 0.6
    stall_s: float = 0.3
    #: A process dies; another one takes its place later.
    death: float = 0.8
    reborn_s: float = 0.3
    #: A node's proxies are killed, and started again.
    proxies: float = 0.12
    #: A node is killed, or loses its power, and comes back with nothing but its number and its VMs.
    node: float = 0.12
    #: Mean seconds until killed proxies, or a node, are back.
    back_s: float = 0.5

    # ---- looking ----
    #: Events between two audits of a region, each in its turn; 0: only at rest.
    audit_every: int = 20
    #: Virtual seconds within which a healed cluster must come to rest.
    rest_s: float = 120.0
    #: Lines of the trace that are kept; 0: all.
    trace_lines: int = 400

    def drawn(self, seed: int) -> "Options":
        """Return the options of one seed: some accidents do not happen in it, others all the time."""
        dice = random.Random(f"{seed}/weather")
        drawn = {name: getattr(self, name) * dice.choice((0, 0, 0.5, 1, 1, 3)) for name in _FIELDS}
        loss = dice.choice((0.0, 0.0, 1.0, 1.0, 4.0))
        return msgspec.structs.replace(
            self,
            **drawn,
            loss=min(0.5, self.loss * loss),
            duplicate=min(0.5, self.duplicate * loss),
            datagrams=dice.choice((0.0, self.datagrams, 1.0)),
            think_s=self.think_s * dice.choice((0.1, 1, 1, 3)),
            timed=self.timed * dice.choice((0, 1, 1, 2)),
            take=dice.choice((1, self.take, 64)),
        )

    def without(self, kinds: tuple[str, ...]) -> "Options":
        """Return options in which some kinds of accidents do not happen.

        Raises:
            ValueError: There is no such kind.
        """
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"there is no accident {', '.join(unknown)}: they are {', '.join(KINDS)}")
        changes: dict[str, float] = {("break_" if kind == "break" else kind): 0.0 for kind in kinds}
        if "loss" in kinds:
            changes["duplicate"] = 0.0
        return msgspec.structs.replace(self, **changes)


#: More events than a history that ends by messages will have.
ENDLESS = 1 << 62

_FIELDS = ("cut", "break_", "slow", "stall", "death", "proxies", "node")
