"""Flag words and small enumerations with the guide's numbers."""

from enum import IntEnum, IntFlag


class Rts(IntFlag):
    """Why a process cannot run (p_rts_flags): 0 when it can."""

    FREE = 1 << 0
    NO_MAP = 1 << 1
    SENDING = 1 << 2
    RECEIVING = 1 << 3
    SIGNALED = 1 << 4
    SIG_PENDING = 1 << 5
    P_STOP = 1 << 6
    NO_PRIV = 1 << 7
    NO_PRIORITY = 1 << 8
    NO_ENDPOINT = 1 << 9
    ONCOPY = 1 << 10
    MIGRATING = 1 << 11
    REMOTE = 1 << 12
    RMTOPER = 1 << 13
    WAITMIGR = 1 << 15
    DONATING = 1 << 16


class Misc(IntFlag):
    """What else is true of a process (p_misc_flags)."""

    PROXY = 1 << 0
    CONNECTED = 1 << 1
    NOTIFY = 1 << 2
    NEEDMIGR = 1 << 3
    BACKUP = 1 << 4
    LEADER = 1 << 5
    WOKENUP = 1 << 9


class NodeFlag(IntFlag):
    """What is true of a node (n_flags): 0 while no proxy pair leads to it. The local node is ATTACHED | SCONNECTED."""

    ATTACHED = 1 << 1
    SCONNECTED = 1 << 2
    RCONNECTED = 1 << 3


class PairFlag(IntFlag):
    """What is true of a proxy pair: 0 while nobody has it."""

    INUSE = 1 << 0
    SCONNECTED = 1 << 1
    RCONNECTED = 1 << 2


class Connection(IntEnum):
    """What a proxy pair tells of its connections."""

    CONNECT_SENDER = 1
    CONNECT_RECEIVER = 2
    DISCONNECT_SENDER = 3
    DISCONNECT_RECEIVER = 4


class Cmd(IntEnum):
    """What a command between nodes asks for; an acknowledgement is the number of its command with the bit ACK."""

    SEND_MSG = 1
    NTFY_MSG = 2
    SNDREC_MSG = 3
    REPLY_MSG = 4
    COPYIN_DATA = 5
    COPYOUT_RQST = 6
    COPYLCL_RQST = 7
    COPYRMT_RQST = 8
    COPYIN_RQST = 9
    HELLO = 10
    SHUTDOWN = 11
    CANCEL = 16
    ACK = 1 << 13
    SEND_ACK = ACK | SEND_MSG
    NTFY_ACK = ACK | NTFY_MSG
    SNDREC_ACK = ACK | SNDREC_MSG
    REPLY_ACK = ACK | REPLY_MSG
    COPYIN_ACK = ACK | COPYIN_DATA
    COPYOUT_DATA = ACK | COPYOUT_RQST
    COPYLCL_ACK = ACK | COPYLCL_RQST
    COPYRMT_ACK = ACK | COPYRMT_RQST


class CmdFlag(IntFlag):
    """What else is true of a command: the last piece of a copy, a trace id in it, nobody who waits for its answer."""

    LAST = 1
    TRACE = 2
    NOACK = 4


class Route(IntFlag):
    """The flags in the word of a region's route table; bits 16 to 31 are the proxy pair + 1."""

    VM = 1 << 0
    CONNECTED = 1 << 1


class DebugMask(IntFlag):
    """Categories of noded's log (d_dbglvl); 0 logs none of them, 0xFFFFFFFF all."""

    GENERIC = 0x2
    INTERNAL = 0x4
    PROCLOCK = 0x100
    VMLOCK = 0x200
    NODELOCK = 0x400
    TASKLOCK = 0x800
    MESSAGE = 0x1000
    CMD = 0x2000
    VCOPY = 0x4000
    PARAMS = 0x8000
    PROC = 0x10000
    PRIV = 0x20000
    PROCSEM = 0x40000


class Level(IntEnum):
    """Privilege levels (s_level)."""

    USER = 0
    SERVER = 1
    TASK = 2
    SYSTEM = 3
    KERNEL = 4
    PROXY = 5


class VmState(IntEnum):
    """What a VM's header says of it (vm_flags)."""

    RUNNING = 0
    FREE = 2
    CORRUPT = 4


class Call(IntEnum):
    """Call numbers: bits of a slot's trap mask (IPC calls, see IPC_CALLS) or call mask (all others)."""

    VMINIT = 0
    SEND = 1
    RECEIVE = 2
    NOTIFY = 4
    SENDREC = 5
    RCVRQST = 6
    REPLY = 7
    VMEND = 8
    BIND = 9
    UNBIND = 10
    VMDUMP = 11
    PROCDUMP = 12
    GETPRIV = 13
    SETPRIV = 14
    VCOPY = 15
    GETVMINFO = 16
    GETPROCINFO = 17
    RELAY = 19
    PROXYBIND = 20
    PROXYUNBIND = 21
    GETNODEINFO = 22
    PUT2LCL = 23
    GET2RMT = 24
    ADDNODE = 25
    DELNODE = 26
    DRVSINIT = 27
    DRVSEND = 28
    GETEP = 29
    GETDRVSINFO = 30
    PROXYCONN = 31
    WAIT4BIND = 32
    MIGRATE = 33
    NODEUP = 34
    NODEDOWN = 35
    GETPROXYINFO = 36


#: The calls of the trap mask; all others, copies and relays included, are bits of the call mask.
IPC_CALLS = frozenset({Call.SEND, Call.RECEIVE, Call.NOTIFY, Call.SENDREC, Call.RCVRQST, Call.REPLY})

#: m_type of a notification from process number p: NOTIFY_TYPE | p for 0 <= p < 4096.
NOTIFY_TYPE = 0x1000
