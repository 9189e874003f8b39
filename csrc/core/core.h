/* core.h: the kernel core's table of contents.
 *
 * Four levels, each built on the one before:
 *
 *   region    a VM in shared memory: sizes, format, attach, range-checked access        region.c
 *   kernel    transitions: one operation under the VM's lock, never sleeping            ipc.c notify.c bind.c copy.c priv.c
 *             and what of them crosses to other nodes                                   route.c remote.c outbox.c farcopy.c cut.c
 *   handle    one endpoint as its owner uses it: blocks, spins, times out               handle.c
 *   proxy     commands taken for other nodes and put from there                         proxy.c takecopy.c put.c putcopy.c window.c wire.c
 *
 * Lock order: the VM lock is the only lock. A transition returns K_OK or a negative code when it is DONE, K_BLOCKED when the
 * caller now waits in its slot. Nothing on the path of a message allocates or logs,
 * and no index, length or link that was read from shared memory is used unchecked.
 */
#ifndef DRVS_CORE_H
#define DRVS_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codes.h"
#include "command.h"
#include "layout.h"
#include "window.h"

/* ---- region ------------------------------------------------------------------------------------------------- */

struct k_limits {
    uint32_t vmid, node, nr_procs, nr_tasks, nr_sysprocs, notes, copy_len_max, copy_buf, owner_uid, nr_nodes, nr_proxies;
    char name[K_NAME_BYTES];
    uint32_t generation; /* of slots that nobody has had, for k_region_format alone; goes round */
};

struct k_region { /* private to a process: geometry is copied at attach, so that later damage cannot move it */
    uint8_t *base;
    size_t bytes;
    struct k_limits limits;
    uint32_t members;    /* nr_tasks + nr_procs: slots that can be bound */
    uint32_t slots;      /* members + K_KERNEL_SLOTS + two for each proxy pair */
    uint32_t map_words;  /* 64-bit words in a bitmap over the system slots */
    uint32_t buckets;    /* a power of two */
    uint32_t gen_size;   /* of the endpoint arithmetic */
    uint64_t gen_inverse; /* 2^64 / gen_size, rounded up: a remainder by two multiplications */
    size_t slots_at, pending_at, privs_at, priv_bytes, notes_at, buckets_at, routes_at;
    int doorbell;        /* eventfd that is written when an armed proxy has work; -1: none. Set by whoever attaches */
};

/* Bytes a region with these limits takes; 0 if a limit is out of range. */
size_t k_region_bytes(const struct k_limits *limits);
/* Write an empty VM into `bytes` zeroed bytes at `base`. K_OK, K_RANGE. */
int k_region_format(void *base, size_t bytes, const struct k_limits *limits);
/* Fill `region` from a formatted mapping; NULL, or the reason why it is refused. */
const char *k_region_attach(struct k_region *region, void *base, size_t bytes);

/* Endpoint arithmetic (guide 1.6). decode: false if no slot of this VM can have that endpoint. */
int32_t k_endpoint_encode(const struct k_region *region, uint32_t slot, uint32_t generation);
bool k_endpoint_decode(const struct k_region *region, int32_t endpoint, uint32_t *slot);
/* The last one of a slot; after it comes 1. */
uint32_t k_generation_max(const struct k_region *region);
/* Of two endpoints of one slot: generations are counted up and begin anew at their end, so what is more than half way ahead is behind. */
bool k_endpoint_is_earlier(int32_t endpoint, int32_t other);

/* ---- one call ----------------------------------------------------------------------------------------------- */

enum k_call_flags { K_CALL_NOWAIT = 1, K_CALL_TRACE = 2 };

struct k_call {
    /* in */
    uint32_t op;                /* enum k_op */
    int32_t peer;               /* destination or source endpoint */
    uint32_t flags;
    uint32_t answers;           /* reply, send: the call number answered; 0: whichever the peer waits for */
    uint32_t value;             /* notify: argument; 0 needs no record between system slots */
    int32_t as_p_nr;            /* notify: on behalf of this process number; INT32_MIN: of the caller */
    uint64_t now_ns;            /* notify: CLOCK_REALTIME, the timestamp carried */
    struct k_message *message;  /* sent, and overwritten by what is received */
    uint8_t trace[16];          /* W3C trace id sent (K_CALL_TRACE) and received (K_IN_TRACE) */
    /* out */
    uint32_t in_flags;          /* enum k_in */
    uint32_t in_call;           /* request received: its call number, for the answer */
    int reply_code;             /* reply-and-receive: how the answer went */
    bool answered;              /* what was sent ended its receiver's wait for an answer */
    /* the handle's own */
    bool started, replies, ended, slept;
};

/* ---- kernel: transitions by whoever holds a slot (member or kernel slot) -------------------------------------- */

struct k_wakes { uint32_t n, slot[K_WAKES_MAX]; bool rang; }; /* who became runnable; whether the doorbell was due */

/* One IPC operation by slot `me` (send, receive, notify, sendrec, rcvrqst, reply, relay): takes the lock without limit, runs
 * the transition, lets go, wakes. `wakes`, if given, tells whom it made runnable. */
int k_step(struct k_region *region, uint32_t me, struct k_call *call, struct k_wakes *wakes);
/* The same for the daemon, which never waits longer than this for a VM's lock: K_TIMEDOUT. */
int k_step_within(struct k_region *region, uint32_t me, struct k_call *call, int lock_ms, struct k_wakes *wakes);
/* Give up a blocked call: K_OK if it was still blocked and now ends with `verdict`, K_BLOCKED if a copy holds the caller's
 * buffers (the verdict stands, sleep until the copy ends), K_AGAIN if it had already ended. */
int k_step_cancel(struct k_region *region, uint32_t me, int verdict, struct k_wakes *wakes);
/* Sleep while the slot is blocked: K_OK when it no longer is, K_TIMEDOUT, K_RESTARTSYS after a signal, or how the VM ended. */
int k_step_sleep(struct k_region *region, uint32_t me, int64_t timeout_ns);
/* Read how a call that had blocked ended: its code; fills call->message, in_flags, in_call, trace. */
int k_step_finish(struct k_region *region, uint32_t me, struct k_call *call);
/* Begin a copy between two endpoints (K_SELF allowed); slots of the parties out. End it: K_OK, or K_SRCDIED/K_DSTDIED when a
 * party was unbound meanwhile. */
int k_step_copy_begin(struct k_region *region, uint32_t me, int32_t src, int32_t dst, uint64_t bytes, uint32_t *src_slot, uint32_t *dst_slot);
/* Ask for a copy with a party of another node: K_BLOCKED. K_LCLPROC: both are of this one. */
int k_step_copy_far(struct k_region *region, uint32_t me, int32_t src, uint64_t src_address, int32_t dst, uint64_t dst_address, uint64_t bytes, struct k_wakes *wakes);
int k_step_copy_end(struct k_region *region, uint32_t me, struct k_wakes *wakes);

/* ---- kernel: management, by noded or a test. `me` is a kernel slot; lock_ms bounds the wait for the lock (K_TIMEDOUT) ----- */

enum k_bind_kind { K_BIND_LOCAL, K_BIND_REMOTE, K_BIND_BACKUP };

struct k_bind {
    uint32_t slot;          /* p_nr + nr_tasks */
    uint32_t kind;          /* enum k_bind_kind */
    int32_t pid, tid, node;
    int32_t want_endpoint;  /* remote, backup: the endpoint to take over; local: 0 */
    char name[K_NAME_BYTES];
    int32_t endpoint;       /* out */
    uint32_t incarnation;   /* out */
};

int k_step_bind(struct k_region *region, uint32_t me, struct k_bind *bind, int lock_ms);
/* Unbind, one bounded step a lock hold: the slot's owner leaves its blocked call with `verdict`, everyone who waits on it gets
 * DSTDIED/SRCDIED. K_MORE until K_OK; K_ONCOPY while another process copies from or to it and `force` is not set
 * (a dead one is forced). k_unbind runs all the steps. incarnation 0: whoever is there. */
int k_step_unbind(struct k_region *region, uint32_t me, uint32_t slot, uint32_t incarnation, int verdict, bool force, int lock_ms, struct k_wakes *wakes);
int k_unbind(struct k_region *region, uint32_t me, uint32_t slot, uint32_t incarnation, int verdict, bool force, int lock_ms);
/* Abort the receive of `endpoint` with WOKENUP, or remember it for its next one. */
int k_step_wakeup(struct k_region *region, uint32_t me, int32_t endpoint, int lock_ms, struct k_wakes *wakes);
/* The VM is over (K_VM_ENDED, K_VM_CORRUPT): everyone wakes with VMNOTRUN or BADVMID. Needs no lock. */
void k_vm_end(struct k_region *region, uint32_t state);
/* Write the route to a node (layout.h): K_OK, K_BADNODEID. */
int k_step_route(struct k_region *region, uint32_t me, uint32_t node, uint32_t word, int lock_ms);
/* Whether calls to `node` can be made now: K_OK, K_BADNODEID, K_NOVMNODE, K_NOPROXY, K_NOTCONN. Needs no lock. */
int k_route_code(const struct k_region *region, int64_t node);

/* End what is under way with `node`: calls to its processes, their calls here, those who wait on them, and copies, one a lock hold:
 * K_MORE until K_OK. Those who wait get `code`. `unbind`: its processes are unbound, too. `*at` is 0 at first and then the caller's
 * to keep. Set the route first, so that nothing new begins. k_cut runs all the steps. */
int k_step_cut(struct k_region *region, uint32_t me, uint32_t node, int code, bool unbind, uint32_t *at, int lock_ms, struct k_wakes *wakes);
int k_cut(struct k_region *region, uint32_t me, uint32_t node, int code, bool unbind, int lock_ms);
/* A pair of proxies is dead: the copies it held go on, and its wake-ups are paid. */
int k_bury_proxies(struct k_region *region, uint32_t me, uint32_t px, int lock_ms);

/* Pay the wake-ups a slot still owes (whoever buries a process, and noded for its own kernel slot after a restart). */
void k_pay_debts(struct k_region *region, uint32_t slot);

struct k_priv_view { /* privileges by value; maps point to map_words words each, of the caller */
    uint32_t id; int32_t warn, level; uint32_t traps; uint64_t calls, alarm; uint64_t *ipc_from, *ipc_to;
};
int k_step_getpriv(struct k_region *region, uint32_t me, uint32_t slot, struct k_priv_view *view, int lock_ms);
int k_step_setpriv(struct k_region *region, uint32_t me, uint32_t slot, uint32_t incarnation, const struct k_priv_view *view, int lock_ms);

/* A consistent copy of one slot, and the names in it. */
int k_step_snapshot(struct k_region *region, uint32_t me, uint32_t slot, struct k_slot *copy, int lock_ms);

/* Who holds the lock now: its tid or 0, and the acquisition count. */
struct k_holder { uint32_t tid, epoch; bool died; };
struct k_holder k_lock_holder(const struct k_region *region);
/* Take the lock away from a word that names no holder (noded, after it has looked): recovery runs as for a dead one. */
int k_lock_break(struct k_region *region, uint32_t me, uint32_t seen_tid);

/* Check every invariant under the lock; calls `report` for each that does not hold and returns how many, or a code < 0. */
int k_audit(struct k_region *region, uint32_t me, void (*report)(void *context, const char *text), void *context, int lock_ms);

/* ---- handle: an endpoint as its owner uses it ------------------------------------------------------------------ */

struct k_handle {
    struct k_region region;
    uint32_t slot, incarnation;
    int32_t endpoint, pid;
    uint32_t fork_epoch;       /* a forked child is not the owner */
    _Atomic uint32_t busy;     /* a call is in a transition or asleep: a second one gets NOTREADY */
    uint32_t spin_ns;          /* budget of the CPU-aware spin; 0: sleep at once */
    bool privileged;           /* euid 0 or the node's owner, at open */
    bool cancel_owed;          /* a timed call ended while the lock was stuck: its place in the tables is still to be left */
    uint64_t *accepted;        /* by slot: incarnation << 32 | number of the call last accepted from it and not yet answered */
    uint64_t *members;         /* by slot: incarnation << 32 | pid known to map this region */
    uint32_t spins, sleeps;    /* statistics */
};

/* `base` stays mapped until k_handle_close, which does not unmap it. */
int k_handle_open(struct k_handle *handle, const struct k_region *region, uint32_t slot, uint32_t incarnation, int32_t endpoint, uint32_t spin_ns);
void k_handle_close(struct k_handle *handle);

#define K_FOREVER INT64_MAX /* deadlines are CLOCK_MONOTONIC nanoseconds */

/* A call in phases, for callers that hold a lock of their own (the GIL) and must not sleep with it:
 *
 *   k_call_start    at most about a microsecond. A code when done, K_BLOCKED when it waits, K_CONTENDED when the VM lock was
 *                   not free (nothing done: go on with k_call_wait, which starts it).
 *   k_call_spin     spin up to `ns` if the peer runs on another CPU: a code when done, K_BLOCKED otherwise.
 *   k_call_nap      one sleep of at most `ns`, whatever the deadline: a code when done, K_BLOCKED, K_RESTARTSYS.
 *   k_call_wait     spin out the budget, then sleep until done, deadline (TIMEDOUT) or signal (K_RESTARTSYS: still blocked;
 *                   call it again, or k_call_cancel). K_BLOCKED: still blocked after a second; call it again, having looked
 *                   for a signal that came just before the sleep.
 *   k_call_cancel   leave a blocked call with `verdict`; if it had ended meanwhile, its own result is returned instead.
 *
 * k_call is all of them: K_RESTARTSYS cancels. A handle is `busy` from start to the final code. */
int k_call_start(struct k_handle *handle, struct k_call *call);
int k_call_spin(struct k_handle *handle, struct k_call *call, uint64_t ns);
int k_call_nap(struct k_handle *handle, struct k_call *call, int64_t ns);
int k_call_wait(struct k_handle *handle, struct k_call *call, int64_t deadline_ns);
int k_call_cancel(struct k_handle *handle, struct k_call *call, int verdict);
int k_call(struct k_handle *handle, struct k_call *call, int64_t deadline_ns);
/* Answer `call->peer`, then receive from ANY, in one lock hold. The start phase; go on as for any call. If the answer fails, the
 * receive goes on all the same and call->reply_code tells. */
int k_call_start_reply_receive(struct k_handle *handle, struct k_call *call);
/* From another thread of the same process: end the blocked call of this handle with K_INTR. */
int k_handle_interrupt(struct k_handle *handle);

/* One copy between two host processes that the kernel of Linux refused to the caller (Yama, another user): noded may do it. */
struct k_copy { uint32_t src_slot, dst_slot; int32_t src_pid, dst_pid; uint64_t src_address, dst_address, bytes; };
typedef int k_copy_fallback(void *context, const struct k_copy *copy);
/* Copy bytes between the address spaces of two endpoints, both held ONCOPY meanwhile. Between processes of one node it blocks only for
 * the copying. Returns K_OK, K_PERM, K_FAULT or the codes of the guide (3.1.6); K_RESTARTSYS if a signal came while other nodes
 * were waited for. `fallback` may be NULL. k_copy_start returns K_BLOCKED instead of waiting for other nodes: go on as for any call. */
int k_copy_start(struct k_handle *handle, struct k_call *call, const struct k_copy *copy, int32_t src, int32_t dst, k_copy_fallback *fallback, void *context);
int k_copy(struct k_handle *handle, int32_t src, uint64_t src_address, int32_t dst, uint64_t dst_address, uint64_t bytes, k_copy_fallback *fallback, void *context);
/* The bytes alone, between two host processes (0: the caller), in pieces of `chunk`: K_OK, K_PERM, K_FAULT, K_SRCDIED, K_DSTDIED. */
int k_copy_bytes(int32_t src_pid, uint64_t src_address, int32_t dst_pid, uint64_t dst_address, uint64_t bytes, uint32_t chunk);

/* ---- proxy: a VM as one pair of proxies sees it (proxy.c, put.c) -------------------------------------------------- */

struct k_proxy {
    struct k_region region;
    uint32_t px, node;
    int32_t pid;
    uint64_t *members;         /* as in a handle */
    k_copy_fallback *fallback; /* who copies where Linux refuses it; may be NULL */
    void *context;
    struct k_windows windows;  /* memory of members that is mapped here */
};

/* `px` is below nr_proxies, `node` is the node it runs on. */
int k_proxy_open(struct k_proxy *proxy, const struct k_region *region, uint32_t px, uint32_t node);
void k_proxy_close(struct k_proxy *proxy);
/* Take the oldest command for a node that has no bit in `skip` (nr_nodes bits, or NULL); its payload goes to `payload`, which has
 * room for k_proxy_room bytes. K_OK; K_AGAIN: there is none; K_TIMEDOUT, K_VMNOTRUN, K_BADVMID. */
int k_proxy_take(struct k_proxy *proxy, const uint8_t *skip, struct k_command *c, void *payload, int lock_ms);
uint32_t k_proxy_room(const struct k_proxy *proxy);
/* Deliver a command and its payload of c->len bytes. What goes wrong with it is told to the other side, where there is one; else
 * the code is K_VMNOTRUN, K_BADVMID, K_BADNODEID, K_NOVMNODE, K_NOPROXY, K_NOTCONN, K_RANGE, or K_TIMEDOUT (put it again). */
int k_proxy_put(struct k_proxy *proxy, const struct k_command *c, const void *payload, int lock_ms);
/* Ask for the doorbell when `commands` (1 or more) have come. K_OK; K_AGAIN: there is something to take already, for a node without a bit
 * in `skip`. */
int k_proxy_arm(struct k_proxy *proxy, const uint8_t *skip, uint32_t commands, int lock_ms);
/* Let go of what is not used any more. Call it before sleeping, where k_proxy_arm is not called. */
void k_proxy_rest(struct k_proxy *proxy);
/* There seems to be something to take. No lock. */
bool k_proxy_ready(const struct k_proxy *proxy);

/* The CPU + 1 on which an endpoint made its last call; 0: unknown. */
uint32_t k_cpu_of(const struct k_region *region, int32_t endpoint);

int64_t k_now_ns(void); /* CLOCK_MONOTONIC */

#endif
