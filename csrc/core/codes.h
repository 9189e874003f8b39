/* codes.h: the numbers of the kernel: return codes, special endpoints, call numbers, flags.
 *
 * The values are the guide's (reference: error numbers, constants, flags); the canonical spellings (EMOL…, mnx_…)
 * belong to the public C header and to the compat layer, so here they go by short names.
 */
#ifndef DRVS_CODES_H
#define DRVS_CODES_H

enum k_code {
    K_OK = 0,
    K_PERM = -1, K_INTR = -4, K_AGAIN = -11, K_NOMEM = -12, K_FAULT = -14, K_BUSY = -16, K_EXIST = -17,
    K_INVAL = -22, K_RANGE = -34, K_NAMETOOLONG = -36, K_NOSYS = -38, K_TIMEDOUT = -61, K_NOTCONN = -64,
    K_SHUTDOWN = -65, K_MSGSIZE = -73,
    K_LOCKED = -101, K_CALLDENIED = -104, K_NOTREADY = -106, K_SRCDIED = -108, K_DSTDIED = -109, K_TRAPDENIED = -110,
    K_BADNODEID = -301, K_BADVMID = -302, K_VMNOTRUN = -303, K_BADPROC = -304, K_BADPID = -305, K_ENDPOINT = -306,
    K_NOPROXY = -307, K_RMTPROC = -308, K_LCLPROC = -309, K_NOTBIND = -310, K_NOVMNODE = -319, K_PROCSTS = -324,
    K_ONCOPY = -328, K_OVERRUN = -330, K_SLOTUSED = -337, K_WOKENUP = -348, K_RESTARTSYS = -512,
    /* Never leave the core: what a step of a call reports to the code that sleeps for it. */
    K_BLOCKED = 1,   /* the caller is queued or waiting: sleep on its slot */
    K_CONTENDED = 2, /* the lock was not free at once: nothing was done, try again where sleeping is allowed */
    K_MORE = 3,      /* one step of a longer operation is done: run the next one */
};

enum k_endpoint { K_ANY = 31438, K_NOBODY = 27342, K_SELF = 35534 };

enum k_p_nr { K_HARDWARE = -1, K_SYSTEM = -2 };

/* Call numbers: bits of a slot's trap mask (IPC calls) and call mask (all others). */
enum k_op {
    K_SEND = 1, K_RECEIVE = 2, K_NOTIFY = 4, K_SENDREC = 5, K_RCVRQST = 6, K_REPLY = 7, K_VCOPY = 15, K_RELAY = 19,
};

/* The calls whose permission is a bit of the trap mask. */
#define K_TRAPS (1u << K_SEND | 1u << K_RECEIVE | 1u << K_NOTIFY | 1u << K_SENDREC | 1u << K_RCVRQST | 1u << K_REPLY)

/* p_rts_flags: a slot is runnable only when they are all clear. */
enum k_rts {
    K_RTS_FREE = 1u << 0, K_RTS_SENDING = 1u << 2, K_RTS_RECEIVING = 1u << 3, K_RTS_ONCOPY = 1u << 10,
    K_RTS_MIGRATING = 1u << 11, K_RTS_REMOTE = 1u << 12, K_RTS_RMTOPER = 1u << 13,
    /* Ours; masked out of what users see. */
    K_RTS_REQUESTS = 1u << 28, /* RECEIVING, but requests (sendrec) only */
    K_RTS_CLOSING = 1u << 29,  /* being unbound, one peer at a time */
    K_RTS_HELD = 1u << 30,     /* RECEIVING, and party of a copy between nodes: goes with the wait, and the copy fails then */
    K_RTS_VISIBLE = 0x0fffffff,
};

/* p_misc_flags */
enum k_misc { K_MISC_PROXY = 1u << 0, K_MISC_NOTIFY = 1u << 2, K_MISC_BACKUP = 1u << 4, K_MISC_LEADER = 1u << 5, K_MISC_WOKENUP = 1u << 9 };

/* What is said of a delivered message beside its 64 bytes. */
enum k_in { K_IN_NOTIFY = 1u << 0, K_IN_REQUEST = 1u << 1, K_IN_TRACE = 1u << 2 };

enum k_vm_state { K_VM_RUNNING = 0, K_VM_ENDED = 2, K_VM_CORRUPT = 4 };

enum { K_NOTIFY_TYPE = 0x1000, K_NOTIFY_P_NR_END = 4096 };

#endif
