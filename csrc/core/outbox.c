/* outbox.c: the queues of commands that wait for a proxy.
 *
 * A slot has one command for other nodes at most, in its own words, so that a queue is slots linked to one another, and queueing
 * needs no memory and cannot fail. A member's command is its call (or the CANCEL of one that it gave up); a remote process's slot
 * has what goes back to it: acknowledgements, answers, data. The links and the word `px` belong to the proxy's queue alone: a slot may
 * stand in a list of the kernel at the same time, and a free slot may have a last word to send.
 */
#include "remote.h"

static struct k_slot *sender_of(struct k_txn *t, uint32_t px) {
    if (px < t->region->limits.nr_proxies) return k_slot_at(t->region, k_proxy_slot(t->region, px, K_PROXY_SENDER));
    t->damaged = true;
    return NULL;
}

struct k_slot *k_outbox_at(struct k_txn *t, uint32_t index) {
    if (index < t->region->members + K_KERNEL_SLOTS) return k_slot_at(t->region, index);
    t->damaged = true;
    return NULL;
}

static struct k_slot *neighbour(struct k_txn *t, uint32_t index) {
    return index == K_NIL ? NULL : k_outbox_at(t, index);
}

/* ---- in, out, back --------------------------------------------------------------------------------------------------- */

static void link_last(struct k_txn *t, struct k_slot *p, struct k_slot *s, uint32_t index) {
    uint32_t last = p->px_tail;
    struct k_slot *l = neighbour(t, last);
    if ((last == K_NIL) != (p->px_head == K_NIL) || (l && l->px_next != K_NIL)) t->damaged = true;
    if (l) k_set(t, &l->px_next, index);
    else k_set(t, &p->px_head, index);
    k_set(t, &p->px_tail, index);
    k_set(t, &s->px_prev, last);
    k_set(t, &s->px_next, K_NIL);
}

void k_outbox_push(struct k_txn *t, struct k_slot *s, uint32_t index, uint32_t px) {
    struct k_slot *p = sender_of(t, px);
    if (s->px) t->damaged = true;
    if (!p || t->damaged) return;
    link_last(t, p, s, index);
    k_set(t, &s->px, px + 1);
    if (!p->armed) return;
    k_set(t, &p->armed, p->armed - 1);
    if (p->armed == 1) t->ring = true; /* another pair's queue may have got something before, in this lock hold */
}

void k_outbox_put(struct k_txn *t, struct k_slot *s, uint32_t index, uint32_t px, const struct k_out *out) {
    if (s->px) t->damaged = true;
    if (t->damaged) return;
    s->out_cmd = out->cmd, s->out_node = out->node, s->out_src = out->src, s->out_dst = out->dst;
    s->out_call = out->call, s->out_answers = out->answers, s->out_flags = out->flags, s->out_value = out->value, s->out_code = out->code;
    k_outbox_push(t, s, index, px);
}

/* True if the slot stands where its links say. */
static bool stands_there(struct k_txn *t, const struct k_slot *p, const struct k_slot *s, uint32_t index) {
    const struct k_slot *n = neighbour(t, s->px_next), *b = neighbour(t, s->px_prev);
    if (t->damaged) return false;
    if ((b ? b->px_next : p->px_head) != index || (n ? n->px_prev : p->px_tail) != index) t->damaged = true;
    return !t->damaged;
}

void k_outbox_leave(struct k_txn *t, struct k_slot *s, uint32_t index) {
    struct k_slot *p = sender_of(t, s->px - 1);
    if (!p || !stands_there(t, p, s, index)) return;
    struct k_slot *n = neighbour(t, s->px_next), *b = neighbour(t, s->px_prev);
    k_set(t, b ? &b->px_next : &p->px_head, s->px_next);
    k_set(t, n ? &n->px_prev : &p->px_tail, s->px_prev);
    k_set(t, &s->px, 0);
}

void k_outbox_rotate(struct k_txn *t, struct k_slot *s, uint32_t index) {
    struct k_slot *p = sender_of(t, s->px - 1);
    if (!p || !stands_there(t, p, s, index) || s->px_next == K_NIL) return;
    struct k_slot *n = neighbour(t, s->px_next), *b = neighbour(t, s->px_prev);
    k_set(t, b ? &b->px_next : &p->px_head, s->px_next);
    k_set(t, &n->px_prev, s->px_prev);
    link_last(t, p, s, index);
}

int k_outbox_clear(struct k_txn *t, struct k_slot *s, uint32_t index) {
    if (!s->px) return K_OK;
    k_outbox_leave(t, s, index);
    return k_commit(t);
}
