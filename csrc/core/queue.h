/* queue.h: the two kinds of list that slots form, planned word by word.
 *
 * A SENDING slot is in one of two queues of its destination (plain senders, requests), oldest first. A slot that is RECEIVING from
 * one slot alone is in that slot's waiter list, newest first, so that burying a slot finds everyone who waits on it. A slot
 * is in at most one list, hence one pair of links.
 */
#ifndef DRVS_QUEUE_H
#define DRVS_QUEUE_H

#include "txn.h"

struct k_queue { uint32_t *head, *tail; };

static inline struct k_queue k_senders(struct k_slot *s) { return (struct k_queue){&s->senders_head, &s->senders_tail}; }
static inline struct k_queue k_requests(struct k_slot *s) { return (struct k_queue){&s->requests_head, &s->requests_tail}; }

/* The slot behind a link, or NULL with the transaction marked damaged. */
static inline struct k_slot *k_follow(struct k_txn *t, uint32_t index) {
    struct k_slot *s = k_slot_checked(t->region, index);
    if (!s) t->damaged = true;
    return s;
}

/* Append a slot that is in no list. */
static inline void k_queue_push(struct k_txn *t, struct k_queue q, struct k_slot *s, uint32_t index) {
    uint32_t last = *q.tail;
    struct k_slot *l = last == K_NIL ? NULL : k_follow(t, last);
    if ((last == K_NIL) != (*q.head == K_NIL) || (l && l->next != K_NIL)) t->damaged = true;
    if (l) k_set(t, &l->next, index);
    else k_set(t, q.head, index);
    k_set(t, q.tail, index);
    k_set(t, &s->prev, last);
    k_set(t, &s->next, K_NIL);
}

/* Take a slot out of a list whose first (and last, if `tail`) it may be. Its own links are left for whoever plans them next. */
static inline void k_unlink(struct k_txn *t, uint32_t *head, uint32_t *tail, const struct k_slot *s, uint32_t index) {
    uint32_t next = s->next, prev = s->prev;
    struct k_slot *n = next == K_NIL ? NULL : k_follow(t, next);
    struct k_slot *p = prev == K_NIL ? NULL : k_follow(t, prev);
    if (t->damaged) return;
    if ((p ? p->next : *head) != index || (n ? n->prev != index : tail && *tail != index)) {
        t->damaged = true;
        return;
    }
    if (p) k_set(t, &p->next, next);
    else k_set(t, head, next);
    if (n) k_set(t, &n->prev, prev);
    else if (tail) k_set(t, tail, prev);
}

static inline void k_queue_remove(struct k_txn *t, struct k_queue q, const struct k_slot *s, uint32_t index) {
    k_unlink(t, q.head, q.tail, s, index);
}

/* Enter `on`'s waiter list; `s` is in no list once this transition is applied. */
static inline void k_waiters_push(struct k_txn *t, struct k_slot *on, struct k_slot *s, uint32_t index) {
    uint32_t first = on->waiters;
    struct k_slot *f = first == K_NIL ? NULL : k_follow(t, first);
    if (f && f->prev != K_NIL) t->damaged = true;
    if (f) k_set(t, &f->prev, index);
    k_set(t, &on->waiters, index);
    k_set(t, &s->prev, K_NIL);
    k_set(t, &s->next, first);
}

static inline void k_waiters_remove(struct k_txn *t, struct k_slot *on, const struct k_slot *s, uint32_t index) {
    k_unlink(t, &on->waiters, NULL, s, index);
}

#endif
