/* bind.c: slots get owners and lose them.
 *
 * Binding writes a free slot, which nobody reads, and commits two words. Unbinding may concern any number of peers, so it goes in
 * steps of one lock hold each: the slot turns CLOSING and leaves its own wait, then each peer that waits on it is told,
 * then pending notifications go, then the slot is free. Every state in between is sound, and whoever finds a CLOSING slot may
 * go on where another was killed.
 */
#include "kernel.h"
#include "farcopy.h"
#include "trust.h"

/* ---- bind ------------------------------------------------------------------------------------------------------------- */

static uint32_t next_generation(const struct k_region *region, uint32_t slot, uint32_t generation) {
    if (k_is_system(region, slot)) return 0;
    return generation >= k_generation_max(region) ? 1 : generation + 1;
}

static void default_privileges(const struct k_region *region, uint32_t slot) {
    struct k_priv *p = k_priv_at(region, slot, 0);
    *p = (struct k_priv){.id = k_default_id(region, slot), .warn = K_NOBODY, .traps = UINT32_MAX, .calls = UINT64_MAX};
    memset(p->maps, 0xff, (size_t)region->map_words * 2 * 8);
}

static void fill_free_slot(const struct k_region *region, struct k_slot *s, const struct k_bind *b) {
    __atomic_store_n(&s->incarnation, b->incarnation, __ATOMIC_RELAXED); /* first: an earlier owner may be reading its verdict */
    atomic_thread_fence(memory_order_release);
    s->endpoint = b->endpoint;
    s->getfrom = s->sendto = K_NOBODY;
    s->call = s->verdict = s->in_call = s->traced = 0;
    s->next = s->prev = s->waiters = K_NIL;
    s->senders_head = s->senders_tail = s->requests_head = s->requests_tail = K_NIL;
    s->notes_head = s->notes_tail = K_NIL;
    s->summary = s->restricted = s->priv = s->ticket_next = 0;
    s->pid = b->pid, s->tid = b->tid, s->node = b->node;
    s->misc = b->kind == K_BIND_BACKUP ? K_MISC_BACKUP : b->pid == b->tid ? K_MISC_LEADER : 0;
    s->self = b->slot;
    s->last_peer = K_NIL;
    s->copy_src = s->copy_dst = 0;
    s->holder = s->remote_call = s->remote_incarnation = s->newest_call = 0;
    s->sent_local = s->sent_remote = s->copied_local = s->copied_remote = 0;
    atomic_store_explicit(&s->waiting, 0, memory_order_relaxed);
    atomic_store_explicit(&s->cpu, 0, memory_order_relaxed);
    memset(s->debts, 0, sizeof s->debts);
    memcpy(s->name, b->name, K_NAME_BYTES);
    s->name[K_NAME_BYTES - 1] = 0;
    memset(k_pending(region, b->slot), 0, (size_t)region->map_words * 8);
    default_privileges(region, b->slot);
}

/* Fills in endpoint and incarnation. */
static int choose_endpoint(const struct k_region *region, struct k_slot *s, struct k_bind *b) {
    uint32_t decoded;
    uint32_t generation = next_generation(region, b->slot, s->generation);
    if (b->kind == K_BIND_LOCAL) {
        b->endpoint = k_endpoint_encode(region, b->slot, generation);
    } else {
        if (!k_endpoint_decode(region, b->want_endpoint, &decoded) || decoded != b->slot) return K_ENDPOINT;
        b->endpoint = b->want_endpoint;
        generation = (uint32_t)(((int64_t)b->endpoint + region->limits.nr_tasks) / region->gen_size);
    }
    s->generation = generation;
    b->incarnation = s->incarnation + 1 ? s->incarnation + 1 : 1;
    return K_OK;
}

static int bind(struct k_txn *t, struct k_bind *b) {
    struct k_header *header = k_header(t->region);
    int code = k_vm_code(t->region);
    if (code != K_OK) return code;
    if (b->slot >= t->region->members) return K_RANGE;
    struct k_slot *s = k_slot_at(t->region, b->slot);
    if (s->rts != K_RTS_FREE) return K_BUSY;
    code = choose_endpoint(t->region, s, b);
    if (code != K_OK) return code;
    fill_free_slot(t->region, s, b);
    if (s->px) k_outbox_leave(t, s, b->slot); /* the last word of the one before */
    k_set(t, &s->rts, b->kind == K_BIND_LOCAL ? 0 : K_RTS_REMOTE);
    k_set(t, &header->bound, header->bound + 1);
    return k_commit(t);
}

int k_step_bind(struct k_region *region, uint32_t me, struct k_bind *b, int lock_ms) {
    struct k_txn t;
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    return code == K_OK ? k_leave_with(&t, bind(&t, b)) : code;
}

/* ---- unbind ------------------------------------------------------------------------------------------------------------ */

/* A party of the copy that `s` runs may go on, unless it has been unbound since. */
static void release_party(struct k_txn *t, const struct k_slot *s, uint32_t party, uint32_t incarnation) {
    struct k_slot *p = party ? k_slot_checked(t->region, party - 1) : NULL;
    uint32_t hold = s->rts & K_RTS_RMTOPER ? K_RTS_HELD : K_RTS_ONCOPY; /* a copy between nodes, or one that moves bytes now */
    if (!p || p == s || p->incarnation != incarnation || !(p->rts & hold)) return;
    if (hold == K_RTS_HELD && !k_is_held_by(p, k_slot_index(t->region, s))) return;
    uint32_t rts = p->rts & ~hold;
    k_set(t, &p->rts, rts);
    if (rts == 0) k_wake(t, party - 1);
}

void k_release_parties(struct k_txn *t, struct k_slot *s) {
    if (!s->copy_src && !s->copy_dst) return;
    release_party(t, s, s->copy_src, s->copy_src_incarnation);
    if (s->copy_dst != s->copy_src) release_party(t, s, s->copy_dst, s->copy_dst_incarnation);
    k_set(t, &s->copy_src, 0);
    k_set(t, &s->copy_dst, 0);
}

/* From here the slot is in nobody's way: not found by name, in no list, in no copy. Its own blocked call ends. */
static int start_closing(struct k_txn *t, struct k_slot *s, uint32_t index, int verdict, bool force) {
    bool blocked = k_is_blocked(s);
    if (!force && (s->rts & K_RTS_ONCOPY || s->copy_src || s->copy_dst)) return K_ONCOPY;
    if (!k_leave_list(t, s, index)) return K_BADVMID;
    if (!k_is_remote(s)) k_withdraw(t, s, index);
    k_release_parties(t, s);
    if (blocked) {
        k_set(t, &s->verdict, k_verdict(verdict, 0));
        k_wake(t, index);
    }
    k_set(t, &s->rts, K_RTS_CLOSING);
    k_set(t, &s->next, 0); /* k_drop_outgoing begins here */
    int code = k_commit(t);
    return code == K_OK ? K_MORE : code;
}

static struct k_slot *first(struct k_txn *t, uint32_t head) {
    return head == K_NIL ? NULL : k_follow(t, head);
}

static void end_peer(struct k_txn *t, struct k_slot *p, int code) {
    k_end_caller(t, p, k_slot_index(t->region, p), code);
}

/* One peer that waits on the closing slot goes on with DSTDIED or SRCDIED. */
static bool release_one_peer(struct k_txn *t, struct k_slot *s) {
    struct k_slot *p;
    if ((p = first(t, s->senders_head))) k_queue_remove(t, k_senders(s), p, s->senders_head);
    else if ((p = first(t, s->requests_head))) k_queue_remove(t, k_requests(s), p, s->requests_head);
    if (p) {
        end_peer(t, p, p->rts & K_RTS_RMTOPER && p->v_src == s->endpoint ? K_SRCDIED : K_DSTDIED);
        return true;
    }
    if (!(p = first(t, s->waiters))) return false;
    k_waiters_remove(t, s, p, s->waiters);
    end_peer(t, p, K_SRCDIED);
    return true;
}

/* Tell the process that asked for it (s_warn), if there is room and it lives. */
static void warn(struct k_txn *t, const struct k_slot *s, uint32_t index) {
    const struct k_priv *p = k_priv_at(t->region, index, s->priv);
    int64_t to = (int64_t)p->warn + t->region->limits.nr_tasks;
    if (p->warn == K_NOBODY || to < 0 || to >= t->region->members || to == index) return;
    struct k_slot *w = k_slot_at(t->region, (uint32_t)to);
    if (!k_is_bound(w) || w->rts & K_RTS_REMOTE) return;
    struct k_call call = {.value = 0};
    if (k_will_receive_notify(w, s->endpoint)) k_deliver_notification(t, w, (uint32_t)to, index, s->endpoint, &call);
    else k_post_record(t, (uint32_t)to, index, s->endpoint, 0, true);
}

static int finish_closing(struct k_txn *t, struct k_slot *s, uint32_t index) {
    struct k_header *header = k_header(t->region);
    warn(t, s, index);
    k_set(t, &s->rts, K_RTS_FREE);
    k_set(t, &header->bound, header->bound ? header->bound - 1 : 0);
    return k_commit(t);
}

static int unbind(struct k_txn *t, uint32_t index, uint32_t incarnation, int verdict, bool force) {
    if (index >= t->region->members) return K_RANGE;
    struct k_slot *s = k_slot_at(t->region, index);
    if (s->rts & K_RTS_FREE || (incarnation && s->incarnation != incarnation)) return K_NOTBIND;
    if (!(s->rts & K_RTS_CLOSING)) {
        int code = k_is_remote(s) ? k_quieten(t, s, index, verdict) : K_OK;
        return code == K_OK ? start_closing(t, s, index, verdict, force) : code;
    }
    if (release_one_peer(t, s) || k_drop_incoming(t, s, index) || k_drop_outgoing(t, s, index)) {
        int code = k_commit(t);
        return code == K_OK ? K_MORE : code;
    }
    return t->damaged ? K_BADVMID : finish_closing(t, s, index);
}

int k_step_unbind(struct k_region *region, uint32_t me, uint32_t slot, uint32_t incarnation, int verdict, bool force, int lock_ms, struct k_wakes *wakes) {
    struct k_txn t;
    k_no_wakes(wakes);
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    if (code != K_OK) return code;
    code = unbind(&t, slot, incarnation, verdict, force);
    k_leave(&t, wakes);
    return code;
}

int k_start_unbind(struct k_txn *t, uint32_t index, uint32_t incarnation, int verdict) {
    enum { STEPS = 8 }; /* a stand-in is quietened first */
    int code = K_MORE;
    for (int i = 0; code == K_MORE && i < STEPS && !(k_slot_at(t->region, index)->rts & K_RTS_CLOSING); i++) code = unbind(t, index, incarnation, verdict, true);
    return code == K_MORE ? K_OK : code;
}

int k_unbind(struct k_region *region, uint32_t me, uint32_t slot, uint32_t incarnation, int verdict, bool force, int lock_ms) {
    uint32_t steps = region->members * 3 + region->limits.notes * 2 + 16; /* a sound region needs fewer */
    int code = K_MORE;
    while (code == K_MORE && steps--) code = k_step_unbind(region, me, slot, incarnation, verdict, force, lock_ms, NULL);
    return code == K_MORE ? K_BADVMID : code;
}

/* ---- wakeup, the end ------------------------------------------------------------------------------------------------------ */

static int wakeup(struct k_txn *t, int32_t endpoint) {
    uint32_t index;
    int code = k_vm_code(t->region);
    if (code == K_OK) code = k_find(t, endpoint, K_DSTDIED, &index);
    if (code != K_OK) return code;
    struct k_slot *s = k_slot_at(t->region, index);
    if (k_is_remote(s)) return K_RMTPROC;
    if (k_receives(s) && s->call == 0) {
        if (!k_leave_list(t, s, index)) return K_BADVMID;
        k_end_wait(t, s, index, K_WOKENUP, 0);
    } else {
        k_set(t, &s->misc, s->misc | K_MISC_WOKENUP);
    }
    return k_commit(t);
}

int k_step_wakeup(struct k_region *region, uint32_t me, int32_t endpoint, int lock_ms, struct k_wakes *wakes) {
    struct k_txn t;
    k_no_wakes(wakes);
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    if (code != K_OK) return code;
    code = wakeup(&t, endpoint);
    k_leave(&t, wakes);
    return code;
}

/* Without the lock, which may be stuck: sleepers look at the state whenever they wake. */
void k_vm_end(struct k_region *region, uint32_t state) {
    atomic_store(&k_header(region)->state, state);
    for (uint32_t i = 0; i < region->members; i++) {
        struct k_slot *s = k_slot_at(region, i);
        atomic_fetch_add(&s->seq, 1);
        if (atomic_load(&s->waiting)) k_futex_wake(&s->seq, 1);
    }
    k_futex_wake(&k_header(region)->lock, INT32_MAX);
}
