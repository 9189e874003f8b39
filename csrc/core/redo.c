/* redo.c: the redo record, committed and re-applied; wake debts, noted and paid. */
#include "txn.h"

#include <string.h>
#include <unistd.h>

#ifdef K_CHECK_PLANS
#include <stdlib.h>
void k_check_plan(const struct k_txn *t, uint32_t offset) {
    for (uint32_t i = 0; i < t->pairs; i++)
        if (t->pair[i].offset == offset) abort();
}
#endif

#define IN_ORDER() atomic_signal_fence(memory_order_seq_cst)

static void write_record(const struct k_txn *t, struct k_slot *me, uint32_t first) {
    for (uint32_t i = first; i < t->wakes; i++) me->debts[i] = t->wake[i] + 1;
    for (uint32_t i = 0; i < t->pairs; i++) { /* a handful of words: no call of memcpy */
        me->redo[i].offset = t->pair[i].offset;
        __atomic_store_n(&me->redo[i].value, t->pair[i].value, __ATOMIC_RELAXED);
    }
    me->redo_count = t->pairs;
}

static void apply(const struct k_txn *t) {
    for (uint32_t i = 0; i < t->pairs; i++) {
        uint32_t *word = (uint32_t *)(void *)(t->region->base + t->pair[i].offset);
        __atomic_store_n(word, t->pair[i].value, __ATOMIC_RELEASE); /* rts after what the verdict needs: its owner reads without the lock */
    }
}

int k_commit(struct k_txn *t) {
    struct k_header *header = k_header(t->region);
    struct k_slot *me = k_slot_at(t->region, t->actor);
    uint32_t first = t->woken;
    if (t->damaged) {
        t->pairs = 0;
        t->wakes = first;
        return K_BADVMID;
    }
    write_record(t, me, first);
    IN_ORDER();
    *(volatile uint32_t *)&header->commit = t->actor + 1;
    IN_ORDER();
    atomic_thread_fence(memory_order_release);
    apply(t);
    IN_ORDER();
    *(volatile uint32_t *)&header->commit = 0;
    t->pairs = 0;
    t->woken = t->wakes;
    return K_OK;
}

/* Its owner may sleep on seq: move it, so that a sleep about to begin does not, and wake. Once too often does no harm. */
static void wake_slot(const struct k_region *region, uint32_t slot) {
    struct k_slot *s = k_slot_at(region, slot);
    atomic_fetch_add(&s->seq, 1);
    k_futex_wake(&s->seq, 1);
}

/* An eventfd that is full has not been read: as good as rung. */
static void ring(const struct k_region *region) {
    uint64_t one = 1;
    ssize_t written = region->doorbell >= 0 ? write(region->doorbell, &one, sizeof one) : 0;
    (void)written;
}

/* "Change rts, then read waiting" here against "set waiting, then look at rts" in the owner (k_step_sleep): the unlock between the
 * two is a full barrier on this side. An owner that spins has seen rts by now, and costs nothing more. */
void k_leave(struct k_txn *t, struct k_wakes *wakes) {
    struct k_slot *me = k_slot_at(t->region, t->actor);
    k_unlock(t->region);
    if (wakes) {
        wakes->n = t->wakes, wakes->rang = t->ring;
        memcpy(wakes->slot, t->wake, sizeof wakes->slot);
    }
    for (uint32_t i = 0; i < t->wakes; i++) {
        if (atomic_load(&k_slot_at(t->region, t->wake[i])->waiting)) wake_slot(t->region, t->wake[i]);
        me->debts[i] = 0;
    }
    if (__builtin_expect(t->ring, 0)) ring(t->region);
}

void k_pay_debts(struct k_region *region, uint32_t slot) {
    if (slot >= region->slots) return;
    struct k_slot *s = k_slot_at(region, slot);
    for (uint32_t i = 0; i < K_WAKES_MAX; i++) {
        uint32_t debt = *(volatile uint32_t *)&s->debts[i];
        if (debt && debt <= region->members) wake_slot(region, debt - 1);
        s->debts[i] = 0;
    }
}

/* ---- after a death ----------------------------------------------------------------------------------------------- */

/* The lock and the commit word are nobody's to plan, and line 1 never changes. */
static bool pair_valid(const struct k_region *region, struct k_pair pair) {
    return pair.offset % 4 == 0 && pair.offset >= offsetof(struct k_header, note_free)
        && pair.offset <= region->bytes - 4
        && !(pair.offset >= K_LINE && pair.offset < K_HEADER_BYTES);
}

static void reapply(const struct k_region *region, const struct k_slot *dead) {
    uint32_t n = dead->redo_count;
    for (uint32_t i = 0; i < n && i < K_REDO_PAIRS; i++) {
        struct k_pair pair = dead->redo[i];
        if (pair_valid(region, pair)) atomic_store((_Atomic uint32_t *)(void *)(region->base + pair.offset), pair.value);
    }
}

/* Idempotent: a kill in here leaves the commit word, and the next owner does it all again. The debts stay for whoever buries the
 * dead: waking twice is harmless, not waking is not. */
void k_recover(const struct k_region *region) {
    struct k_header *header = k_header(region);
    uint32_t dead = header->commit - 1;
    if (dead < region->slots) {
        struct k_slot *s = k_slot_at(region, dead);
        reapply(region, s);
        for (uint32_t i = 0; i < K_WAKES_MAX; i++)
            if (s->debts[i] && s->debts[i] <= region->members) wake_slot(region, s->debts[i] - 1);
    }
    IN_ORDER();
    *(volatile uint32_t *)&header->commit = 0;
}
