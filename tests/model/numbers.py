"""The guide's numbers, written down a second time on purpose: the model shares no code with the core."""

from enum import IntEnum, IntFlag

ANY, NONE, SELF = 31438, 27342, 35534
NOTIFY_TYPE, NOTIFY_P_NR_END = 0x1000, 4096
CALLER = -(2**31)  # `as_p_nr` of a notification in the caller's own name


class Code(IntEnum):
    """What a step returns, those of a step that is not yet done included."""

    OK = 0
    BLOCKED = 1
    MORE = 3
    PERM = -1
    INTR = -4
    AGAIN = -11
    FAULT = -14
    BUSY = -16
    EXIST = -17
    INVAL = -22
    RANGE = -34
    NAMETOOLONG = -36
    TIMEDOUT = -61
    SHUTDOWN = -65
    LOCKED = -101
    CALLDENIED = -104
    NOTREADY = -106
    SRCDIED = -108
    DSTDIED = -109
    TRAPDENIED = -110
    BADVMID = -302
    VMNOTRUN = -303
    BADPROC = -304
    BADPID = -305
    ENDPOINT = -306
    NOTBIND = -310
    NOVMNODE = -319
    PROCSTS = -324
    ONCOPY = -328
    OVERRUN = -330
    WOKENUP = -348
    RESTARTSYS = -512


class Op(IntEnum):
    """Call numbers, which are also the bits of the trap mask."""

    SEND = 1
    RECEIVE = 2
    NOTIFY = 4
    SENDREC = 5
    RCVRQST = 6
    REPLY = 7
    VCOPY = 15
    RELAY = 19


class Rts(IntFlag):
    """Why a slot cannot run (the flags that a user sees)."""

    FREE = 1 << 0
    SENDING = 1 << 2
    RECEIVING = 1 << 3
    ONCOPY = 1 << 10
    REMOTE = 1 << 12


class In(IntFlag):
    """What is said of a delivered message beside its 64 bytes."""

    NOTIFY = 1 << 0
    REQUEST = 1 << 1


class VmState(IntEnum):
    """State of a VM."""

    RUNNING = 0
    ENDED = 2
    CORRUPT = 4
