"""The control protocol: every request that noded understands, with its fields.

One JSON object in one packet, `{"v": 1, "op": "bind", …}`, is answered by one object `{"v": 1, "code": 0, "error":
null, …}`, one at a time per connection. Descriptors travel by SCM_RIGHTS beside the answer. Calls that wait
(`timeout_ms`: -1 for ever, 0 not at all) are answered when they are done; closing the connection cancels them. Who
may call what stands in `calls/`.
"""

import functools
import operator

import msgspec

from drvs.base.codes import Code
from drvs.daemon.node_requests import (
    AddNode,
    DelNode,
    Events,
    GetNodeInfo,
    GetProxyInfo,
    Names,
    NamesClear,
    NamesDrop,
    NamesSet,
    NodeDown,
    NodeName,
    Nodes,
    NodeUp,
    Proxies,
    ProxiesBind,
    ProxyAttach,
    ProxyConn,
    ProxyUnbind,
)
from drvs.daemon.refusal import Refused
from drvs.daemon.request import Request

VERSION = 1

#: The most that a bitmap of privileges may have: 1024 system slots in hexadecimal.
MAP_DIGITS = 2 + 1024 // 4


# ---- the node ------------------------------------------------------------------------------------------------------


class Hello(Request, tag="hello"):
    """Ask who is there: pid, node, version, whether the node is initialised."""


class Status(Request, tag="status"):
    """Ask for all that `drvs status` shows."""


class DrvsInit(Request, tag="drvs_init"):
    """Initialise the node. None takes the default of base.limits.

    `stripe` of `stripes`: where bind may choose the slot, it takes every `stripes`-th user slot from that one on.
    """

    node: int
    nr_vms: int | None = None
    nr_nodes: int | None = None
    nr_procs: int | None = None
    nr_tasks: int | None = None
    nr_sysprocs: int | None = None
    copy_buf: int | None = None
    copy_len_max: int | None = None
    notes: int | None = None
    stripe: int | None = None
    stripes: int | None = None
    debug: int = 0


class DrvsEnd(Request, tag="drvs_end"):
    """End all VMs and un-initialise the node; noded stays."""


class GetDrvsInfo(Request, tag="getdrvsinfo"):
    """Ask for the node's parameters; node is -1 while it is not initialised."""


class SetDebug(Request, tag="setdebug"):
    """Choose the categories of noded's log (base.flags.DebugMask)."""

    mask: int


class Shutdown(Request, tag="shutdown"):
    """End noded, the VMs and the keeper; with `keep`, noded alone."""

    keep: bool = False


class Log(Request, tag="log"):
    """Ask for the last lines of noded's log."""

    lines: int = 200


class LinksReport(Request, tag="links_report"):
    """Leave what `status` is to say of the links to other nodes, and lines for the log."""

    links: list[dict[str, str | int]] | None = None
    strangers: list[dict[str, str | float]] | None = None
    notes: tuple[str, ...] = ()


class VmDump(Request, tag="vm_dump"):
    """Write the list of VMs into the log, and return the text."""


class ProcDump(Request, tag="proc_dump"):
    """Write the processes of a VM into the log, and return the text."""

    vmid: int


class Holders(Request, tag="holders"):
    """Ask which VM's lock is held by a stopped or stuck process."""


# ---- VMs -----------------------------------------------------------------------------------------------------------


class VmInit(Request, tag="vm_init"):
    """Create a VM. vmid None: the lowest free one; other None: the node's own limit.

    nodes: a map of those on which it runs already. span: those on which the standard proxies are to create it too.
    """

    name: str
    vmid: int | None = None
    nr_procs: int | None = None
    nr_tasks: int | None = None
    nr_sysprocs: int | None = None
    notes: int | None = None
    nodes: int = 0
    span: tuple[int, ...] = ()


class VmEnd(Request, tag="vm_end"):
    """End a VM: everyone in it wakes with VMNOTRUN and gets SIGPIPE."""

    vmid: int


class GetVmInfo(Request, tag="getvminfo"):
    """Ask for a VM's parameters, by id or by name; flags tell whether it runs. A name is waited for until it does."""

    vmid: int | None = None
    name: str | None = None
    timeout_ms: int = 0


class VmList(Request, tag="vm_list"):
    """Ask for all VMs."""


class Audit(Request, tag="audit"):
    """Check every invariant of a VM's region."""

    vmid: int


# ---- binding -------------------------------------------------------------------------------------------------------


class Bind(Request, tag="bind"):
    """Bind a process into a VM.

    kind: "self" binds the caller, "thread" its thread `tid`, "local" the process (or thread) `pid`. p_nr None: any
    free user slot. `cookie` names the attempt, so that repeating it after a restart of noded finds what the first one
    did. `region` False leaves the descriptor out of the answer.
    """

    vmid: int
    kind: str = "self"
    pid: int = 0
    tid: int = 0
    p_nr: int | None = None
    name: str = ""
    cookie: int = 0
    region: bool = True


class RmtBind(Request, tag="rmtbind"):
    """Bind a process of another node."""

    vmid: int
    name: str
    endpoint: int
    node: int


class BkupBind(Request, tag="bkupbind"):
    """Bind a local process as the backup of one on another node."""

    vmid: int
    pid: int
    endpoint: int
    node: int


class Wait4Bind(Request, tag="wait4bind"):
    """Wait until the caller is bound, by itself or by another; answered like bind. vmid None: in any VM."""

    vmid: int | None = None
    timeout_ms: int = -1
    region: bool = True


class Wait4BindEp(Request, tag="wait4bindep"):
    """Wait until an endpoint is bound."""

    vmid: int
    endpoint: int
    timeout_ms: int = -1


class Wait4Unbind(Request, tag="wait4unbind"):
    """Wait until an endpoint is not bound."""

    vmid: int
    endpoint: int
    timeout_ms: int = -1


class Unbind(Request, tag="unbind"):
    """Unbind an endpoint; waits while a copy holds its memory.

    incarnation not 0: only that binding of the slot, else NOTBIND.
    """

    vmid: int
    endpoint: int
    incarnation: int = 0
    timeout_ms: int = -1


class Lookup(Request, tag="lookup"):
    """Find an endpoint by name; waits until somebody binds it."""

    vmid: int
    name: str
    timeout_ms: int = 0


class GetEp(Request, tag="getep"):
    """Find the endpoint of a host process in the caller's VM."""

    pid: int


# ---- processes -----------------------------------------------------------------------------------------------------


class GetProcInfo(Request, tag="getprocinfo"):
    """Ask for one slot."""

    vmid: int
    p_nr: int


class Procs(Request, tag="procs"):
    """Ask for every bound slot of a VM."""

    vmid: int


class GetPriv(Request, tag="getpriv"):
    """Ask for the privileges of an endpoint."""

    vmid: int
    endpoint: int


class SetPriv(Request, tag="setpriv"):
    """Set privileges; None leaves one as it is.

    Maps are hexadecimal, bit = s_id; alarm_ns is CLOCK_MONOTONIC, 0: none.
    """

    vmid: int
    endpoint: int
    id: int | None = None
    warn: int | None = None
    level: int | None = None
    traps: int | None = None
    calls: int | None = None
    alarm_ns: int | None = None
    ipc_from: str | None = None
    ipc_to: str | None = None


class Notify(Request, tag="notify"):
    """Send a notification on behalf of a process number (-1 HARDWARE, -2 SYSTEM) without being bound."""

    vmid: int
    as_p_nr: int
    dst: int
    value: int = 0


class Wakeup(Request, tag="wakeup"):
    """End the receive of an endpoint with WOKENUP, or its next one."""

    vmid: int
    endpoint: int


class Copy(Request, tag="copy"):
    """Copy memory between two bound processes, where Linux forbids the caller to do it itself (Yama).

    Slot 0xFFFFFFFF is the memory of the caller, if that is a registered proxy.
    """

    vmid: int
    src_slot: int
    src_address: int
    dst_slot: int
    dst_address: int
    bytes: int


REQUESTS = (
    Hello, Status, DrvsInit, DrvsEnd, GetDrvsInfo, SetDebug, Shutdown, Log, LinksReport, VmDump, ProcDump, Holders,
    ProxiesBind, ProxyConn, ProxyUnbind, GetProxyInfo, Proxies, ProxyAttach,
    NodeUp, NodeDown, NodeName, AddNode, DelNode, GetNodeInfo, Nodes,
    Events, Names, NamesSet, NamesDrop, NamesClear,
    VmInit, VmEnd, GetVmInfo, VmList, Audit,
    Bind, RmtBind, BkupBind, Wait4Bind, Wait4BindEp, Wait4Unbind, Unbind, Lookup, GetEp,
    GetProcInfo, Procs, GetPriv, SetPriv, Notify, Wakeup, Copy,
)  # fmt: skip

OPS = frozenset(str(kind.__struct_config__.tag) for kind in REQUESTS)

#: May be sent again to a restarted noded without doing anything twice (a bind is known by its cookie).
IDEMPOTENT = OPS - {
    "drvs_init",
    "drvs_end",
    "vm_init",
    "vm_end",
    "unbind",
    "setpriv",
    "notify",
    "wakeup",
    "copy",
    "shutdown",
    "proxies_bind",
    "proxy_unbind",
    "node_down",
    "add_node",
    "del_node",
}


class _Envelope(msgspec.Struct):
    v: int = 0
    op: str = ""


_decode = msgspec.json.Decoder(functools.reduce(operator.or_, REQUESTS)).decode
_peek = msgspec.json.Decoder(_Envelope).decode


def decode_request(packet: bytes | memoryview) -> Request:
    """Turn a packet into a request.

    Raises:
        Refused: with INVAL or NOSYS, and what is wrong with the packet.
    """
    try:
        request: Request = _decode(packet)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(packet, str(error)) from None
    if request.v != VERSION:
        raise Refused(Code.INVAL, _other_version(request.v))
    return request


def _explain(packet: bytes | memoryview, reason: str) -> Refused:
    """Find out whether it is the version, the op or a field that is wrong."""
    try:
        envelope = _peek(packet)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refused(Code.INVAL, f"this is not a request: {reason}")
    if envelope.v != VERSION:
        return Refused(Code.INVAL, _other_version(envelope.v))
    if envelope.op not in OPS:
        return Refused(Code.NOSYS, f"noded has no call {envelope.op[:40]!r}")
    return Refused(Code.INVAL, f"{envelope.op}: {reason}")


def _other_version(theirs: int) -> str:
    return f"the request speaks version {theirs} of the control protocol, noded speaks {VERSION}: install one version"
