"""The kernel core for Python: what csrc/python/ binds of csrc/core/.

Numbers here are the core's own (codes are negative or 0, ANY is 31438); the layers above give them types and
names. The file is long because a compiled module has one stub: most of it is the fields of a message, one by
one.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, TypeAlias

from typing_extensions import Buffer

Bytes: TypeAlias = bytes | bytearray | memoryview
Privileges: TypeAlias = tuple[int, int, int, int, int, int, int, int]
"""(id, warn, level, traps, calls, alarm_ns, ipc_from, ipc_to); the maps have bit i for the system slot with id i."""

ErrorFactory: TypeAlias = Callable[[int, str, int, int | None, Endpoint], BaseException]
CopyFallback: TypeAlias = Callable[[Endpoint, int, int, int, int, int, int, int], int]
ProxyFallback: TypeAlias = Callable[[Region, int, int, int, int, int, int, int], int]

VERSION: Final[str]
CODES: Final[dict[str, int]]
"""Every code the core can return, by short name; the last three (BLOCKED, CONTENDED, MORE) only from the
stepping face."""
LAYOUT: Final[dict[str, int]]
"""Byte offsets of every field in shared memory ("slot.rts", "header.lock", "note.dst", "priv.calls"), sizes
("slot_bytes", "note_bytes", "header_bytes") and "version": for tests that damage a region. Where the tables
start is in Region.layout."""

ANY: Final[int]
NOBODY: Final[int]
SELF: Final[int]
HARDWARE: Final[int]
SYSTEM: Final[int]

SEND: Final[int]
RECEIVE: Final[int]
NOTIFY: Final[int]
SENDREC: Final[int]
RCVRQST: Final[int]
REPLY: Final[int]
VCOPY: Final[int]
RELAY: Final[int]

ROUTE_VM: Final[int]
ROUTE_CONNECTED: Final[int]
ROUTE_PX_SHIFT: Final[int]
WIRE_HEADER: Final[int]
WIRE_DATA_MAX: Final[int]
WIRE_RECORD_MAX: Final[int]
CMD_SEND_MSG: Final[int]
CMD_NTFY_MSG: Final[int]
CMD_SNDREC_MSG: Final[int]
CMD_REPLY_MSG: Final[int]
CMD_COPYIN_DATA: Final[int]
CMD_COPYOUT_RQST: Final[int]
CMD_COPYLCL_RQST: Final[int]
CMD_COPYRMT_RQST: Final[int]
CMD_COPYIN_RQST: Final[int]
CMD_HELLO: Final[int]
CMD_SHUTDOWN: Final[int]
CMD_CANCEL: Final[int]
CMD_ACK: Final[int]
CMD_SEND_ACK: Final[int]
CMD_NTFY_ACK: Final[int]
CMD_SNDREC_ACK: Final[int]
CMD_REPLY_ACK: Final[int]
CMD_COPYIN_ACK: Final[int]
CMD_COPYOUT_DATA: Final[int]
CMD_COPYLCL_ACK: Final[int]
CMD_COPYRMT_ACK: Final[int]
CMD_LAST: Final[int]
CMD_TRACE: Final[int]
CMD_NOACK: Final[int]

BLOCKED: Final[int]
CONTENDED: Final[int]
MORE: Final[int]

RTS_FREE: Final[int]
RTS_SENDING: Final[int]
RTS_RECEIVING: Final[int]
RTS_ONCOPY: Final[int]
RTS_MIGRATING: Final[int]
RTS_REMOTE: Final[int]
RTS_RMTOPER: Final[int]
RTS_HELD: Final[int]
RTS_REQUESTS: Final[int]
RTS_CLOSING: Final[int]
MISC_PROXY: Final[int]
MISC_NOTIFY: Final[int]
MISC_BACKUP: Final[int]
MISC_LEADER: Final[int]
MISC_WOKENUP: Final[int]
IN_NOTIFY: Final[int]
IN_REQUEST: Final[int]
IN_TRACE: Final[int]
CALL_NOWAIT: Final[int]
CALL_TRACE: Final[int]
VM_RUNNING: Final[int]
VM_ENDED: Final[int]
VM_CORRUPT: Final[int]
BIND_LOCAL: Final[int]
BIND_REMOTE: Final[int]
BIND_BACKUP: Final[int]
NOTIFY_TYPE: Final[int]
NAME_BYTES: Final[int]
KERNEL_SLOTS: Final[int]
LAYOUT_VERSION: Final[int]
REDO_PAIRS: Final[int]
WAKES_MAX: Final[int]
NIL: Final[int]

class Message:
    """Hold one message: 64 bytes as they travel, and the envelope that the kernel wrote beside them.

    The payload can be read and written through the views of the guide (m1_i1 … mA_ia) on a 64-bit machine:
    integers are checked against their width (OverflowError), pointers are integers from 0 to 2**64 - 1,
    characters are bytes padded with zeros, m9_t1 is (seconds, nanoseconds). Two messages are equal if their 64
    bytes are. A message is mutable and has no hash.

    The buffer protocol gives all 64 bytes, writable.

    Canonical: message (guide 3.1.1)
    """

    def __init__(
        self,
        type: int = 0,
        *,
        payload: Bytes = ...,
        trace: Bytes | None = ...,
        m1_i1: int = ...,
        m1_i2: int = ...,
        m1_i3: int = ...,
        m1_p1: int = ...,
        m1_p2: int = ...,
        m1_p3: int = ...,
        m2_i1: int = ...,
        m2_i2: int = ...,
        m2_i3: int = ...,
        m2_l1: int = ...,
        m2_l2: int = ...,
        m2_p1: int = ...,
        m3_i1: int = ...,
        m3_i2: int = ...,
        m3_p1: int = ...,
        m3_ca1: Bytes = ...,
        m4_l1: int = ...,
        m4_l2: int = ...,
        m4_l3: int = ...,
        m4_l4: int = ...,
        m4_l5: int = ...,
        m5_c1: int = ...,
        m5_c2: int = ...,
        m5_i1: int = ...,
        m5_i2: int = ...,
        m5_l1: int = ...,
        m5_l2: int = ...,
        m5_l3: int = ...,
        m6_ca1: Bytes = ...,
        m7_i1: int = ...,
        m7_i2: int = ...,
        m7_i3: int = ...,
        m7_i4: int = ...,
        m7_p1: int = ...,
        m7_p2: int = ...,
        m8_i1: int = ...,
        m8_i2: int = ...,
        m8_p1: int = ...,
        m8_p2: int = ...,
        m8_p3: int = ...,
        m8_p4: int = ...,
        m9_i1: int = ...,
        m9_l1: int = ...,
        m9_t1: Sequence[int] = ...,
        mA_dst: int = ...,
        mA_nr: int = ...,
        mA_ia: Sequence[int] = ...,
    ) -> None: ...
    @property
    def source(self) -> int:
        """Endpoint that sent the message; the kernel writes it at delivery.

        Canonical: m_source (guide 3.1.1)
        """
    type: int
    """What kind of message it is: the application's number, 32 bits. Canonical: m_type (guide 3.1.1)"""
    @property
    def payload(self) -> bytes:
        """The 56 bytes behind the head. Assigning fewer pads them with zeros; more is a ValueError."""
    @payload.setter
    def payload(self, value: Bytes) -> None: ...
    @property
    def data(self) -> memoryview:
        """All 64 bytes, writable."""
    @property
    def is_notify(self) -> bool:
        """Whether it was received as a notification."""
    @property
    def is_request(self) -> bool:
        """Whether its sender waits for an answer (it used sendrec)."""
    @property
    def call(self) -> int:
        """Number of the call that it asks to be answered; 0 if it is no request."""
    @property
    def trace(self) -> bytes | None:
        """W3C trace id that came with it, and goes along when it is sent: 16 bytes, or None."""
    @trace.setter
    def trace(self, value: Bytes | None) -> None: ...
    @property
    def p_nr(self) -> int | None:
        """Process number of a notification's sender; None if it is no notification, or the number did not fit
        its type."""
    @property
    def timestamp(self) -> float | None:
        """When a notification was sent, in seconds since 1970; None if it is no notification."""
    def copy(self) -> Message:
        """Return a new message with the same bytes and envelope."""
    def __copy__(self) -> Message: ...
    def clear(self) -> None:
        """Set all bytes to zero and forget the envelope."""
    def __eq__(self, other: object) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __buffer__(self, flags: int, /) -> memoryview: ...
    m1_i1: int
    m1_i2: int
    m1_i3: int
    m1_p1: int
    m1_p2: int
    m1_p3: int
    m2_i1: int
    m2_i2: int
    m2_i3: int
    m2_l1: int
    m2_l2: int
    m2_p1: int
    m3_i1: int
    m3_i2: int
    m3_p1: int
    @property
    def m3_ca1(self) -> bytes: ...
    @m3_ca1.setter
    def m3_ca1(self, value: Bytes) -> None: ...
    m4_l1: int
    m4_l2: int
    m4_l3: int
    m4_l4: int
    m4_l5: int
    m5_c1: int
    m5_c2: int
    m5_i1: int
    m5_i2: int
    m5_l1: int
    m5_l2: int
    m5_l3: int
    @property
    def m6_ca1(self) -> bytes: ...
    @m6_ca1.setter
    def m6_ca1(self, value: Bytes) -> None: ...
    m7_i1: int
    m7_i2: int
    m7_i3: int
    m7_i4: int
    m7_p1: int
    m7_p2: int
    m8_i1: int
    m8_i2: int
    m8_p1: int
    m8_p2: int
    m8_p3: int
    m8_p4: int
    m9_i1: int
    m9_l1: int
    @property
    def m9_t1(self) -> tuple[int, int]: ...
    @m9_t1.setter
    def m9_t1(self, value: Sequence[int]) -> None: ...
    mA_dst: int
    mA_nr: int
    @property
    def mA_ia(self) -> tuple[int, int, int, int]: ...
    @mA_ia.setter
    def mA_ia(self, value: Sequence[int]) -> None: ...
    def set_m1(
        self, i1: int = ..., i2: int = ..., i3: int = ..., p1: int = ..., p2: int = ..., p3: int = ...
    ) -> None: ...
    def get_m1(self) -> tuple[int, int, int, int, int, int]: ...
    def set_m2(
        self, i1: int = ..., i2: int = ..., i3: int = ..., l1: int = ..., l2: int = ..., p1: int = ...
    ) -> None: ...
    def get_m2(self) -> tuple[int, int, int, int, int, int]: ...
    def set_m3(self, i1: int = ..., i2: int = ..., p1: int = ..., ca1: Bytes = ...) -> None: ...
    def get_m3(self) -> tuple[int, int, int, bytes]: ...
    def set_m4(self, l1: int = ..., l2: int = ..., l3: int = ..., l4: int = ..., l5: int = ...) -> None: ...
    def get_m4(self) -> tuple[int, int, int, int, int]: ...
    def set_m5(
        self, c1: int = ..., c2: int = ..., i1: int = ..., i2: int = ..., l1: int = ..., l2: int = ..., l3: int = ...
    ) -> None: ...
    def get_m5(self) -> tuple[int, int, int, int, int, int, int]: ...
    def set_m6(self, ca1: Bytes = ...) -> None: ...
    def get_m6(self) -> tuple[bytes]: ...
    def set_m7(
        self, i1: int = ..., i2: int = ..., i3: int = ..., i4: int = ..., p1: int = ..., p2: int = ...
    ) -> None: ...
    def get_m7(self) -> tuple[int, int, int, int, int, int]: ...
    def set_m8(
        self, i1: int = ..., i2: int = ..., p1: int = ..., p2: int = ..., p3: int = ..., p4: int = ...
    ) -> None: ...
    def get_m8(self) -> tuple[int, int, int, int, int, int]: ...
    def set_m9(self, i1: int = ..., l1: int = ..., t1: Sequence[int] = ...) -> None: ...
    def get_m9(self) -> tuple[int, int, tuple[int, int]]: ...
    def set_mA(self, dst: int = ..., nr: int = ..., ia: Sequence[int] = ...) -> None: ...
    def get_mA(self) -> tuple[int, int, tuple[int, int, int, int]]: ...

class Endpoint:
    """Use one bound slot as its owner: send, receive, call, answer, notify, copy.

    One call at a time: a second one, from another thread or from a signal handler, fails with NOTREADY.
    Blocking calls let the GIL go; `timeout` is in seconds, None waits for ever, 0 never waits (AGAIN). A signal
    runs its Python handler and the wait goes on to the same deadline; if the handler raises, the call is
    cancelled and the exception passed on.

    Failures raise what the error factory makes of the code (see `set_error_factory`). In a forked child every
    call fails with NOTBIND. Dropping or closing an endpoint leaves the slot bound: unbinding is noded's
    business.

    Args:
        region: the VM. It stays mapped as long as the endpoint lives.
        slot: index of the slot, p_nr + nr_tasks.
        incarnation: which bind of the slot, as bind returned it.
        endpoint: the endpoint number, as bind returned it.
        spin_us: microseconds a call spins before it sleeps; 0 sleeps at once.
    """

    def __init__(self, region: Region, slot: int, incarnation: int, endpoint: int, spin_us: int = 20) -> None: ...
    @property
    def endpoint(self) -> int:
        """The endpoint number."""
    @property
    def slot(self) -> int:
        """Index of the slot: p_nr + nr_tasks."""
    @property
    def p_nr(self) -> int:
        """Process number of the slot."""
    @property
    def incarnation(self) -> int:
        """Which bind of the slot this is."""
    @property
    def region(self) -> Region:
        """The VM's memory."""
    @property
    def vmid(self) -> int:
        """Id of the VM."""
    @property
    def node(self) -> int:
        """Id of the node."""
    @property
    def pid(self) -> int:
        """Host process that opened the endpoint."""
    spin_us: int
    """Microseconds that a call spins before it sleeps."""
    @property
    def closed(self) -> bool:
        """Whether close() was called."""
    @property
    def reply_code(self) -> int:
        """Code of the answer of the last reply_receive: 0 if it was delivered."""
    @property
    def statistics(self) -> tuple[int, int]:
        """How many waits ended while spinning, and how many slept."""
    def send(self, dst: int, msg: Message, timeout: float | None = None) -> None:
        """Send a message, and wait until it is received.

        Blocks until `dst` takes the message. One that holds a request from `dst` is the answer to that request, if
        `dst` still waits for it.

        Args:
            dst: the destination's endpoint.
            msg: what is sent; its source is stamped by the kernel.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            BadEndpoint: `dst` is this endpoint or no endpoint at all. DestinationDied: it died, was unbound, or the
            number is an earlier owner's; look it up again. TimedOut: it did not receive in time; nothing was
            delivered. WouldBlock: timeout is 0 and it does not receive now. Deadlock: it waits, directly or not, for
            this endpoint. AccessDenied: privileges forbid it. NotReady: this endpoint is in another call. NotBound:
            it is not bound (any more). NotRunning: the VM has ended.

        Canonical: mnx_send, mnx_send_T (guide 3.1.2)
        """
    def receive(self, src: int = ..., msg: Message | None = None, timeout: float | None = None) -> Message:
        """Wait for a message or notification from `src`, or from anyone (ANY, the default).

        Pending notifications come before queued senders, lowest system slot first; senders in the order in which they
        queued. A sender that uses `send` goes on; one that uses `sendrec` waits for the answer (`msg.is_request`).

        Args:
            src: an endpoint, or ANY.
            msg: filled in and returned; None makes a new one.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            The message; `source` and `is_notify` say from whom and of what kind.

        Raises:
            SourceDied: `src` died or was unbound. TimedOut, WouldBlock: nothing came in time, or is there now.
            BadEndpoint: `src` is this endpoint. OutOfRange: no slot of this VM can have that endpoint. WokenUp:
            another process called `wakeup`. AccessDenied, NotReady, NotBound, NotRunning: as for `send`.

        Canonical: mnx_receive, mnx_receive_T (guide 3.1.3)
        """
    def receive_request(self, msg: Message | None = None, timeout: float | None = None) -> Message:
        """Wait for a request, that is a message sent with sendrec, from anyone; leave all else pending.

        Args:
            msg: filled in and returned; None makes a new one.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            The request. Its sender waits until it is answered (`reply`, `reply_receive`) or passed on (`relay`).

        Raises:
            TimedOut, WouldBlock, WokenUp, AccessDenied, NotReady, NotBound, NotRunning: as for `receive`.

        Canonical: mnx_rcvrqst, mnx_rcvrqst_T (guide 3.1.3)
        """
    def sendrec(self, dst: int, msg: Message, timeout: float | None = None) -> Message:
        """Send a request and wait for its answer.

        Blocks until `dst` has taken the request and answered it. Only an answer to this very call ends the wait: a
        late one to an earlier call does not, and notifications stay pending.

        Args:
            dst: the server's endpoint.
            msg: the request; overwritten by the answer.
            timeout: seconds for request and answer together; None waits for ever. 0 sends nothing.

        Returns:
            `msg`.

        Raises:
            DestinationDied: the server died before it took the request. SourceDied: it died after that; the request
            may have run. TimedOut: no answer in time; the request may have run, or run later. BadEndpoint,
            WouldBlock, Deadlock, AccessDenied, NotReady, NotBound, NotRunning: as for `send`.

        Canonical: mnx_sendrec, mnx_sendrec_T (guide 3.1.4)
        """
    def reply(self, to: int | Message, msg: Message, timeout: float | None = None) -> None:
        """Answer a request; never waits for a local caller.

        Args:
            to: the request, or its sender: then the request that `msg` still holds is the one answered, or else the
                last one received from there.
            msg: the answer; it may be the request itself.
            timeout: for an answer that has to travel; a local one never waits.

        Raises:
            BadState: the caller does not wait for this answer (any more): it timed out, or was answered.
            DestinationDied: it died. AccessDenied, NotReady, NotBound, NotRunning: as for `send`.

        Canonical: mnx_reply, mnx_reply_T (guide 3.1.2)
        """
    def reply_receive(self, to: int | Message, msg: Message, timeout: float | None = None) -> Message:
        """Answer a request, then receive from anyone into the same message: what a server's loop does, in one step.

        An answer that fails (its caller has died) does not keep the receive from going on: `reply_code` tells.

        Args:
            to: whom or what to answer, as for `reply`.
            msg: the answer; overwritten by what is received.
            timeout: seconds for the receive; None waits for ever, 0 never waits.

        Returns:
            `msg`.

        Raises:
            What `receive` raises.
        """
    def notify(self, dst: int, value: int = 0) -> None:
        """Notify `dst` without waiting for it.

        Delivered at once if `dst` waits for it, else remembered: once per source, so that a second one before it is
        taken changes nothing but `value`, which is ORed.

        Args:
            dst: the destination's endpoint.
            value: 32 bits that arrive as `m9_l1`.

        Raises:
            DestinationDied: it died or was unbound. Overrun: the VM has no room for more notifications from user slots.
            BadEndpoint, AccessDenied, NotReady, NotBound, NotRunning: as for `send`.

        Canonical: mnx_notify (guide 3.1.5)
        """
    def relay(self, dst: int, request: Message) -> None:
        """Pass a request on: from now on its sender waits for `dst` to answer. Never waits.

        Args:
            dst: who is to answer instead.
            request: the request as received, or changed; its sender stays its source.

        Raises:
            BadState: its sender does not wait for this endpoint's answer. SourceDied: the sender died.
            DestinationDied: `dst` died. Deadlock: `dst` waits for the sender. BadEndpoint, AccessDenied, NotReady,
            NotBound, NotRunning: as for `send`.

        Canonical: mnx_relay
        """
    def copy(
        self,
        source: tuple[int, int] | Span | Buffer,
        destination: tuple[int, int] | Span | Buffer,
        nbytes: int | None = None,
    ) -> int:
        """Copy bytes between the memory of two endpoints, without a buffer in between.

        One side is usually a Block of the caller; a third party may copy between two others. Parties other than the
        caller must be waiting in receive or sendrec, and stay so until the copy is over. Blocks for as long as the
        copying takes.

        Args:
            source: a Block (or any buffer) of the caller, or (endpoint, address).
            destination: the same; it must be writable.
            nbytes: how many; None for the length of the caller's block, the shorter one if both sides are blocks.
                At most the node's copy_len_max.

        Returns:
            The number of bytes copied.

        Raises:
            TypeError: the destination is read-only, or a side is neither block nor (endpoint, address). OutOfRange:
            more bytes than a block has or than copy_len_max allows. BadState: a party is not waiting; let it ask
            first. Busy: a party is in another copy; try again. BadAddress: an address is not mapped in its process.
            PeerDied: a party died; some bytes may have been copied. AccessDenied: the caller is neither root nor owner
            of the node, or the kernel forbids it (the hint says which).

        Canonical: mnx_vcopy (guide 3.1.6)
        """
    def copy_raw(self, src: int, src_address: int, dst: int, dst_address: int, nbytes: int) -> None:
        """Copy bytes between the address spaces of two endpoints (SELF: of this one), neither of which may be
        running.

        Canonical: mnx_vcopy (guide 3.1.6)
        """
    def interrupt(self) -> bool:
        """End the call in which another thread is blocked here, with INTR. Returns whether there was one.

        A call that has only just begun may be missed: try again until it has ended.
        """
    def raw(self, op: int, peer: int, msg: Message | None, timeout_ms: int, value: int = 0) -> int:
        """Make one call by its number and return its code instead of raising.

        `timeout_ms`: 0 does not wait, negative waits for ever. A signal runs its handlers and ends the call
        with RESTARTSYS. `value` belongs to NOTIFY, which takes no message.
        """
    def close(self) -> None:
        """Let go of the slot, here only: it stays bound. Refused with BUSY while a call is in flight in this
        process."""

class Span:
    """Where some bytes of this process are: what a copy needs to know of a block.

    It holds nothing itself: whoever fills it in keeps the memory in place while `held` is true.
    """

    address: int
    length: int
    readonly: bool
    held: bool

class Region:
    """Map a VM's shared memory and act on it from outside: what noded, commands and tests do.

    Methods return the core's codes and raise only for arguments (TypeError, OverflowError, ValueError). They
    act through one of the VM's kernel slots and wait for its lock, `lock_ms` at most where they take that (code
    TIMEDOUT), with the GIL let go. Use a Region from one thread at a time, and a kernel slot in one process at
    a time: only `bind`, which owes nobody a wake-up, may be called through one by many.

    Args:
        fd: the file; it can be closed afterwards.
        readonly: map without the right to write. Only attributes, holder, encode and decode work then.
        kernel_slot: which of the KERNEL_SLOTS to act through.
        doorbell: an eventfd that is written when an armed proxy has work (-1: none). It must stay open.

    Raises:
        ValueError: the file is no region of this version, or damaged; the text says which.
        OSError: it cannot be mapped.
    """

    def __init__(self, fd: int, readonly: bool = False, kernel_slot: int = 0, doorbell: int = -1) -> None: ...
    @staticmethod
    def bytes_for(
        vmid: int = 0,
        node: int = 0,
        nr_procs: int = 189,
        nr_tasks: int = 67,
        nr_sysprocs: int = 96,
        notes: int = 1024,
        copy_len_max: int = 524288,
        copy_buf: int = 32768,
        owner_uid: int = 0,
        name: str = "",
        nr_nodes: int = 32,
        nr_proxies: int = 32,
    ) -> int:
        """Return the size of a region with these limits; ValueError if one is out of range."""
    @staticmethod
    def format(
        fd: int,
        vmid: int = 0,
        node: int = 0,
        nr_procs: int = 189,
        nr_tasks: int = 67,
        nr_sysprocs: int = 96,
        notes: int = 1024,
        copy_len_max: int = 524288,
        copy_buf: int = 32768,
        owner_uid: int = 0,
        name: str = "",
        nr_nodes: int = 32,
        nr_proxies: int = 32,
        generation: int = 0,
    ) -> None:
        """Write an empty VM into an empty file; OSError (ENOSPC) if not all of its pages can be had. Its endpoints have
        generations above `generation`, which goes round."""
    @property
    def vmid(self) -> int: ...
    @property
    def node(self) -> int: ...
    @property
    def nr_procs(self) -> int: ...
    @property
    def nr_tasks(self) -> int: ...
    @property
    def nr_sysprocs(self) -> int: ...
    @property
    def notes(self) -> int: ...
    @property
    def copy_len_max(self) -> int: ...
    @property
    def copy_buf(self) -> int: ...
    @property
    def owner_uid(self) -> int: ...
    @property
    def nr_nodes(self) -> int:
        """How many nodes it has routes for."""
    @property
    def nr_proxies(self) -> int:
        """How many proxy pairs can serve it."""
    doorbell: int
    """The descriptor that is written when an armed proxy has work; -1: none."""
    @property
    def members(self) -> int:
        """Slots that can be bound: nr_tasks + nr_procs."""
    @property
    def nslots(self) -> int:
        """The same as members."""
    @property
    def map_words(self) -> int:
        """64-bit words in a map of system slots."""
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> int:
        """VM_RUNNING, VM_ENDED or VM_CORRUPT, as of now."""
    @property
    def bound(self) -> int:
        """How many slots are bound, as of now; read without the lock, so only for display."""
    @property
    def readonly(self) -> bool: ...
    @property
    def layout(self) -> dict[str, int]:
        """Where the tables of this region start: slots, pending, privs, priv_bytes, notes, buckets, routes; and
        bytes, its size."""
    def bind(
        self,
        slot: int,
        pid: int,
        tid: int,
        node: int,
        kind: int,
        want_endpoint: int,
        name: str,
        lock_ms: int = 1000,
    ) -> tuple[int, int, int]:
        """Bind a slot. Returns (code, endpoint, incarnation)."""
    def unbind(self, slot: int, incarnation: int, verdict: int = ..., force: bool = False, lock_ms: int = 1000) -> int:
        """Unbind a slot in bounded steps: its own call ends with `verdict` (SHUTDOWN), those who wait on it get
        DSTDIED or SRCDIED.

        `incarnation` 0 means whoever is there. ONCOPY while it is in a copy, unless `force`.
        """
    def wakeup(self, endpoint: int, lock_ms: int = 1000) -> int:
        """End the receive of an endpoint with WOKENUP, or have its next one end so."""
    def notify(self, as_p_nr: int, dst: int, value: int = 0, lock_ms: int = 1000) -> int:
        """Notify an endpoint on behalf of any process number (HARDWARE, SYSTEM, or one that is not bound)."""
    def set_route(self, node: int, word: int, lock_ms: int = 1000) -> int:
        """Write the route to a node: ROUTE_VM if the VM runs there, ROUTE_CONNECTED, and the proxy pair that serves
        it, plus 1, from bit ROUTE_PX_SHIFT on. BADNODEID."""
    def route_of(self, node: int) -> tuple[int, int]:
        """Return the route to a node, and the code of a call there: OK, BADNODEID, NOVMNODE, NOPROXY or NOTCONN, in
        that order."""
    def cut(self, node: int, code: int, unbind: bool = False, lock_ms: int = 1000) -> int:
        """End all that is under way with a node: calls to its processes and their calls here, those who wait on them,
        and copies. Set the route first, so that nothing new begins.

        Args:
            node: the node.
            code: what those who wait get.
            unbind: unbind the processes of that node, too.
            lock_ms: milliseconds to wait for the VM's lock, each time.
        """
    def bury_proxies(self, px: int, lock_ms: int = 1000) -> int:
        """Finish what a pair of proxies that died had begun: copies it held, wake-ups it owed."""
    def end(self, state: int) -> None:
        """Declare the VM over (VM_ENDED, VM_CORRUPT): everyone in it wakes with VMNOTRUN or BADVMID. Needs no
        lock."""
    def pay_debts(self, slot: int = ...) -> None:
        """Wake those whom a slot's owner was about to wake when it died; without a slot, those this kernel slot
        owes."""
    def snapshot(self, slot: int, lock_ms: int = 1000) -> dict[str, Any] | int:
        """Return one consistent copy of a slot's fields, or a code.

        Keys: p_nr, endpoint, pid, tid, node, incarnation, generation, bkup_of, name; rts (as users see it),
        rts_all, misc, getfrom, sendto, call, seq, waiting, cpu, last_peer, restricted, notes_out; sent_local,
        sent_remote, copied_local, copied_remote.
        """
    def getpriv(self, slot: int, lock_ms: int = 1000) -> Privileges | int:
        """Return the privileges of a slot, or a code."""
    def setpriv(self, slot: int, incarnation: int, privileges: Privileges, lock_ms: int = 1000) -> int:
        """Replace the privileges of a slot, all at once."""
    def audit(self, lock_ms: int = 1000) -> list[str]:
        """Return a line for every invariant that does not hold: empty if the region is sound."""
    def holder(self) -> tuple[int, int, bool]:
        """Return (tid, epoch, died): who holds the VM's lock (0: nobody), how often it was taken, whether that
        thread died."""
    def lock_break(self, seen_tid: int) -> int:
        """Take the lock away from a word that names no living thread; AGAIN if it has changed meanwhile."""
    def encode(self, slot: int, generation: int) -> int:
        """Return the endpoint of a slot in a generation (guide 1.6 arithmetic)."""
    def decode(self, endpoint: int) -> int | None:
        """Return the slot that an endpoint of this VM belongs to; None if there is no such slot."""
    def step(
        self,
        me: int,
        op: int,
        peer: int,
        message: Message | Bytes | None = b"",
        flags: int = 0,
        answers: int = 0,
        value: int = 0,
        as_p_nr: int = ...,
        now_ns: int = 0,
        trace: Bytes | None = None,
    ) -> tuple[int, list[int]]:
        """Make one IPC operation as slot `me`, without sleeping: (code, slots made runnable).

        The code BLOCKED says that the slot waits now, until a step of another makes it runnable. A receive
        that is done at once fills `message` if that is a Message.
        """
    def finish(self, me: int, op: int = ..., message: Message | None = None) -> tuple[int, bytes, int, int]:
        """Read how a call that had blocked ended: (code, the 64 bytes, in_flags, in_call). `message` is filled
        too, if given."""
    def cancel(self, me: int, verdict: int) -> tuple[int, list[int]]:
        """Give up a blocked call: OK, BLOCKED if a copy holds it, AGAIN if it had ended; and the slots made
        runnable."""
    def step_unbind(
        self, me: int, slot: int, incarnation: int, verdict: int = ..., force: bool = False, lock_ms: int = 1000
    ) -> tuple[int, list[int]]:
        """Make one step of an unbind: MORE until OK; and the slots made runnable."""
    def step_wakeup(self, me: int, endpoint: int, lock_ms: int = 1000) -> tuple[int, list[int]]:
        """As wakeup, reporting the slots made runnable instead of waking them."""
    def copy_begin(self, me: int, src: int, dst: int, nbytes: int) -> tuple[int, int, int]:
        """Hold the parties of a copy: (code, src_slot, dst_slot)."""
    def copy_far(
        self, me: int, src: int, src_address: int, dst: int, dst_address: int, nbytes: int
    ) -> tuple[int, list[int]]:
        """Ask for a copy with a party of another node: BLOCKED until it has ended; LCLPROC if both are of this one."""
    def copy_end(self, me: int) -> tuple[int, list[int]]:
        """Let the parties of a copy go: SRCDIED or DSTDIED if one was unbound meanwhile; and the slots made
        runnable."""

class Proxy:
    """One pair of proxies, as the process that runs it sees it: takes what VMs have for other nodes, and puts what
    came from there.

    Nothing here waits, but for a VM's lock. Use a Proxy from one thread at a time, and one for each proxy pair.

    Args:
        px: number of the pair.
        node: the node that it runs on.
        sends: it takes commands.
        receives: it puts them.
    """

    def __init__(self, px: int, node: int, sends: bool = True, receives: bool = True) -> None: ...
    def add(self, region: Region) -> None:
        """Serve a VM, in place of an earlier one with the same vmid."""
    def remove(self, vmid: int) -> None:
        """Serve a VM no longer; KeyError if there is none."""
    def take(self, limit: int = 64, skip: frozenset[int] | None = None, now_ns: int = 0) -> list[tuple[int, bytes]]:
        """Return up to `limit` commands that wait, oldest first in each VM: (node it goes to, record). A large copy
        gives a piece at a time, behind what waited before it.

        Args:
            limit: how many.
            skip: nodes to leave alone, whose links are full.
            now_ns: CLOCK_REALTIME for the records; 0: as it is.
        """
    def take_runs(
        self, limit: int, nbytes: int, skip: frozenset[int] | None = None, now_ns: int = 0
    ) -> list[tuple[int, bytes | bytearray, int]]:
        """Like `take`, with the records that go to one node behind each other in one buffer: (node, records, count).

        Args:
            limit: how many records.
            nbytes: how many bytes; one record may exceed it.
            skip, now_ns: as above.
        """
    def put(self, records: Buffer, snode: int = -1) -> list[tuple[int, int]]:
        """Deliver records, one after the other. Returns (offset, code) of those that came to nothing, and of which the
        other side has not been told: BADVMID, VMNOTRUN, BADNODEID, NOVMNODE, NOPROXY, NOTCONN, RANGE, or TIMEDOUT if
        the VM's lock was not to be had (that one may be put again).

        Args:
            records: whole records.
            snode: the node they come from: others are refused with BADNODEID. -1: whatever they say.

        Raises:
            ValueError: a record is malformed; those before it were delivered.
        """
    def arm(self, skip: frozenset[int] | None = None, commands: int = 1) -> bool:
        """Have the doorbells rung when `commands` more have come: each VM's for its share of them. False: there is
        something to take already, for a node that is not in `skip`."""
    def rest(self) -> None:
        """Let go of memory of processes that is mapped here and was not used for a second or two. `arm` and `put` do
        it, too; a receiver that sleeps for long calls it before."""
    def ready(self) -> bool:
        """Whether there seems to be something to take; a look without any lock, for spinning."""
    def look(self, fd: int, until_ns: int) -> int:
        """Look on until CLOCK_MONOTONIC is `until_ns`, with the GIL held: 1 there is something to take, 2 there is
        something to read from `fd`, 0 neither. 0 at once if what came last through the socket `fd` was handled on this
        CPU, or that is not known: then looking would be in its way.
        """
    ledger: Buffer | None
    """Memory to count in what was carried, for each node (`drvs.daemon.ledger`); None: nowhere."""
    fallback: ProxyFallback | None
    """Who copies where Linux refuses it to this process. Called as fallback(region, src_slot, src_pid, src_address,
    dst_slot, dst_pid, dst_address, nbytes), with slot -1 for this process itself; returns a code."""
    @property
    def px(self) -> int: ...
    @property
    def node(self) -> int: ...
    @property
    def taken(self) -> int:
        """Commands taken so far."""
    @property
    def roused(self) -> int:
        """Commands put so far that a process of this node goes on with: messages, and acknowledgements of them."""
    @property
    def peer_cpu(self) -> int:
        """The CPU on which the process that was served last made its last call; -1: unknown."""
    @property
    def vmids(self) -> list[int]:
        """The VMs that it serves."""

def encode_command(fields: dict[str, Any], /) -> bytes:
    """Return the record that carries a command; fields that are not given are 0.

    Fields: cmd, vmid, src, dst, snode, dnode, rcode, rnode, v_src, v_dst, v_rqtr, v_bytes, v_saddr, v_daddr, flags,
    call, answers, incarnation, time_ns; trace (16 bytes), payload.
    """

def decode_command(record: Buffer, /) -> dict[str, Any]:
    """Return the fields of one record; ValueError says what is wrong with it."""

def refuse_command(record: Buffer, code: int) -> tuple[int, bytes] | None:
    """Return what tells the other side that a record came to nothing here, and the node it goes to; None: nobody waits.

    `record` may be followed by others. This is for what `Proxy.put` returns.
    """

def this_cpu() -> int:
    """Return the CPU that this thread runs on; -1 if that cannot be known."""

def now_ns() -> int:
    """Return CLOCK_MONOTONIC in nanoseconds: the clock of all deadlines."""

def is_earlier(endpoint: int, other: int) -> bool:
    """Whether the owner of a slot that had `endpoint` had it before the one that had `other`."""

def doze(fd: int, ns: int) -> None:
    """Sleep until there is something to read from `fd`, for at most `ns` nanoseconds (or for as long as timers are
    late, some 50 us). A signal ends it, too."""

def copy_bytes(src_pid: int, src_address: int, dst_pid: int, dst_address: int, nbytes: int, chunk: int) -> int:
    """Copy bytes between two host processes (0: the caller), `chunk` at a time. OK, PERM, FAULT, SRCDIED or
    DSTDIED."""

def span_of(buffer: Buffer, /) -> tuple[int, int]:
    """Return address and length of a contiguous buffer; they hold while somebody keeps it exported (a memoryview)."""

def set_error_factory(factory: ErrorFactory | None, /) -> ErrorFactory | None:
    """Set what makes exceptions: factory(code, operation, own endpoint, peer or None, the Endpoint).

    Without one (None) a code becomes a RuntimeError. Returns the factory before.
    """

def set_copy_fallback(fallback: CopyFallback | None, /) -> CopyFallback | None:
    """Set who copies where Linux refuses it to the caller. Returns the fallback before.

    It is called as fallback(endpoint, src_slot, src_pid, src_address, dst_slot, dst_pid, dst_address, nbytes).
    """

def pingpong_call(shared: Any, rounds: int, spin_us: int = 20, idle_us: int = 0, times: Any = None) -> int:
    """Return the nanoseconds that `rounds` of the bare C ping-pong take; see csrc/bench/pingpong.h."""

def pingpong_serve(shared: Any, spin_us: int = 20) -> None:
    """Answer the bare C ping-pong until pingpong_stop."""

def pingpong_stop(shared: Any) -> None:
    """Let pingpong_serve return."""

def raw_copy(pid: int, address: int, buffer: Any, rounds: int, times: Any = None) -> int:
    """Return the nanoseconds that `rounds` of process_vm_readv into `buffer` take."""

def image_syscall(number: int, /, *args: int | Buffer) -> int:
    """Make a raw system call; a buffer stands for its address.

    Raises:
        OSError: as the kernel says.
    """

def image_regset_get(tid: int, regset: int, /) -> bytes:
    """Return a set of registers of a stopped thread (NT_PRSTATUS, NT_X86_XSTATE)."""

def image_regset_set(tid: int, regset: int, registers: bytes, /) -> None:
    """Set a set of registers of a stopped thread."""

def image_xsave_parts(features: int, /) -> list[tuple[int, int, int]]:
    """Return part, offset and length of each of those parts (a bit mask) of the processor's extended state."""

def image_wait(tid: int, spin_us: int, keep_dead: bool, /) -> tuple[int, int]:
    """Wait actively for a stop or the end of a thread; the first is 0 if none came within that time.

    `keep_dead` leaves the end to be waited for by others; its status is 0 then.

    Raises:
        ChildProcessError: there is nothing to wait for.
    """

def image_interrupt(ident: int, exception: type[BaseException], /) -> bool:
    """Raise an exception in another Python thread, at its next step; False if there is no such thread."""

def image_smaps(text: bytes, /) -> list[tuple[int, int, int, bool, int, int, str, int, str]]:
    """Return start, end, protection, shared, offset, inode, name, own KiB and flags of each mapping in a smaps."""

def image_crc32c(data: Buffer, crc: int = 0, /) -> int:
    """Return the CRC-32C of a buffer, continued from `crc`."""

def image_runs(pagemap_fd: int, start: int, end: int, guards: bool, /) -> list[tuple[int, int, int]]:
    """Return (address, bytes, 1 for guard pages) of each run of pages that are a process's own."""

def image_copy(pid: int, mem_fd: int, out_fd: int, runs: bytes, /) -> tuple[int, int]:
    """Write a process's memory as page records. Returns the bytes of the pages written, and the records.

    `runs` are packed u64: address, bytes, and how (1: leave out pages of zeros, 2: leave out what cannot be read).
    """

def image_blob() -> tuple[bytes, int, int] | None:
    """Return the code that works through a table of system calls, where it is entered, and where as a program of its
    own; None on other machines."""

def mailbox_start(signal: int, function: Callable[[], object], /) -> None:
    """Start the mailbox's thread, if it does not run. A request has `function` called in the main thread."""

def mailbox_stop() -> None:
    """End the thread."""

def mailbox_reset() -> None:
    """Forget what was under way: in a forked child."""

def mailbox_pend() -> bool:
    """Have the function called by the main thread soon; False if too much waits for that."""

def mailbox_take() -> bool:
    """Take the request that waits; False if there is none, or its dumper gave up."""

def mailbox_claim() -> bool:
    """Begin a round without a request; False if one is under way."""

def mailbox_fail(problem: bytes, /) -> None:
    """End the round with the reason why there can be no dump."""

def mailbox_wait(dumper: int = ..., /) -> tuple[int, int, int, int, bytes]:
    """Say that all is ready, and wait for (verdict, bytes_written, rank, size, payload) with the GIL kept.

    Ends by itself if the dumper (that of the request, or a pid) dies.
    """

def mailbox_problem() -> bytes:
    """Return what the dumper says went wrong."""

def mailbox_end() -> None:
    """End the round."""

def mailbox_at_ready(waits: bool, /) -> int:
    """Say whether the program waits to be dumped; returns how many rounds are over."""

def mailbox_rounds_after(rounds: int, /) -> int:
    """Sleep until another round is over, or a signal handler has run; returns how many are."""

def mailbox_place() -> tuple[int, int]:
    """Return the mailbox's address, and the offset of the place for a signal's information in it."""
