/* layout.h: every struct that lives in shared memory, and nothing else.
 *
 * A VM is one region:
 *
 *     header | slots | pending bitmaps | privileges | notification records | hash buckets | routes
 *
 * The slots are those of the members, then a few for those who act without an endpoint (noded), then two for each proxy pair.
 *
 * All of it is made of 32-bit words, because the redo record (redo.h) speaks of words. Lines of 64 bytes are grouped by
 * who touches them: what two processes exchange in a rendezvous is lines 0 and 1 of their slots, and nothing more.
 * Changing anything here is a new K_LAYOUT_VERSION.
 */
#ifndef DRVS_LAYOUT_H
#define DRVS_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    K_MAGIC = 0x53565244, /* "DRVS" */
    K_LAYOUT_VERSION = 2,
    K_LINE = 64,
    K_HEADER_BYTES = 4096,
    K_NAME_BYTES = 16,
    K_REDO_PAIRS = 38,
    K_WAKES_MAX = 4,
    K_KERNEL_SLOTS = 4, /* behind the members' slots: records for those who act without an endpoint (noded) */
};

#define K_NIL UINT32_MAX /* no slot, no record */
#define K_CPU_FAR 0x80000000u /* a remote process: its commands were last put on that CPU */

struct k_message {
    int32_t source;
    int32_t type;
    uint8_t payload[56];
};
static_assert(sizeof(struct k_message) == 64, "a message is one cache line");

struct k_header {
    /* line 0, guarded by the lock */
    _Alignas(K_LINE) _Atomic uint32_t lock; /* owner's tid | FUTEX_WAITERS | FUTEX_OWNER_DIED */
    uint32_t commit;                        /* slot + 1 whose redo record is committed, 0 if none */
    uint32_t epoch;                         /* counts acquisitions: tells a stuck holder from a busy lock */
    uint32_t note_free;                     /* first free notification record */
    uint32_t notes_used;
    uint32_t bound;                         /* slots that are not free */
    /* line 1, written once: copied and checked by whoever attaches, never read again */
    _Alignas(K_LINE) uint32_t magic;
    uint32_t version;
    uint32_t vmid;
    uint32_t node;
    uint32_t nr_procs;
    uint32_t nr_tasks;
    uint32_t nr_sysprocs;
    uint32_t notes;
    uint32_t buckets;
    uint32_t copy_len_max;
    uint32_t copy_buf;
    uint32_t owner_uid;
    uint32_t nr_nodes;
    uint32_t nr_proxies;
    uint64_t bytes;
    char name[K_NAME_BYTES];
    /* line 3, read before every call without the lock, hence apart from line 0 */
    _Alignas(K_LINE) _Atomic uint32_t state; /* enum k_vm_state */
};
static_assert(offsetof(struct k_header, magic) == K_LINE && offsetof(struct k_header, state) == 3 * K_LINE, "lines 1 to 3");
static_assert(sizeof(struct k_header) <= K_HEADER_BYTES, "header");

struct k_pair {
    uint32_t offset; /* bytes from the start of the region */
    uint32_t value;
};

struct k_slot {
    /* line 0: the rendezvous, guarded by the lock; `rts` is what the owner spins on, `seq` what it sleeps on */
    _Alignas(K_LINE) uint32_t rts;    /* enum k_rts */
    _Atomic uint32_t seq;             /* the futex word: changes when the owner is woken from its sleep */
    _Atomic uint32_t waiting;         /* set and cleared by the owner alone */
    uint32_t last_peer;               /* whose CPU its owner looks at before it spins */
    int32_t getfrom;                  /* who may deliver to a RECEIVING slot */
    int32_t sendto;                   /* where a SENDING slot is queued */
    uint32_t call;                    /* number of the request this slot has out; 0: none */
    uint32_t verdict;                 /* how its blocked call ended: in_flags << 16 | -code */
    uint32_t in_call;                 /* call number of the request that was delivered */
    uint32_t next, prev;              /* in the queue of `sendto`, or in the waiter list of `getfrom` */
    uint32_t waiters;                 /* slots RECEIVING from this one alone */
    uint32_t senders_head, senders_tail;
    uint32_t requests_head, requests_tail;
    /* line 1: the message it sends, then the one it gets */
    _Alignas(K_LINE) struct k_message message;
    /* line 2: what peers read and the owner seldom writes; pending notifications */
    _Alignas(K_LINE) _Atomic uint32_t cpu; /* + 1, of the owner's last wait; 0: unknown; K_CPU_FAR with that of the proxy */
    int32_t endpoint;
    int32_t pid, tid;
    uint32_t incarnation; /* + 1 at each bind */
    uint32_t misc;        /* enum k_misc */
    uint32_t self;        /* the slot's own index: damage shows here */
    int32_t node;
    uint32_t ticket;      /* orders senders_* and requests_* of one destination */
    uint32_t ticket_next;
    uint32_t restricted;  /* privileges are less than everything: look at them */
    uint32_t priv;        /* which of its two privilege records is in force: 0 or 1 */
    uint32_t notes_head, notes_tail;
    uint32_t notes_out;   /* notifications by this slot that wait somewhere */
    uint32_t summary;     /* bit w: word w of the pending bitmap is not zero */
    /* line 3 */
    _Alignas(K_LINE) uint8_t trace[16];
    uint8_t in_trace[16];
    char name[K_NAME_BYTES];
    uint32_t generation;
    uint32_t bkup_of; /* node of the primary, for a backup or a remote */
    uint32_t traced;  /* the message it sends carries `trace` */
    uint32_t spare3;
    /* line 4: the owner's own */
    _Alignas(K_LINE) uint32_t debts[K_WAKES_MAX]; /* slot + 1 of wake-ups not yet paid */
    uint32_t call_next;
    uint32_t copy_src, copy_dst; /* slot + 1 of the parties of the copy it runs */
    uint32_t copy_src_incarnation, copy_dst_incarnation;
    uint32_t spare4;
    uint32_t sent_local, sent_remote, copied_local, copied_remote;
    uint32_t spare5[2];
    /* lines 5-9: the redo record */
    _Alignas(K_LINE) uint32_t redo_count;
    uint32_t spare6[3];
    struct k_pair redo[K_REDO_PAIRS];
    /* line 10: the one command that it has for another node (command.h), and the queue of the proxy that will take it */
    _Alignas(K_LINE) uint32_t px; /* proxy pair + 1 in whose queue it stands; 0: in none */
    uint32_t px_next, px_prev;
    uint32_t px_head, px_tail; /* of a sender proxy's slot: its queue, oldest first */
    uint32_t armed;            /* of a sender proxy's slot: it sleeps; ring the doorbell when so many commands have come */
    uint32_t out_cmd, out_node;
    int32_t out_src, out_dst;
    uint32_t out_call, out_answers, out_flags, out_value;
    int32_t out_code;
    uint32_t spare7;
    /* line 11: the copy that it has asked for, or runs for a process of another node */
    _Alignas(K_LINE) int32_t v_src;
    int32_t v_dst, v_rqtr;
    uint32_t v_rnode, v_dnode;       /* nodes of the requester and of the destination */
    uint32_t v_bytes, v_done;
    uint32_t v_saddr[2], v_daddr[2]; /* low word first */
    uint32_t holder;                 /* of a HELD slot: slot + 1 whose copy holds it */
    /* a remote process */
    uint32_t remote_call;            /* its call that is under way here, as its own node numbers it */
    uint32_t remote_incarnation;     /* on its own node; 0: not known yet */
    uint32_t newest_call;            /* of those that came here: an older one comes late, by way of a third node */
    uint32_t spare8;
};
static_assert(offsetof(struct k_slot, message) == 1 * K_LINE, "line 1");
static_assert(offsetof(struct k_slot, cpu) == 2 * K_LINE, "line 2");
static_assert(offsetof(struct k_slot, trace) == 3 * K_LINE, "line 3");
static_assert(offsetof(struct k_slot, debts) == 4 * K_LINE, "line 4");
static_assert(offsetof(struct k_slot, redo_count) == 5 * K_LINE, "line 5");
static_assert(offsetof(struct k_slot, px) == 10 * K_LINE && offsetof(struct k_slot, v_src) == 11 * K_LINE, "lines 10, 11");
static_assert(sizeof(struct k_slot) == 12 * K_LINE, "twelve lines");

/* Privileges: two records a slot, `k_slot.priv` names the one in force, so that setting them is one word. */
struct k_priv {
    uint32_t id;     /* the bit that stands for this slot in other slots' maps */
    int32_t warn;    /* p_nr of the process notified when this one exits; K_NOBODY: none */
    int32_t level;
    uint32_t traps;  /* bit = number of an IPC call */
    uint64_t calls;  /* bit = number of any other call */
    uint64_t alarm;  /* CLOCK_MONOTONIC ns; 0: none. Kept here for the daemon, which rings it */
    uint64_t maps[]; /* ipc_from, then ipc_to: sysmap_words each */
};

struct k_note {
    uint32_t dst;    /* slot it waits at; K_NIL: free */
    uint32_t src;    /* slot it comes from */
    int32_t src_ep;
    uint32_t value;
    uint32_t chain;  /* next in the hash bucket, or in the free list */
    uint32_t next, prev; /* in the destination's list, oldest first */
    uint32_t posthumous; /* its source was told of dead: counted in nobody's notes_out */
};
static_assert(sizeof(struct k_note) == 32, "two to a line");

/* A route, one word for each node: K_ROUTE_VM (the VM runs there), K_ROUTE_CONNECTED, and the proxy pair + 1 from bit 16 on. */
enum { K_ROUTE_VM = 1, K_ROUTE_CONNECTED = 2, K_ROUTE_PX_SHIFT = 16 };

#endif
