/* notify.c: messages that never block their sender.
 *
 * A notification is delivered at once to a slot that waits for it, and otherwise remembered: as one bit if a system slot sent it
 * without an argument, as a record of a bounded pool in all other cases. Either way the same source is remembered once per
 * destination (arguments are ORed; a system slot that notifies with and without one is remembered once in each way), so the pool
 * bounds memory and a flood costs nothing. Records hang in the
 * destination's list, oldest first, and in a hash table over (destination, source).
 */
#include "kernel.h"
#include "remote.h"

/* ---- the message ---------------------------------------------------------------------------------------------------- */

/* mess_9: int i1 (flags), int l1 (argument), struct timespec t1 (when; zero: the receiver fills in when it took it). */
static void build_message(const struct k_region *region, struct k_message *m, int32_t source_ep, uint32_t source, uint32_t value, uint64_t now_ns) {
    int32_t p_nr = k_p_nr(region, source);
    int64_t when[2] = {(int64_t)(now_ns / 1000000000), (int64_t)(now_ns % 1000000000)};
    memset(m, 0, sizeof *m);
    m->source = source_ep;
    m->type = K_NOTIFY_TYPE | (p_nr >= 0 && p_nr < K_NOTIFY_P_NR_END ? p_nr : 0);
    memcpy(m->payload + 4, &value, sizeof value);
    memcpy(m->payload + 8, when, sizeof when);
}

/* ---- counting what a source has outstanding, so that burying it need not look through every slot. A system slot need not be
 * bound to be a source (HARDWARE), so the count outlives bindings. ---------------------------------------------------------- */

static void count_out(struct k_txn *t, uint32_t source, int add) {
    struct k_slot *s = k_slot_at(t->region, source);
    if (add < 0 && s->notes_out == 0) return; /* damage */
    k_set(t, &s->notes_out, s->notes_out + (uint32_t)add);
}

/* ---- bits -------------------------------------------------------------------------------------------------------------- */

static void set_bit(struct k_txn *t, struct k_slot *d, uint32_t di, uint32_t source) {
    uint32_t *word = &k_pending(t->region, di)[source / 32], bit = 1u << source % 32;
    if (*word & bit) return;
    if (!*word) k_set(t, &d->summary, d->summary | 1u << source / 32);
    k_set(t, word, *word | bit);
    count_out(t, source, +1);
}

static void clear_bit(struct k_txn *t, struct k_slot *d, uint32_t di, uint32_t source) {
    uint32_t *word = &k_pending(t->region, di)[source / 32], rest = *word & ~(1u << source % 32);
    if (!rest) k_set(t, &d->summary, d->summary & ~(1u << source / 32));
    k_set(t, word, rest);
    count_out(t, source, -1);
}

/* The lowest system slot whose notification waits at `di`; K_NIL: none. */
static uint32_t lowest_bit(const struct k_region *region, const struct k_slot *d, uint32_t di) {
    if (!d->summary) return K_NIL;
    uint32_t w = (uint32_t)__builtin_ctz(d->summary);
    if (w >= region->map_words * 2) return K_NIL;
    uint32_t word = k_pending(region, di)[w];
    uint32_t source = w * 32 + (word ? (uint32_t)__builtin_ctz(word) : 32);
    return word && k_is_system(region, source) ? source : K_NIL;
}

static bool has_bit(const struct k_region *region, uint32_t di, uint32_t source) {
    return k_is_system(region, source) && k_pending(region, di)[source / 32] >> source % 32 & 1;
}

/* ---- records ------------------------------------------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct k_region *region, uint32_t dst, uint32_t src) {
    return k_bucket_at(region, (dst * 0x9E3779B1u ^ src * 0x85EBCA6Bu) >> 7);
}

/* The record of (dst, src) and the word that points to it; K_NIL: none. */
static uint32_t find_record(const struct k_region *region, uint32_t dst, uint32_t src, uint32_t **link) {
    *link = bucket_of(region, dst, src);
    for (uint32_t steps = 0; steps < region->limits.notes; steps++) {
        uint32_t index = **link;
        struct k_note *n = k_note_checked(region, index);
        if (!n || (n->dst == dst && n->src == src)) return n ? index : K_NIL;
        *link = &n->chain;
    }
    return K_NIL;
}

static void append_record(struct k_txn *t, struct k_slot *d, struct k_note *n, uint32_t index) {
    struct k_note *last = d->notes_tail == K_NIL ? NULL : k_note_checked(t->region, d->notes_tail);
    if ((d->notes_head == K_NIL) != (d->notes_tail == K_NIL) || (d->notes_tail != K_NIL && !last)) t->damaged = true;
    n->prev = d->notes_tail;
    n->next = K_NIL;
    if (last) k_set(t, &last->next, index);
    else k_set(t, &d->notes_head, index);
    k_set(t, &d->notes_tail, index);
}

int k_post_record(struct k_txn *t, uint32_t dst, uint32_t src, int32_t src_ep, uint32_t value, bool posthumous) {
    struct k_header *header = k_header(t->region);
    uint32_t *link, index = find_record(t->region, dst, src, &link);
    if (index != K_NIL) {
        struct k_note *old = k_note_checked(t->region, index);
        k_set(t, &old->value, old->value | value);
        k_set(t, &old->src_ep, (uint32_t)src_ep);
        return K_OK;
    }
    if (header->note_free == K_NIL) return K_OVERRUN;
    struct k_note *n = k_note_checked(t->region, index = header->note_free);
    if (!n || n->dst != K_NIL) return !(t->damaged = true);
    uint32_t *bucket = bucket_of(t->region, dst, src);
    n->src = src, n->src_ep = src_ep, n->value = value, n->posthumous = posthumous; /* a free record: nobody reads it */
    append_record(t, k_slot_at(t->region, dst), n, index);
    k_set(t, &header->note_free, n->chain);
    k_set(t, &header->notes_used, header->notes_used + 1);
    k_set(t, &n->chain, *bucket);
    k_set(t, bucket, index);
    k_set(t, &n->dst, dst);
    if (!posthumous) count_out(t, src, +1);
    return K_OK;
}

static void unlink_record(struct k_txn *t, struct k_slot *d, const struct k_note *n) {
    struct k_note *next = k_note_checked(t->region, n->next), *prev = k_note_checked(t->region, n->prev);
    if ((n->next != K_NIL && !next) || (n->prev != K_NIL && !prev)) t->damaged = true;
    if (prev) k_set(t, &prev->next, n->next);
    else k_set(t, &d->notes_head, n->next);
    if (next) k_set(t, &next->prev, n->prev);
    else k_set(t, &d->notes_tail, n->prev);
}

static void free_record(struct k_txn *t, uint32_t index) {
    struct k_header *header = k_header(t->region);
    struct k_note *n = k_note_checked(t->region, index);
    struct k_slot *d = n ? k_slot_checked(t->region, n->dst) : NULL;
    struct k_slot *s = n ? k_slot_checked(t->region, n->src) : NULL;
    uint32_t *link;
    if (!d || !s || find_record(t->region, n->dst, n->src, &link) != index) {
        t->damaged = true;
        return;
    }
    unlink_record(t, d, n);
    k_set(t, link, n->chain);
    k_set(t, &n->chain, header->note_free);
    k_set(t, &header->note_free, index);
    k_set(t, &header->notes_used, header->notes_used - 1);
    k_set(t, &n->dst, K_NIL);
    if (!n->posthumous) count_out(t, n->src, -1);
}

/* ---- notify ------------------------------------------------------------------------------------------------------------------ */

/* Who the notification is from. A system slot's number stands for itself, bound or not (HARDWARE, SYSTEM). */
static int find_notifier(const struct k_txn *t, const struct k_call *call, uint32_t *si, int32_t *source_ep) {
    int64_t index = call->as_p_nr == INT32_MIN ? (int64_t)t->me : (int64_t)call->as_p_nr + t->region->limits.nr_tasks;
    if (index < 0 || index >= t->region->members) return K_RANGE;
    const struct k_slot *s = k_slot_at(t->region, *si = (uint32_t)index);
    *source_ep = k_is_system(t->region, *si) ? k_p_nr(t->region, *si) : s->endpoint;
    return k_is_bound(s) || k_is_system(t->region, *si) ? K_OK : K_SRCDIED;
}

void k_deliver_notification(struct k_txn *t, struct k_slot *d, uint32_t di, uint32_t si, int32_t source_ep, const struct k_call *call) {
    build_message(t->region, &d->message, source_ep, si, call->value, call->now_ns);
    k_plan_peer(t, d, si);
    if (d->getfrom != K_ANY) k_waiters_remove(t, k_slot_at(t->region, si), d, di);
    k_end_wait(t, d, di, K_OK, K_IN_NOTIFY);
}

int k_notify(struct k_txn *t, struct k_call *call) {
    uint32_t si, di;
    int32_t source_ep;
    int code = find_notifier(t, call, &si, &source_ep);
    if (code == K_OK) code = k_find(t, call->peer, K_DSTDIED, &di);
    if (code == K_OK && si == di) code = K_ENDPOINT;
    if (code == K_OK && !k_may_send(t->region, si, di)) code = K_CALLDENIED;
    if (code != K_OK) return code;
    struct k_slot *d = k_slot_at(t->region, di);
    if (__builtin_expect(k_is_remote(d), 0)) return k_notify_abroad(t, call, source_ep, d, di);
    k_me(t)->sent_local++;
    k_note_peer(k_me(t), di);
    if (k_will_receive_notify(d, source_ep)) k_deliver_notification(t, d, di, si, source_ep, call);
    else if (k_is_system(t->region, si) && !call->value) set_bit(t, d, di, si);
    else code = k_post_record(t, di, si, source_ep, call->value, false);
    return code == K_OK ? k_commit(t) : code;
}

/* ---- taking one -------------------------------------------------------------------------------------------------------------- */

static bool take_bit(struct k_txn *t, uint32_t source, struct k_call *call) {
    clear_bit(t, k_me(t), t->me, source);
    k_note_peer(k_me(t), source);
    build_message(t->region, call->message, k_p_nr(t->region, source), source, 0, 0);
    call->in_flags = K_IN_NOTIFY;
    return true;
}

static bool take_record(struct k_txn *t, uint32_t index, struct k_call *call) {
    const struct k_note *n = k_note_checked(t->region, index);
    if (!n || n->dst != t->me || n->src >= t->region->members) return !(t->damaged = true);
    k_note_peer(k_me(t), n->src);
    build_message(t->region, call->message, n->src_ep, n->src, n->value, 0);
    call->in_flags = K_IN_NOTIFY;
    free_record(t, index);
    return true;
}

static bool take_from(struct k_txn *t, int32_t source, struct k_call *call) {
    uint32_t si, *link;
    if (!k_endpoint_decode(t->region, source, &si)) return false;
    if (has_bit(t->region, t->me, si)) return take_bit(t, si, call);
    uint32_t index = find_record(t->region, t->me, si, &link);
    return index != K_NIL && k_note_checked(t->region, index)->src_ep == source && take_record(t, index, call);
}

/* Plan the removal of the first pending notification from `source` (or ANY) and build its message; false: there is none. */
bool k_take_notification(struct k_txn *t, int32_t source, struct k_call *call) {
    struct k_slot *me = k_me(t);
    if (!me->summary && me->notes_head == K_NIL) return false;
    if (source != K_ANY) return take_from(t, source, call);
    uint32_t bit = lowest_bit(t->region, me, t->me);
    if (bit != K_NIL) return take_bit(t, bit, call);
    return me->notes_head != K_NIL && take_record(t, me->notes_head, call);
}

/* ---- burying: one pending notification a step ------------------------------------------------------------------------------ */

/* What waits at a closing slot. True: one was planned away. */
bool k_drop_incoming(struct k_txn *t, struct k_slot *s, uint32_t index) {
    uint32_t bit = lowest_bit(t->region, s, index);
    if (bit != K_NIL) clear_bit(t, s, index, bit);
    else if (s->notes_head != K_NIL) free_record(t, s->notes_head);
    else return false;
    return true;
}

/* One place where a notification by `source` may wait: positions are the slots' bitmaps, then the records. */
static bool drop_at(struct k_txn *t, uint32_t source, uint32_t position) {
    const struct k_region *region = t->region;
    if (position < region->members) {
        if (!has_bit(region, position, source)) return false;
        clear_bit(t, k_slot_at(region, position), position, source);
        return true;
    }
    uint32_t index = position - region->members;
    const struct k_note *n = k_note_checked(region, index);
    if (!n || n->dst == K_NIL || n->src != source || n->posthumous) return false;
    free_record(t, index);
    return true;
}

/* What a closing slot sent and nobody has taken yet. Looks at a bounded number of places per step and keeps its own place in
 * `next`, which a closing slot does not need. True: go on. */
bool k_drop_outgoing(struct k_txn *t, struct k_slot *s, uint32_t index) {
    enum { PLACES_A_STEP = 1024 };
    uint32_t places = t->region->members + t->region->limits.notes;
    if (s->notes_out == 0) return false;
    for (uint32_t i = 0; i < PLACES_A_STEP && s->next < places; i++, s->next++)
        if (drop_at(t, index, s->next)) return true; /* looked at again: the step may be killed before its commit */
    return s->next < places;
}
