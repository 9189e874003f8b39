/* txn.h: one transition: plan, commit, apply, wake.
 *
 * A transition reads, plans its changes with k_set, and commits them all at once, so that a SIGKILL at any instruction leaves it
 * done or not done. What needs no plan are words that nobody else reads yet: the caller's own fields while it is
 * runnable, a free slot's or free record's, and the mailbox (message, in_trace) of a slot whose wait has not
 * ended. Plain writes to those come before the commit.
 *
 * The plan lives in private memory and is copied into the caller's redo record: what is applied here cannot be changed by a
 * scribbler, and what is re-applied after a death is range-checked again (redo.c). Against SIGKILL only program order matters.
 */
#ifndef DRVS_TXN_H
#define DRVS_TXN_H

#include "lock.h"

struct k_txn {
    struct k_region *region;
    uint32_t me;          /* the slot that acts */
    uint32_t actor;       /* the slot whose redo record and debts serve: the same, but where a proxy acts for a remote process */
    uint32_t incarnation; /* of the slot that acts, as its handle knows it; 0: whoever has it */
    uint32_t pairs;
    uint32_t wakes;
    uint32_t woken; /* how many of them are committed */
    bool ring;    /* an armed proxy got work */
    bool damaged; /* a link or index made no sense: nothing will be committed */
    uint32_t wake[K_WAKES_MAX];
    struct k_pair pair[K_REDO_PAIRS];
};

/* Take the lock and begin; `interruptible`: K_RESTARTSYS if a signal comes first. */
static inline int k_enter_or(struct k_txn *t, struct k_region *region, uint32_t me, int64_t deadline_ns, bool interruptible) {
    int code = k_lock(region, deadline_ns, interruptible);
    t->region = region;
    t->me = t->actor = me;
    t->incarnation = 0;
    t->pairs = t->wakes = t->woken = 0;
    t->damaged = t->ring = false;
    return code;
}

static inline int k_enter(struct k_txn *t, struct k_region *region, uint32_t me, int64_t deadline_ns) {
    return k_enter_or(t, region, me, deadline_ns, false);
}

/* By a handle: its slot may have been unbound, and bound to another, since it last looked. */
static inline int k_enter_as(struct k_txn *t, struct k_handle *h, int64_t deadline_ns, bool interruptible) {
    int code = k_enter_or(t, &h->region, h->slot, deadline_ns, interruptible);
    t->incarnation = h->incarnation;
    return code;
}

static inline struct k_slot *k_me(const struct k_txn *t) {
    return k_slot_at(t->region, t->me);
}

#ifdef K_CHECK_PLANS
void k_check_plan(const struct k_txn *t, uint32_t offset);
#else
static inline void k_check_plan(const struct k_txn *t, uint32_t offset) { (void)t, (void)offset; }
#endif

/* Plan one word. No word is planned twice, nor read after it was planned: what would be read is the old value. */
static inline void k_set(struct k_txn *t, const void *word, uint32_t value) {
    uint32_t offset = (uint32_t)((const uint8_t *)word - t->region->base);
    k_check_plan(t, offset);
    if (t->pairs == K_REDO_PAIRS) {
        t->damaged = true;
        return;
    }
    t->pair[t->pairs++] = (struct k_pair){offset, value};
}

/* The slot may go on once the plan is applied; if it sleeps, k_leave wakes it. */
static inline void k_wake(struct k_txn *t, uint32_t slot) {
    if (t->wakes == K_WAKES_MAX) t->damaged = true;
    else t->wake[t->wakes++] = slot;
}

/* Make the plan true. K_BADVMID if planning met damage: then nothing was changed. The plan is empty afterwards; wakes add up
 * until k_leave. */
int k_commit(struct k_txn *t);

/* Unlock, wake and ring, and tell whom if anybody asks. */
void k_leave(struct k_txn *t, struct k_wakes *wakes);

/* Unlock without a commit, wakes or not. */
static inline int k_leave_with(struct k_txn *t, int code) {
    k_leave(t, NULL);
    return code;
}

/* Nobody yet. */
static inline void k_no_wakes(struct k_wakes *wakes) {
    if (wakes) wakes->n = 0, wakes->rang = false;
}

static inline int64_t k_lock_deadline(int lock_ms) {
    return lock_ms < 0 ? K_FOREVER : k_now_ns() + (int64_t)lock_ms * 1000000;
}

#endif
