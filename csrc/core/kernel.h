/* kernel.h: what the transitions share: predicates over slots, the checks before an operation, ending a wait. */
#ifndef DRVS_KERNEL_H
#define DRVS_KERNEL_H

#include <string.h>

#include "queue.h"

/* ---- predicates ------------------------------------------------------------------------------------------------- */

/* Blocked in a receive and in nothing else; a copy of its memory may be under way. Of a remote process: so at its node. */
static inline bool k_receives(const struct k_slot *s) {
    return (s->rts & ~(uint32_t)(K_RTS_ONCOPY | K_RTS_REQUESTS | K_RTS_HELD | K_RTS_REMOTE)) == K_RTS_RECEIVING;
}

/* It runs on another node; the slot here stands in the lists for it. */
static inline bool k_is_remote(const struct k_slot *s) {
    return s->rts & K_RTS_REMOTE;
}

/* In the second half of a sendrec: it has been received, and waits for the answer. */
static inline bool k_awaits_reply(const struct k_slot *s) {
    return k_receives(s) && s->call != 0;
}

/* `source` may deliver to `s` now. A caller that awaits a reply takes only what answers that very call. */
static inline bool k_will_receive(const struct k_slot *s, int32_t source, bool request, uint32_t answers) {
    if (!k_receives(s) || (s->getfrom != K_ANY && s->getfrom != source)) return false;
    if (s->rts & K_RTS_REQUESTS) return request;
    return s->call == 0 || answers == 0 || answers == s->call;
}

static inline bool k_will_receive_notify(const struct k_slot *s, int32_t source) {
    return k_receives(s) && s->call == 0 && !(s->rts & K_RTS_REQUESTS) && (s->getfrom == K_ANY || s->getfrom == source);
}

static inline bool k_is_bound(const struct k_slot *s) {
    return !(s->rts & (K_RTS_FREE | K_RTS_CLOSING));
}

/* A word that others change under the lock, read without it: for a guess, or by its owner between calls. */
static inline uint32_t k_peek(const uint32_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Whose CPU a waiter looks at before it spins: the caller's own. */
static inline void k_note_peer(struct k_slot *s, uint32_t peer) {
    if (k_peek(&s->last_peer) != peer) __atomic_store_n(&s->last_peer, peer, __ATOMIC_RELAXED);
}

/* Another slot's, with all else that changes on the line its owner polls. */
static inline void k_plan_peer(struct k_txn *t, struct k_slot *s, uint32_t peer) {
    if (k_peek(&s->last_peer) != peer) k_set(t, &s->last_peer, peer);
}

/* Its owner may not go on yet. The one word that says so; read without the lock by the owner alone. */
static inline bool k_is_blocked(const struct k_slot *s) {
    uint32_t rts = __atomic_load_n(&s->rts, __ATOMIC_ACQUIRE);
    return rts & (K_RTS_SENDING | K_RTS_RECEIVING | K_RTS_ONCOPY | K_RTS_RMTOPER);
}

/* ---- checks before an operation --------------------------------------------------------------------------------- */

static inline int k_vm_code(const struct k_region *region) {
    uint32_t state = atomic_load_explicit(&k_header(region)->state, memory_order_relaxed);
    return state == K_VM_RUNNING ? K_OK : state == K_VM_ENDED ? K_VMNOTRUN : K_BADVMID;
}

/* The VM runs, the caller's slot is its own and idle, and it may make call number `op`. */
int k_check_caller(const struct k_txn *t, uint32_t op);

/* The slot that `endpoint` names now. K_ENDPOINT: no endpoint of another slot; `dead` (K_DSTDIED, K_SRCDIED): its owner is gone;
 * K_BADNODEID, K_NOVMNODE, K_NOPROXY, K_NOTCONN: on a node that cannot be reached now. */
int k_find(struct k_txn *t, int32_t endpoint, int dead, uint32_t *index);

/* The bit that stands for a slot in others' maps until setpriv says otherwise: its own, or the last one, which all user slots share. */
static inline uint32_t k_default_id(const struct k_region *region, uint32_t slot) {
    uint32_t last = region->limits.nr_sysprocs - 1;
    return slot < last ? slot : last;
}

/* Privileges of both sides let `from` send to `to` (CALLDENIED otherwise). */
bool k_may_send(const struct k_region *region, uint32_t from, uint32_t to);

/* ---- ending a wait ------------------------------------------------------------------------------------------------ */

static inline uint32_t k_verdict(int code, uint32_t in_flags) {
    return in_flags << 16 | (uint32_t)-code;
}

/* The same for a remote process: its command is answered, if its node can be reached (remote.c). */
void k_tell_remote(struct k_txn *t, struct k_slot *s, uint32_t index, int code, uint32_t in_flags);

/* Plan the end of a blocked slot's wait: runnable, unless a copy still needs its memory (then copy_end wakes it). The caller has
 * planned its way out of queues. A remote process is told at its node. The verdict is planned with the rest, though nobody else reads
 * it: a spinning owner polls that line, and all words on it should change in one go. */
static inline void k_end_wait(struct k_txn *t, struct k_slot *s, uint32_t index, int code, uint32_t in_flags) {
    uint32_t rts = s->rts & ~(uint32_t)(K_RTS_SENDING | K_RTS_RECEIVING | K_RTS_REQUESTS | K_RTS_HELD | K_RTS_RMTOPER);
    if (__builtin_expect(k_is_remote(s), 0)) {
        k_tell_remote(t, s, index, code, in_flags);
        return;
    }
    k_set(t, &s->verdict, k_verdict(code, in_flags));
    k_set(t, &s->rts, rts);
    if (rts == 0) k_wake(t, index);
}

/* Plan a blocked slot's way out of the list it is in. False: it is in none that makes sense. */
bool k_leave_list(struct k_txn *t, struct k_slot *s, uint32_t index);

/* Notifications (notify.c). */
int k_notify(struct k_txn *t, struct k_call *call);
bool k_take_notification(struct k_txn *t, int32_t source, struct k_call *call);
bool k_drop_incoming(struct k_txn *t, struct k_slot *s, uint32_t index);
bool k_drop_outgoing(struct k_txn *t, struct k_slot *s, uint32_t index);
int k_post_record(struct k_txn *t, uint32_t dst, uint32_t src, int32_t src_ep, uint32_t value, bool posthumous);

void k_deliver_notification(struct k_txn *t, struct k_slot *d, uint32_t di, uint32_t si, int32_t source_ep, const struct k_call *call);

/* Call numbers are never 0 (none), nor this, which an answer has that answers nothing. */
#define K_ANSWERS_NOTHING UINT32_MAX

/* Into the slot of a sender that will queue. */
static inline void k_pack_message(struct k_slot *s, int32_t source, const struct k_message *message, const struct k_call *call) {
    memcpy(&s->message, message, sizeof *message);
    s->message.source = source;
    s->traced = (call->flags & K_CALL_TRACE) != 0;
    if (call->flags & K_CALL_TRACE) memcpy(s->trace, call->trace, sizeof s->trace);
}

static inline uint32_t k_new_call_number(struct k_slot *s) {
    s->call_next = s->call_next >= K_ANSWERS_NOTHING - 1 ? 1 : s->call_next + 1;
    return s->call_next;
}

/* Queue slot `s` at `d`. Its words besides links and rts are its own until the commit. */
static inline void k_enqueue(struct k_txn *t, struct k_slot *s, uint32_t si, struct k_slot *d, bool request) {
    s->ticket = d->ticket_next++;
    k_queue_push(t, request ? k_requests(d) : k_senders(d), s, si);
    k_set(t, &s->rts, (s->rts & (K_RTS_ONCOPY | K_RTS_REMOTE)) | K_RTS_SENDING | (request ? K_RTS_RECEIVING : 0u));
}

/* Commit a plan that has the caller wait. */
static inline int k_block(struct k_txn *t) {
    int code = k_commit(t);
    return code == K_OK ? K_BLOCKED : code;
}

/* Waiting for slot `d` would close a circle of waits that contains `waiter` (ipc.c). */
bool k_would_deadlock(const struct k_region *region, uint32_t waiter, uint32_t d);
/* Hand a message to a slot that receives from `from`: it may go on. `number` is not 0 for a request. */
void k_deliver(struct k_txn *t, struct k_slot *d, uint32_t di, struct k_slot *from, struct k_call *call, uint32_t number);
int k_send(struct k_txn *t, struct k_call *call, bool request);

/* The parties of the copy that `s` runs may go on (bind.c). */
void k_release_parties(struct k_txn *t, struct k_slot *s);
/* The first steps of an unbinding, within a lock hold that did something else: from here on nobody finds the slot. k_unbind goes on with the
 * rest. Commits of its own. */
int k_start_unbind(struct k_txn *t, uint32_t index, uint32_t incarnation, int verdict);

/* Start a receive (ipc.c); also the second half of reply-and-receive. */
int k_receive(struct k_txn *t, struct k_call *call);
int k_reply(struct k_txn *t, struct k_call *call);
int k_operate(struct k_txn *t, struct k_call *call);
int k_cancel_locked(struct k_txn *t, uint32_t index, int verdict);

#endif
