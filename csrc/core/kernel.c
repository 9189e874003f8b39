/* kernel.c: checks that come before every operation, and leaving lists. */
#include "kernel.h"

static bool allowed(const struct k_region *region, const struct k_slot *s, uint32_t index, uint32_t op) {
    if (!s->restricted) return true;
    const struct k_priv *p = k_priv_at(region, index, s->priv);
    return K_TRAPS >> op & 1 ? p->traps >> op & 1 : p->calls >> op & 1;
}

int k_check_caller(const struct k_txn *t, uint32_t op) {
    const struct k_slot *s = k_me(t);
    int code = k_vm_code(t->region);
    if (code != K_OK) return code;
    if (t->me >= t->region->members) return K_OK; /* a kernel slot acts for others */
    if (s->self != t->me) return K_BADPROC;
    if (s->rts & (K_RTS_FREE | K_RTS_CLOSING) || (t->incarnation && s->incarnation != t->incarnation)) return K_NOTBIND;
    if (s->rts || s->misc & K_MISC_BACKUP) return K_NOTREADY;
    return allowed(t->region, s, t->me, op) ? K_OK : K_TRAPDENIED;
}

int k_find(struct k_txn *t, int32_t endpoint, int dead, uint32_t *index) {
    if (!k_endpoint_decode(t->region, endpoint, index)) return K_ENDPOINT;
    if (*index == t->me) return k_me(t)->endpoint == endpoint ? K_ENDPOINT : dead;
    const struct k_slot *s = k_slot_at(t->region, *index);
    if (!k_is_bound(s) || s->endpoint != endpoint) return dead;
    return k_is_remote(s) ? k_route_code(t->region, s->node) : K_OK;
}

static bool map_bit(const struct k_region *region, const uint64_t *map, uint32_t id) {
    return id < region->map_words * 64 && map[id / 64] >> id % 64 & 1;
}

bool k_may_send(const struct k_region *region, uint32_t from, uint32_t to) {
    const struct k_slot *f = k_slot_at(region, from), *d = k_slot_at(region, to);
    if (!(f->restricted | d->restricted)) return true;
    const struct k_priv *fp = k_priv_at(region, from, f->priv), *dp = k_priv_at(region, to, d->priv);
    if (f->rts & K_RTS_FREE) return map_bit(region, dp->maps, k_default_id(region, from)); /* HARDWARE, say, need not be bound */
    return map_bit(region, fp->maps + region->map_words, dp->id) && map_bit(region, dp->maps, fp->id);
}

/* SENDING: in a queue of `sendto`, the requests' if it also awaits the answer; so are those who wait for a copy between nodes.
 * RECEIVING from one slot: in its waiter list. */
bool k_leave_list(struct k_txn *t, struct k_slot *s, uint32_t index) {
    uint32_t other;
    bool sending = s->rts & K_RTS_SENDING || (s->rts & K_RTS_RMTOPER && !k_is_remote(s));
    if (!sending && (!(s->rts & K_RTS_RECEIVING) || s->getfrom == K_ANY)) return true;
    if (!k_endpoint_decode(t->region, sending ? s->sendto : s->getfrom, &other)) return !(t->damaged = true);
    struct k_slot *o = k_slot_at(t->region, other);
    if (!sending) k_waiters_remove(t, o, s, index);
    else k_queue_remove(t, s->rts & K_RTS_RECEIVING ? k_requests(o) : k_senders(o), s, index);
    return !t->damaged;
}
