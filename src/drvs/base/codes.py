"""The canonical return codes: their numbers, their names in the guide, and what each one means.

The numbers are MINIX's and the guide's. `Code.canonical` gives the guide's spelling, which only documents, the compat
layer and messages for people use.
"""

from enum import IntEnum, unique


class Code(IntEnum):
    """A return code of the kernel or of noded: 0, or a negative number."""

    OK = 0
    PERM = -1
    INTR = -4
    TOOBIG = -7
    BADF = -9
    AGAIN = -11
    NOMEM = -12
    ACCES = -13
    FAULT = -14
    BUSY = -16
    EXIST = -17
    NODEV = -19
    NOTDIR = -20
    INVAL = -22
    RANGE = -34
    DEADLK = -35
    NAMETOOLONG = -36
    NOSYS = -38
    BADDEST = -55
    TIMEDOUT = -61
    NOTCONN = -64
    SHUTDOWN = -65
    MSGSIZE = -73
    GENERIC = -99
    LOCKED = -101
    BADCALL = -102
    BADSRCDST = -103
    CALLDENIED = -104
    DEADSRCDST = -105
    NOTREADY = -106
    BADREQUEST = -107
    SRCDIED = -108
    DSTDIED = -109
    TRAPDENIED = -110
    DONTREPLY = -201
    ERRCODE = -300
    BADNODEID = -301
    BADVMID = -302
    VMNOTRUN = -303
    BADPROC = -304
    BADPID = -305
    ENDPOINT = -306
    NOPROXY = -307
    RMTPROC = -308
    LCLPROC = -309
    NOTBIND = -310
    PROXYRUN = -311
    ACKDST = -312
    ACKSRC = -313
    ACKWAIT = -314
    NODEBUSY = -315
    NONODE = -316
    DRVSBUSY = -317
    DRVSINIT = -318
    NOVMNODE = -319
    PROCRUN = -320
    NOMSG = -321
    VMRUN = -323
    PROCSTS = -324
    NODEFREE = -325
    VMNODE = -326
    BADPROXY = -327
    ONCOPY = -328
    ENQUEUED = -329
    OVERRUN = -330
    BADOWNER = -331
    MIGRATE = -332
    PROXYFREE = -333
    GRPLEADER = -334
    PRIVILEGES = -335
    BINDTYPE = -336
    SLOTUSED = -337
    BADRANGE = -338
    BADVALUE = -339
    BADDIR = -340
    BADFILE = -341
    RSCBUSY = -342
    NAMESIZE = -343
    ALLOCMEM = -344
    PROXYID = -345
    REPLPROC = -346
    ALIGN = -347
    WOKENUP = -348
    PRIMARY = -401
    NOREPLICA = -402
    RESTARTSYS = -512

    @property
    def canonical(self) -> str:
        """The guide's spelling: ``EMOLDSTDIED``, ``-EPERM``, ``-ERESTARTSYS``."""
        return _CANONICAL.get(self, f"EMOL{self.name}")

    @property
    def meaning(self) -> str:
        """One clause, lower case and without a full stop: fits after a colon."""
        return _MEANING[self]

    @classmethod
    def of(cls, number: int) -> "Code":
        """Return the code with this number; GENERIC for a number that is none (a newer peer, a damaged word)."""
        try:
            return cls(number)
        except ValueError:
            return cls.GENERIC


unique(Code)

_CANONICAL = {Code.OK: "OK", Code.PERM: "-EPERM", Code.RESTARTSYS: "-ERESTARTSYS", Code.TOOBIG: "EMOL2BIG"}

#: Spellings that stand in the guide's text but in none of its headers.
GUIDE_ALIASES = {"EMOLNOTVMRUN": Code.VMNOTRUN, "EMOLPROXY": Code.BADPROXY}

_MEANING = {
    Code.OK: "done",
    Code.PERM: "the caller may not do this: it takes root or the user who owns the node",
    Code.INTR: "another thread or a cancellation interrupted the call",
    Code.TOOBIG: "an argument is too big",
    Code.BADF: "a file of the node could not be created",
    Code.AGAIN: "the call would have had to wait",
    Code.NOMEM: "there is not enough memory",
    Code.ACCES: "access was denied",
    Code.FAULT: "an address of the block is not mapped in its process",
    Code.BUSY: "it is in use already",
    Code.EXIST: "the name is taken",
    Code.NODEV: "there is no such device",
    Code.NOTDIR: "a directory of the node could not be created",
    Code.INVAL: "an argument is not valid",
    Code.RANGE: "a number is out of range",
    Code.DEADLK: "the call would never end",
    Code.NAMETOOLONG: "the name is longer than 15 bytes",
    Code.NOSYS: "this version does not have the call",
    Code.BADDEST: "the destination is not valid",
    Code.TIMEDOUT: "the time given was over first",
    Code.NOTCONN: "the proxies of that node run but are not connected",
    Code.SHUTDOWN: "the endpoint was unbound while the call waited",
    Code.MSGSIZE: "the message does not have the right size",
    Code.GENERIC: "an error without a code of its own",
    Code.LOCKED: "the wait would close a circle of processes that wait for each other",
    Code.BADCALL: "there is no call with that number",
    Code.BADSRCDST: "source or destination is not valid",
    Code.CALLDENIED: "the endpoint's privileges do not let it talk to that endpoint",
    Code.DEADSRCDST: "source or destination is dead",
    Code.NOTREADY: "the endpoint is in the middle of another call, or is a backup",
    Code.BADREQUEST: "there is no request with that number",
    Code.SRCDIED: "the source died or was unbound",
    Code.DSTDIED: "the destination died or was unbound",
    Code.TRAPDENIED: "the endpoint's privileges do not let it make this call",
    Code.DONTREPLY: "no reply is to be sent",
    Code.ERRCODE: "an error without a code of its own",
    Code.BADNODEID: "the node id is out of range",
    Code.BADVMID: "the VM does not exist, is another one, or its region is damaged",
    Code.VMNOTRUN: "the VM is not running",
    Code.BADPROC: "there is no such process, or its slot is damaged",
    Code.BADPID: "the process id is not valid here",
    Code.ENDPOINT: "the endpoint is not valid here",
    Code.NOPROXY: "no proxies run for that node",
    Code.RMTPROC: "the process is on another node",
    Code.LCLPROC: "the process is on this node",
    Code.NOTBIND: "it is not bound",
    Code.PROXYRUN: "the proxies run already",
    Code.ACKDST: "the destination of an acknowledgement is not valid",
    Code.ACKSRC: "the source of an acknowledgement is not valid",
    Code.ACKWAIT: "an acknowledgement is outstanding",
    Code.NODEBUSY: "the node has proxies already",
    Code.NONODE: "there is no such node",
    Code.DRVSBUSY: "the node is initialised already",
    Code.DRVSINIT: "no node runs here, or it is not initialised",
    Code.NOVMNODE: "the VM does not run on that node",
    Code.PROCRUN: "the process is running",
    Code.NOMSG: "there is no message",
    Code.VMRUN: "the VM runs already",
    Code.PROCSTS: "the other process is not in the state this call needs",
    Code.NODEFREE: "the node is not in use",
    Code.VMNODE: "the VM's list of nodes does not agree",
    Code.BADPROXY: "the process is a proxy",
    Code.ONCOPY: "its memory is being copied",
    Code.ENQUEUED: "it is queued already",
    Code.OVERRUN: "there is no room for another pending notification",
    Code.BADOWNER: "it belongs to another process",
    Code.MIGRATE: "the endpoint is migrating",
    Code.PROXYFREE: "the proxy pair is not in use",
    Code.GRPLEADER: "the main thread of the process is not bound",
    Code.PRIVILEGES: "the privileges are not sufficient",
    Code.BINDTYPE: "there is no such kind of binding",
    Code.SLOTUSED: "the slot is in use",
    Code.BADRANGE: "a number is out of range",
    Code.BADVALUE: "a value is not valid",
    Code.BADDIR: "a directory could not be created",
    Code.BADFILE: "a file could not be created",
    Code.RSCBUSY: "it is in use already",
    Code.NAMESIZE: "the name is too long",
    Code.ALLOCMEM: "there is not enough memory",
    Code.PROXYID: "the proxy id is not valid",
    Code.REPLPROC: "the process is a replica",
    Code.ALIGN: "an address is not aligned",
    Code.WOKENUP: "another process woke the receiver without a message",
    Code.PRIMARY: "the process is the primary",
    Code.NOREPLICA: "there is no replica",
    Code.RESTARTSYS: "a signal arrived while the call waited",
}
