/* cut.c: a node is lost: all that is under way with it ends.
 *
 * One pass over the slots, in steps of one lock hold each, so that a large VM is not held up. Whoever cuts has set the route first:
 * nothing new begins behind the pass, and nobody at the lost node is told anything.
 */
#include "farcopy.h"

/* The oldest of those who wait at a slot; how they are linked there is the list's. */
static uint32_t first_peer(const struct k_slot *s) {
    return s->senders_head != K_NIL ? s->senders_head : s->requests_head != K_NIL ? s->requests_head : s->waiters;
}

/* One who waits on a process of the node goes on with `code`. */
static int end_one_peer(struct k_txn *t, struct k_slot *s, int code) {
    uint32_t index = first_peer(s);
    struct k_slot *p = index == K_NIL ? NULL : k_follow(t, index);
    if (!p) return t->damaged ? K_BADVMID : K_OK;
    if (!k_leave_list(t, p, index)) return K_BADVMID;
    k_end_caller(t, p, index, code);
    code = k_commit(t);
    return code == K_OK ? K_MORE : code;
}

/* A process of the node, here: who waits on it, what it has under way, what it was to get. */
static int cut_remote(struct k_txn *t, struct k_slot *s, uint32_t index, int code) {
    int done = end_one_peer(t, s, code);
    if (done == K_OK) done = k_quieten(t, s, index, code);
    if (done != K_OK || !s->px) return done;
    k_outbox_leave(t, s, index);
    done = k_commit(t);
    return done == K_OK ? K_MORE : done;
}

/* Another's copy that needs the node, or last word to it. Whoever waits for a process of the node is ended with that. */
static int cut_other(struct k_txn *t, struct k_slot *s, uint32_t index, uint32_t node, int code) {
    uint32_t peer;
    int done = k_cut_copy(t, s, index, node, code);
    if (done != K_OK || !s->px || s->out_node != node || (index < t->region->members && k_waits_abroad(t->region, s, &peer))) return done;
    k_outbox_leave(t, s, index);
    done = k_commit(t);
    return done == K_OK ? K_MORE : done;
}

/* `bury`: the incarnation that is to be unbound now, 0: none. */
static int cut_step(struct k_txn *t, uint32_t node, int code, bool unbind, uint32_t index, uint32_t *bury) {
    struct k_slot *s = k_slot_at(t->region, index);
    bool of_node = index < t->region->members && k_is_bound(s) && k_is_remote(s) && s->node == (int32_t)node;
    int done = of_node ? cut_remote(t, s, index, code) : cut_other(t, s, index, node, code);
    *bury = done == K_OK && of_node && unbind && !(s->misc & K_MISC_BACKUP) ? s->incarnation : 0;
    return done;
}

int k_step_cut(struct k_region *region, uint32_t me, uint32_t node, int code, bool unbind, uint32_t *at, int lock_ms, struct k_wakes *wakes) {
    struct k_txn t;
    uint32_t bury = 0;
    k_no_wakes(wakes);
    if (node >= region->limits.nr_nodes) return K_BADNODEID;
    if (*at >= region->members + K_KERNEL_SLOTS) return K_OK;
    int done = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    if (done != K_OK) return done;
    done = cut_step(&t, node, code, unbind, *at, &bury);
    k_leave(&t, wakes);
    if (bury) done = k_unbind(region, me, *at, bury, code, true, lock_ms);
    if (done == K_OK || (bury && done == K_NOTBIND)) ++*at, done = K_MORE;
    return done;
}

int k_cut(struct k_region *region, uint32_t me, uint32_t node, int code, bool unbind, int lock_ms) {
    uint32_t at = 0, steps = region->slots * 8; /* a sound region needs fewer */
    int done = K_MORE;
    while (done == K_MORE && steps--) done = k_step_cut(region, me, node, code, unbind, &at, lock_ms, NULL);
    return done == K_MORE ? K_BADVMID : done;
}
