/* ipc.c: the rendezvous: send, receive, sendrec, reply, relay.
 *
 * A sender delivers at once if its destination already receives from it, and queues on the destination otherwise. A receiver takes,
 * in this order: a remembered wakeup, a pending notification, the oldest queued sender; or it blocks. A sendrec is a send
 * that goes straight over into RECEIVING from its destination, with a call number that the answer must match.
 *
 * Prior art: MINIX 3 kernel/proc.c. What differs: separate queues for plain senders and requests, call numbers, the wait-cycle
 * check follows callers that await a reply too, and nothing here is half done after a SIGKILL (txn.h).
 */
#include "kernel.h"
#include "remote.h"

#include <errno.h>

/* ---- moving the 64 bytes ------------------------------------------------------------------------------------------ */

/* Into the mailbox of a slot whose wait is being ended. */
static inline void put_message(struct k_slot *d, int32_t source, const struct k_message *message, const struct k_call *call) {
    memcpy(&d->message, message, sizeof *message);
    d->message.source = source;
    if (call->flags & K_CALL_TRACE) memcpy(d->in_trace, call->trace, sizeof d->in_trace);
}

static inline uint32_t trace_flag(const struct k_call *call) {
    return call->flags & K_CALL_TRACE ? K_IN_TRACE : 0;
}

/* ---- queueing ------------------------------------------------------------------------------------------------------ */

/* Whom a blocked slot waits for, if for one alone and in a way that only that one can end: a sender for its destination, a caller
 * for its answer. */
static bool waits_for(const struct k_region *region, const struct k_slot *s, uint32_t *whom) {
    if (s->rts & K_RTS_SENDING) return k_endpoint_decode(region, s->sendto, whom);
    return k_awaits_reply(s) && s->getfrom != K_ANY && k_endpoint_decode(region, s->getfrom, whom);
}

/* Waiting for `d` would close a circle of waits that contains `waiter`. */
bool k_would_deadlock(const struct k_region *region, uint32_t waiter, uint32_t d) {
    for (uint32_t steps = 0; steps < region->members; steps++) {
        if (d == waiter) return true;
        if (!waits_for(region, k_slot_at(region, d), &d)) return false;
    }
    return false; /* a circle without the waiter: damage, and not ours */
}

/* ---- send, sendrec ---------------------------------------------------------------------------------------------------- */

/* Hand a message to a slot that receives from `source` (slot `from`): it may go on. */
void k_deliver(struct k_txn *t, struct k_slot *d, uint32_t di, struct k_slot *from, struct k_call *call, uint32_t number) {
    uint32_t fi = k_slot_index(t->region, from);
    put_message(d, from->endpoint, call->message, call);
    if (number) k_set(t, &d->in_call, number);
    k_plan_peer(t, d, fi);
    call->answered = d->call != 0;
    if (d->getfrom != K_ANY) k_waiters_remove(t, from, d, di);
    k_end_wait(t, d, di, K_OK, (number ? K_IN_REQUEST : 0u) | trace_flag(call));
}

static int send_now(struct k_txn *t, struct k_call *call, struct k_slot *d, uint32_t di, bool request) {
    struct k_slot *s = k_me(t);
    s->sent_local++;
    k_note_peer(s, di);
    if (!request) {
        k_deliver(t, d, di, s, call, 0);
        return k_commit(t);
    }
    s->call = k_new_call_number(s);
    s->getfrom = d->endpoint;
    k_deliver(t, d, di, s, call, s->call);
    k_waiters_push(t, d, s, t->me);
    k_set(t, &s->rts, (s->rts & K_RTS_REMOTE) | K_RTS_RECEIVING);
    return k_block(t);
}

static int send_later(struct k_txn *t, struct k_call *call, struct k_slot *d, uint32_t di, bool request) {
    struct k_slot *s = k_me(t);
    if (k_would_deadlock(t->region, t->me, di)) return K_LOCKED;
    if (call->flags & K_CALL_NOWAIT) return K_AGAIN;
    k_note_peer(s, di);
    s->sent_local++;
    s->sendto = d->endpoint;
    s->getfrom = request ? d->endpoint : K_NOBODY;
    s->call = request ? k_new_call_number(s) : 0;
    k_pack_message(s, s->endpoint, call->message, call);
    k_enqueue(t, s, t->me, d, request);
    return k_block(t);
}

int k_send(struct k_txn *t, struct k_call *call, bool request) {
    uint32_t di;
    int code = k_find(t, call->peer, K_DSTDIED, &di);
    if (code != K_OK) return code;
    if (!k_may_send(t->region, t->me, di)) return K_CALLDENIED;
    struct k_slot *d = k_slot_at(t->region, di);
    if (__builtin_expect(k_is_remote(d), 0)) return k_send_abroad(t, call, d, di, request);
    bool now = k_will_receive(d, k_me(t)->endpoint, request, call->answers);
    if (now && request && call->flags & K_CALL_NOWAIT) return K_AGAIN; /* the answer cannot be there yet */
    return now ? send_now(t, call, d, di, request) : send_later(t, call, d, di, request);
}

/* ---- receive ----------------------------------------------------------------------------------------------------------- */

static struct k_slot *head_of(struct k_txn *t, uint32_t head) {
    return head == K_NIL ? NULL : k_follow(t, head);
}

/* The oldest of both queues; tickets are compared by their distance, so that they may wrap. */
static struct k_slot *oldest_sender(struct k_txn *t, struct k_slot *me, bool requests_only) {
    struct k_slot *request = head_of(t, me->requests_head);
    struct k_slot *sender = requests_only ? NULL : head_of(t, me->senders_head);
    if (!request || !sender) return request ? request : sender;
    return (int32_t)(request->ticket - sender->ticket) < 0 ? request : sender;
}

static struct k_slot *queued_sender(struct k_txn *t, int32_t source, uint32_t si, bool requests_only) {
    struct k_slot *me = k_me(t);
    if (source == K_ANY) return oldest_sender(t, me, requests_only);
    struct k_slot *s = k_slot_at(t->region, si);
    return s->rts & K_RTS_SENDING && s->sendto == me->endpoint ? s : NULL;
}

static int take(struct k_txn *t, struct k_call *call, struct k_slot *s) {
    struct k_slot *me = k_me(t);
    uint32_t si = k_slot_index(t->region, s);
    bool request = s->rts & K_RTS_RECEIVING;
    if (!(s->rts & K_RTS_SENDING)) return K_PROCSTS; /* in a queue, but not sending: damage */
    *call->message = s->message;
    call->message->source = s->endpoint;
    call->in_call = request ? s->call : 0;
    call->in_flags = (request ? K_IN_REQUEST : 0u) | (s->traced ? K_IN_TRACE : 0u);
    if (s->traced) memcpy(call->trace, s->trace, sizeof call->trace);
    k_note_peer(me, si);
    k_queue_remove(t, request ? k_requests(me) : k_senders(me), s, si);
    if (request) {
        k_waiters_push(t, me, s, si);
        k_set(t, &s->rts, (s->rts & (K_RTS_ONCOPY | K_RTS_REMOTE)) | K_RTS_RECEIVING);
    } else {
        k_end_wait(t, s, si, K_OK, 0);
    }
    return k_commit(t);
}

static int wait_for_message(struct k_txn *t, struct k_call *call, uint32_t si, bool requests_only) {
    struct k_slot *me = k_me(t);
    if (call->flags & K_CALL_NOWAIT) return K_AGAIN;
    me->getfrom = call->peer;
    me->call = 0;
    if (call->peer != K_ANY) k_waiters_push(t, k_slot_at(t->region, si), me, t->me);
    k_set(t, &me->rts, K_RTS_RECEIVING | (requests_only ? K_RTS_REQUESTS : 0u));
    return k_block(t);
}

/* K_RANGE instead of K_ENDPOINT for a number that no slot of this VM can have: the guide tells them apart for receive alone. */
static int find_source(struct k_txn *t, int32_t endpoint, uint32_t *si) {
    if (endpoint == K_ANY) return K_OK;
    if (endpoint == K_NOBODY || endpoint == K_SELF) return K_ENDPOINT;
    if (!k_endpoint_decode(t->region, endpoint, si)) return K_RANGE;
    int code = k_find(t, endpoint, K_SRCDIED, si);
    return code != K_OK || k_may_send(t->region, *si, t->me) ? code : K_CALLDENIED;
}

static int woken_up(struct k_txn *t) {
    struct k_slot *me = k_me(t);
    k_set(t, &me->misc, me->misc & ~(uint32_t)K_MISC_WOKENUP);
    int code = k_commit(t);
    return code == K_OK ? K_WOKENUP : code;
}

int k_receive(struct k_txn *t, struct k_call *call) {
    uint32_t si = K_NIL;
    bool requests_only = call->op == K_RCVRQST;
    if (requests_only) call->peer = K_ANY;
    if (k_me(t)->misc & K_MISC_WOKENUP) return woken_up(t);
    int code = find_source(t, call->peer, &si);
    if (code != K_OK) return code;
    if (!requests_only && k_take_notification(t, call->peer, call)) return k_commit(t);
    if (t->damaged) return K_BADVMID;
    struct k_slot *sender = queued_sender(t, call->peer, si, requests_only);
    if (t->damaged) return K_BADVMID;
    return sender ? take(t, call, sender) : wait_for_message(t, call, si, requests_only);
}

/* ---- reply, relay -------------------------------------------------------------------------------------------------------- */

/* The answer to a call, or a message to someone who waits for the caller and nobody else. Never queues. */
int k_reply(struct k_txn *t, struct k_call *call) {
    uint32_t di;
    struct k_slot *s = k_me(t);
    int code = k_find(t, call->peer, K_DSTDIED, &di);
    if (code != K_OK) return code;
    struct k_slot *d = k_slot_at(t->region, di);
    if (!k_receives(d) || d->getfrom != s->endpoint || d->rts & K_RTS_REQUESTS) return K_PROCSTS;
    if (call->answers && d->call != call->answers) return K_PROCSTS;
    if (__builtin_expect(k_is_remote(d), 0)) return k_reply_abroad(t, call, d, di);
    s->sent_local++;
    k_note_peer(s, di);
    k_deliver(t, d, di, s, call, 0);
    return k_commit(t);
}

static int relay_now(struct k_txn *t, struct k_call *call, struct k_slot *c, uint32_t ci, struct k_slot *d, uint32_t di) {
    k_waiters_remove(t, k_me(t), c, ci);
    k_deliver(t, d, di, c, call, c->call);
    call->answered = true; /* as far as the caller is concerned */
    k_waiters_push(t, d, c, ci);
    k_set(t, &c->getfrom, (uint32_t)d->endpoint);
    return k_commit(t);
}

static int relay_later(struct k_txn *t, struct k_call *call, struct k_slot *c, uint32_t ci, struct k_slot *d, uint32_t di) {
    if (k_would_deadlock(t->region, ci, di)) return K_LOCKED;
    k_waiters_remove(t, k_me(t), c, ci);
    k_pack_message(c, c->endpoint, call->message, call);
    k_enqueue(t, c, ci, d, true);
    call->answered = true;
    k_set(t, &c->getfrom, (uint32_t)d->endpoint);
    k_set(t, &c->sendto, (uint32_t)d->endpoint);
    return k_commit(t);
}

/* Pass a request on: its client, named by message->source, is from now on the caller of `peer`. */
static int relay(struct k_txn *t, struct k_call *call) {
    uint32_t ci, di;
    int code = k_find(t, call->message->source, K_SRCDIED, &ci);
    if (code == K_OK) code = k_find(t, call->peer, K_DSTDIED, &di);
    if (code == K_OK && ci == di) code = K_ENDPOINT;
    if (code != K_OK) return code;
    struct k_slot *c = k_slot_at(t->region, ci), *d = k_slot_at(t->region, di);
    if (k_is_remote(c) || k_is_remote(d)) return K_RMTPROC;
    if (!k_awaits_reply(c) || c->getfrom != k_me(t)->endpoint) return K_PROCSTS;
    if (call->answers && c->call != call->answers) return K_PROCSTS;
    if (!k_may_send(t->region, ci, di)) return K_CALLDENIED;
    bool now = k_will_receive(d, c->endpoint, true, 0);
    return now ? relay_now(t, call, c, ci, d, di) : relay_later(t, call, c, ci, d, di);
}

/* ---- dispatch --------------------------------------------------------------------------------------------------------------- */

int k_operate(struct k_txn *t, struct k_call *call) {
    if (call->op > K_RELAY) return K_NOSYS;
    int code = k_check_caller(t, call->op);
    if (code != K_OK) return code;
    switch (call->op) {
    case K_SEND: return k_send(t, call, false);
    case K_SENDREC: return k_send(t, call, true);
    case K_RECEIVE:
    case K_RCVRQST: return k_receive(t, call);
    case K_REPLY: return k_reply(t, call);
    case K_NOTIFY: return k_notify(t, call);
    case K_RELAY: return relay(t, call);
    default: return K_NOSYS;
    }
}

int k_step_within(struct k_region *region, uint32_t me, struct k_call *call, int lock_ms, struct k_wakes *wakes) {
    struct k_txn t;
    k_no_wakes(wakes);
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    if (code != K_OK) return code;
    code = k_operate(&t, call);
    k_leave(&t, wakes);
    return code;
}

int k_step(struct k_region *region, uint32_t me, struct k_call *call, struct k_wakes *wakes) {
    return k_step_within(region, me, call, -1, wakes);
}

/* ---- giving up, and reading how it ended --------------------------------------------------------------------------------------- */

int k_cancel_locked(struct k_txn *t, uint32_t index, int verdict) {
    struct k_slot *s = k_slot_at(t->region, index);
    uint32_t blocked = s->rts & (K_RTS_SENDING | K_RTS_RECEIVING | K_RTS_RMTOPER);
    if (s->rts & (K_RTS_FREE | K_RTS_CLOSING | K_RTS_REMOTE) || (t->incarnation && s->incarnation != t->incarnation)) return K_AGAIN;
    if (!blocked) return s->rts & K_RTS_ONCOPY ? K_BLOCKED : K_AGAIN;
    if (!k_leave_list(t, s, index)) return K_BADVMID;
    k_withdraw(t, s, index);
    if (s->rts & K_RTS_RMTOPER) k_release_parties(t, s);
    k_end_wait(t, s, index, verdict, 0);
    bool copying = s->rts & K_RTS_ONCOPY;
    int code = k_commit(t);
    return code == K_OK && copying ? K_BLOCKED : code;
}

int k_step_cancel(struct k_region *region, uint32_t me, int verdict, struct k_wakes *wakes) {
    struct k_txn t;
    k_no_wakes(wakes);
    int code = k_enter(&t, region, me, K_FOREVER);
    if (code != K_OK) return code;
    code = k_cancel_locked(&t, me, verdict);
    k_leave(&t, wakes);
    return code;
}

/* Set the flag, look again, sleep: whoever ends the wait changes rts, then reads the flag. */
int k_step_sleep(struct k_region *region, uint32_t me, int64_t timeout_ns) {
    struct k_slot *s = k_slot_at(region, me);
    uint32_t seq = atomic_load(&s->seq);
    int error = 0;
    atomic_store(&s->waiting, 1);
    if (k_is_blocked(s) && k_vm_code(region) == K_OK) error = k_futex_wait(&s->seq, seq, timeout_ns);
    atomic_store_explicit(&s->waiting, 0, memory_order_relaxed);
    if (!k_is_blocked(s)) return k_vm_code(region);
    return error == ETIMEDOUT ? K_TIMEDOUT : error == EINTR ? K_RESTARTSYS : k_vm_code(region) != K_OK ? k_vm_code(region) : K_AGAIN;
}

int k_step_finish(struct k_region *region, uint32_t me, struct k_call *call) {
    const struct k_slot *s = k_slot_at(region, me);
    uint32_t verdict = s->verdict;
    int code = -(int)(verdict & 0xffff);
    call->in_flags = verdict >> 16;
    call->in_call = call->in_flags & K_IN_REQUEST ? s->in_call : 0;
    if (code == K_OK && call->op != K_SEND && call->message) *call->message = s->message;
    if (call->in_flags & K_IN_TRACE) memcpy(call->trace, s->in_trace, sizeof call->trace);
    return code;
}
