"""Every exception of drvs, grouped by what the caller can do about it.

Each group inherits the builtin that matches, so `except TimeoutError` works. An error carries its code, the operation
and the parties, and ends with the next step to take:

    sendrec to 5 from 70 in VM 0 ('lab'): the destination died or was unbound (EMOLDSTDIED). Bind it again or …
"""

from drvs.base.codes import Code
from drvs.base.hints import hint_for
from drvs.base.ids import endpoint_name


class DrvsError(Exception):
    """An operation of drvs that did not succeed.

    Attributes:
        code: the canonical code.
        operation: what was attempted, in a word (``sendrec``, ``bind``).
        endpoint: the caller's own endpoint, or None.
        peer: the other endpoint, or None.
        vm, vm_name: the VM's id and name, or None.
        node: the node's id, or None.
        detail: what else is known, or None.
        hint: the next step to take, a sentence.
    """

    def __init__(
        self,
        code: int,
        operation: str,
        *,
        endpoint: int | None = None,
        peer: int | None = None,
        vm: int | None = None,
        vm_name: str | None = None,
        node: int | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.code = Code.of(code)
        self.operation = operation
        self.endpoint = endpoint
        self.peer = peer
        self.vm = vm
        self.vm_name = vm_name
        self.node = node
        self.detail = detail
        self.hint = hint or hint_for(self.code, operation)
        super().__init__(str(self))

    def __str__(self) -> str:
        reason = self.detail or self.code.meaning
        return f"{self.operation}{self._parties()}: {reason} ({self.code.canonical}). {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        state = {name: value for name, value in vars(self).items() if name not in ("code", "operation")}
        return _rebuild, (type(self), int(self.code), self.operation, state)

    def _parties(self) -> str:
        """ " to 5 from 70 in VM 0 ('lab')", with what is known."""
        gives, takes = self.operation in _GIVING, self.operation in _TAKING
        parts = []
        if self.peer is not None:
            parts.append(f"{'to' if gives else 'from' if takes else 'of'} {endpoint_name(self.peer)}")
        if self.endpoint is not None:
            parts.append(f"{'from' if gives else 'by'} {endpoint_name(self.endpoint)}")
        if self.vm is not None:
            parts.append(f"in VM {int(self.vm)}" + (f" ({self.vm_name!r})" if self.vm_name else ""))
        if self.node is not None:
            parts.append(f"on node {int(self.node)}")
        return "".join(" " + part for part in parts)


def _rebuild(kind: type[DrvsError], code: int, operation: str, state: dict[str, object]) -> DrvsError:
    error = kind(code, operation)
    vars(error).update(state)
    return error


class TimedOut(DrvsError, TimeoutError):
    """The time given was over first. A request may have been accepted: repeat it only if it may run twice."""


class WouldBlock(DrvsError, BlockingIOError):
    """A call with timeout 0 would have had to wait. Try later, or give it time."""


class PeerDied(DrvsError, ConnectionError):
    """The other side died or was unbound. Find its successor (lookup), then call that."""


class DestinationDied(PeerDied):
    """Whom the call was sent to died or was unbound."""


class SourceDied(PeerDied):
    """Whom the call waited for died or was unbound; a request it had accepted may have run."""


class AccessDenied(DrvsError, PermissionError):
    """Rights or privileges are missing. The hint names which."""


class NotReady(DrvsError, RuntimeError):
    """The endpoint is in another call, or is a backup. Serialise its calls or bind one endpoint for each thread."""


class Deadlock(DrvsError, RuntimeError):
    """Waiting would close a circle of processes that wait for each other; nothing was sent."""


class NotBound(DrvsError, RuntimeError):
    """The process or endpoint is not bound. Bind it first."""


class BadEndpoint(DrvsError, ValueError):
    """An endpoint that cannot be meant here: the caller's own, ANY as a destination, one that no slot can have."""


class OutOfRange(DrvsError, ValueError):
    """An argument out of range or not valid. The reference page of the call says what is."""


class NotRunning(DrvsError, ConnectionError):
    """There is no node, no VM or no binding any more. Start, create or bind it, then repeat the call."""


class DaemonGone(NotRunning):
    """noded cannot be reached. Start it with `drvs up`."""


class Busy(DrvsError, RuntimeError):
    """It exists already or is in use. Choose another, or wait."""


class NoMemory(DrvsError, MemoryError):
    """Memory for the region or for a table could not be had. Ask for less."""


class BadAddress(DrvsError, OSError):
    """A block of a copy is not mapped, wholly or in part, in its process."""


class RuntimeDirError(DrvsError, OSError):
    """The node's runtime directory or a file in it could not be used."""


class BadState(DrvsError, RuntimeError):
    """The other process is not in the state the call needs, for instance no longer waiting for this answer."""


class Unreachable(DrvsError, ConnectionError):
    """The other node is not known, does not run the VM, or has no link. Bring the link up, then repeat the call."""


class WokenUp(DrvsError, RuntimeError):
    """Another process woke this receiver without a message. Receive again."""


class Interrupted(DrvsError, InterruptedError):
    """A signal or another thread ended the call. A request may have been accepted."""


class Overrun(DrvsError, BufferError):
    """There is no room for another pending notification. Let the receiver take some."""


class CorruptStateError(DrvsError, RuntimeError):
    """The region contradicts itself: a member damaged it. End the VM and create it again."""


class NameTooLong(DrvsError, ValueError):
    """A name of more than 15 bytes."""


class BadMessage(DrvsError, ValueError):
    """A message that is not 64 bytes."""


class NotSupported(DrvsError, NotImplementedError):
    """This version does not have the call."""


class Moved(DrvsError, RuntimeError):
    """The process is on another node, or is moving there. Repeat the call when the migration is over."""


_GIVING = frozenset({"send", "sendrec", "reply", "notify", "relay", "reply_receive", "wakeup"})
_TAKING = frozenset({"receive", "receive_request", "rcvrqst"})
_IPC = _GIVING | _TAKING | {"copy", "vcopy"}

_GROUPS: dict[type[DrvsError], tuple[Code, ...]] = {
    TimedOut: (Code.TIMEDOUT,),
    WouldBlock: (Code.AGAIN,),
    DestinationDied: (Code.DSTDIED, Code.DEADSRCDST),
    SourceDied: (Code.SRCDIED,),
    AccessDenied: (Code.PERM, Code.ACCES, Code.CALLDENIED, Code.TRAPDENIED, Code.PRIVILEGES, Code.BADOWNER),
    NotReady: (Code.NOTREADY,),
    Deadlock: (Code.LOCKED, Code.DEADLK),
    NotBound: (Code.NOTBIND, Code.GRPLEADER),
    BadEndpoint: (Code.ENDPOINT, Code.BADDEST, Code.BADSRCDST),
    OutOfRange: (
        Code.RANGE, Code.INVAL, Code.BADPROC, Code.BADPID, Code.BADVMID, Code.TOOBIG, Code.BADRANGE, Code.BADVALUE,
        Code.BINDTYPE, Code.BADCALL, Code.BADREQUEST, Code.ALIGN, Code.BADPROXY, Code.PROXYID,
    ),
    NotRunning: (Code.DRVSINIT, Code.VMNOTRUN, Code.SHUTDOWN),
    Busy: (
        Code.BUSY, Code.EXIST, Code.DRVSBUSY, Code.VMRUN, Code.ONCOPY, Code.SLOTUSED, Code.RSCBUSY, Code.NODEBUSY,
        Code.PROXYRUN, Code.PROCRUN, Code.ENQUEUED,
    ),
    NoMemory: (Code.NOMEM, Code.ALLOCMEM),
    BadAddress: (Code.FAULT,),
    RuntimeDirError: (Code.NOTDIR, Code.BADF, Code.BADDIR, Code.BADFILE),
    BadState: (Code.PROCSTS,),
    Unreachable: (
        Code.BADNODEID, Code.NOVMNODE, Code.NOPROXY, Code.NOTCONN, Code.NONODE, Code.NODEFREE, Code.PROXYFREE,
        Code.VMNODE,
    ),
    WokenUp: (Code.WOKENUP,),
    Interrupted: (Code.INTR, Code.RESTARTSYS),
    Overrun: (Code.OVERRUN,),
    NameTooLong: (Code.NAMETOOLONG, Code.NAMESIZE),
    BadMessage: (Code.MSGSIZE, Code.NOMSG),
    NotSupported: (Code.NOSYS,),
    Moved: (Code.RMTPROC, Code.LCLPROC, Code.MIGRATE),
}  # fmt: skip

_KIND = {code: kind for kind, codes in _GROUPS.items() for code in codes}
_INCONSISTENT = frozenset({Code.BADVMID, Code.BADPID, Code.BADPROC})


def error_class(code: int, operation: str = "") -> type[DrvsError]:
    """Return the exception class for a code: "inconsistency" means damage in an IPC call, an argument elsewhere."""
    if (operation in _IPC and code in _INCONSISTENT) or (operation in _TAKING and code == Code.PROCSTS):
        return CorruptStateError
    return _KIND.get(Code.of(code), DrvsError)


def make_error(
    code: int,
    operation: str,
    *,
    endpoint: int | None = None,
    peer: int | None = None,
    vm: int | None = None,
    vm_name: str | None = None,
    node: int | None = None,
    detail: str | None = None,
    hint: str | None = None,
) -> DrvsError:
    """Return the exception that tells of `code`; raising it is the caller's."""
    kind = error_class(code, operation)
    return kind(
        code, operation, endpoint=endpoint, peer=peer, vm=vm, vm_name=vm_name, node=node, detail=detail, hint=hint
    )
