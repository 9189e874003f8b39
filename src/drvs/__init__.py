"""drvs: processes that send, call and copy by rendezvous in shared memory, as if a microkernel ran between them.

    import drvs

    with drvs.connect() as node, node.create_vm("lab") as vm, vm.bind(name="server") as ep:
        msg = ep.receive_request()
        while True:
            msg.m1_i1 += 1
            ep.reply_receive(msg, msg)

The names below are loaded when they are first used, so that importing drvs costs next to nothing.
"""

import importlib

TYPE_CHECKING = False  # typing itself would cost half of what importing drvs may take

if TYPE_CHECKING:
    from drvs.api import (
        VM,
        Block,
        Command,
        Endpoint,
        Node,
        NodeInfo,
        PairInfo,
        PeerInfo,
        Privileges,
        ProcessInfo,
        ProxyPair,
        VmInfo,
        connect,
        wait_for_bind,
    )
    from drvs.base.codes import Code
    from drvs.base.errors import (
        AccessDenied,
        BadAddress,
        BadEndpoint,
        BadMessage,
        BadState,
        Busy,
        CorruptStateError,
        DaemonGone,
        Deadlock,
        DestinationDied,
        DrvsError,
        Interrupted,
        Moved,
        NameTooLong,
        NoMemory,
        NotBound,
        NotReady,
        NotRunning,
        NotSupported,
        OutOfRange,
        Overrun,
        PeerDied,
        RuntimeDirError,
        SourceDied,
        TimedOut,
        Unreachable,
        WokenUp,
        WouldBlock,
    )
    from drvs.base.flags import Call, Cmd, CmdFlag, DebugMask, Level, Misc, NodeFlag, PairFlag, Rts, VmState
    from drvs.base.ids import ANY, HARDWARE, NONE, SELF, SYSTEM, EndpointId, NodeId, ProcessNumber, VmId
    from drvs.core import Message
    from drvs.executor import Executor, WorkerDiedError

__version__ = "0.1.0"

#: Where each name lives; those that are missing are errors.
_WHERE = {
    "drvs.api": "VM Block Command Endpoint Node NodeInfo PairInfo PeerInfo Privileges ProcessInfo ProxyPair VmInfo"
    " connect wait_for_bind",
    "drvs.base.codes": "Code",
    "drvs.base.flags": "Call Cmd CmdFlag DebugMask Level Misc NodeFlag PairFlag Rts VmState",
    "drvs.base.ids": "ANY HARDWARE NONE SELF SYSTEM EndpointId NodeId ProcessNumber VmId",
    "drvs.core": "Message",
    "drvs.executor": "Executor WorkerDiedError",
}
__all__ = [
    "VM", "Block", "Command", "Endpoint", "Message", "Node", "NodeInfo", "PairInfo", "PeerInfo", "Privileges",
    "ProcessInfo", "ProxyPair", "VmInfo", "connect", "wait_for_bind", "Code", "Call", "Cmd", "CmdFlag", "DebugMask",
    "Level", "Misc", "NodeFlag", "PairFlag", "Rts", "VmState", "ANY", "HARDWARE", "NONE",
    "SELF", "SYSTEM", "EndpointId", "NodeId", "ProcessNumber", "VmId", "AccessDenied", "BadAddress",
    "BadEndpoint", "BadMessage", "BadState", "Busy", "CorruptStateError", "DaemonGone", "Deadlock",
    "DestinationDied", "DrvsError", "Interrupted", "Moved", "NameTooLong", "NoMemory", "NotBound", "NotReady",
    "NotRunning", "NotSupported", "OutOfRange", "Overrun", "PeerDied", "RuntimeDirError", "SourceDied",
    "TimedOut", "Unreachable", "WokenUp", "WouldBlock", "Executor", "WorkerDiedError",
]  # fmt: skip

_MODULE_OF = dict.fromkeys(__all__, "drvs.base.errors")
_MODULE_OF |= {name: module for module, names in _WHERE.items() for name in names.split()}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'drvs' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
