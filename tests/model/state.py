"""What the model remembers of a VM: plain objects and lists where the core has words and links."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.numbers import ANY, NONE, Code, In, Rts

NO_FLAGS = In(0)


@dataclass(frozen=True)
class Limits:
    """Sizes of the VM."""

    nr_procs: int = 5
    nr_tasks: int = 3
    nr_sysprocs: int = 5
    notes: int = 3
    copy_len_max: int = 4096

    @property
    def members(self) -> int:
        return self.nr_tasks + self.nr_procs

    @property
    def gen_size(self) -> int:
        return self.nr_tasks + 35534 + 1


@dataclass(frozen=True)
class Result:
    """How a call ended; `source` and `body` (type and payload) are there if a message was received."""

    code: Code
    source: int | None = None
    body: bytes | None = None
    flags: In = NO_FLAGS
    call: int = 0


@dataclass
class Outcome:
    """What one transition gives back: its code, who became runnable, and the result of a call that is done."""

    code: Code
    wakes: list[int] = field(default_factory=list)
    result: Result | None = None


@dataclass
class Priv:
    """Privileges; the maps are sets of ids, as Python ints."""

    id: int
    warn: int
    level: int
    traps: int
    calls: int
    alarm: int
    ipc_from: int
    ipc_to: int


@dataclass
class Record:
    """A notification from a user slot, or with a value."""

    index: int  # in the pool
    src: int
    src_ep: int
    value: int
    posthumous: bool = False  # sent at the death of its source, and not dropped with what that sent before


@dataclass
class Copy:
    """The copy a slot runs: its parties, and who they were when it began."""

    src: int
    dst: int
    src_incarnation: int
    dst_incarnation: int


@dataclass
class Slot:
    """One process of the VM."""

    index: int
    bound: bool = False
    closing: bool = False
    remote: bool = False
    backup: bool = False
    endpoint: int = NONE
    generation: int = 0
    incarnation: int = 0
    sending: int | None = None  # slot it queues at
    receiving: int | None = None  # endpoint (or ANY) it waits for, now or once it has been heard
    waits_since: int = 0  # orders those who wait for one slot
    requests_only: bool = False
    copying: bool = False
    call: int = 0  # number of its request that is out
    calls: int = 0  # requests it has made in all
    body: bytes = b""  # of the message it queues with
    queue: list[int] = field(default_factory=list)  # slots that want to send to it, oldest first
    bits: set[int] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    woken: bool = False
    copy: Copy | None = None
    result: Result | None = None  # of a blocked call that ended and that its owner has not yet read
    verdict: Code = Code.SHUTDOWN  # of the unbind under way
    priv: Priv | None = None

    @property
    def alive(self) -> bool:
        """It can be sent to: bound, and not on its way out."""
        return self.bound and not self.closing

    @property
    def receives(self) -> bool:
        """It waits for a message, and all it has to say has been heard."""
        return self.receiving is not None and self.sending is None

    @property
    def blocked(self) -> bool:
        """Its own call has not ended."""
        return self.receiving is not None or self.sending is not None

    @property
    def runnable(self) -> bool:
        return self.alive and not self.blocked and not self.copying

    @property
    def in_reply_half(self) -> bool:
        return self.receives and self.call != 0

    @property
    def rts(self) -> Rts:
        """The flags that the core must show."""
        if not self.bound:
            return Rts.FREE
        flags = Rts(0)
        flags |= Rts.SENDING if self.sending is not None else Rts(0)
        flags |= Rts.RECEIVING if self.receiving is not None else Rts(0)
        flags |= Rts.ONCOPY if self.copying else Rts(0)
        flags |= Rts.REMOTE if self.remote and not self.closing else Rts(0)
        return flags

    def waits_for(self, endpoint: int) -> bool:
        """It would take a message from that endpoint."""
        return self.receiving in (ANY, endpoint)
