/* priv.c: privileges of a slot, read and replaced whole. */
#include "kernel.h"

int k_step_getpriv(struct k_region *region, uint32_t me, uint32_t slot, struct k_priv_view *view, int lock_ms) {
    struct k_txn t;
    if (slot >= region->members) return K_RANGE;
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    if (code != K_OK) return code;
    const struct k_slot *s = k_slot_at(region, slot);
    const struct k_priv *p = k_priv_at(region, slot, s->priv);
    view->id = p->id, view->warn = p->warn, view->level = p->level;
    view->traps = p->traps, view->calls = p->calls, view->alarm = p->alarm;
    memcpy(view->ipc_from, p->maps, (size_t)region->map_words * 8);
    memcpy(view->ipc_to, p->maps + region->map_words, (size_t)region->map_words * 8);
    return k_leave_with(&t, s->rts & K_RTS_FREE ? K_NOTBIND : K_OK);
}

/* Every bit that the checks can ask for is set. The last word of a map may be wider than the system slots. */
static bool unrestricted(const struct k_region *region, const struct k_priv *p) {
    if ((p->traps & K_TRAPS) != K_TRAPS || p->calls != UINT64_MAX) return false;
    for (uint32_t i = 0; i < region->limits.nr_sysprocs; i++)
        if (!(p->maps[i / 64] >> i % 64 & 1) || !(p->maps[region->map_words + i / 64] >> i % 64 & 1)) return false;
    return p->id < region->limits.nr_sysprocs;
}

static int setpriv(struct k_txn *t, uint32_t slot, uint32_t incarnation, const struct k_priv_view *view) {
    struct k_region *region = t->region;
    struct k_slot *s = k_slot_at(region, slot);
    if (!k_is_bound(s) || (incarnation && s->incarnation != incarnation)) return K_NOTBIND;
    struct k_priv *p = k_priv_at(region, slot, !(s->priv & 1)); /* the record not in force: nobody reads it */
    p->id = view->id, p->warn = view->warn, p->level = view->level;
    p->traps = view->traps, p->calls = view->calls, p->alarm = view->alarm;
    memcpy(p->maps, view->ipc_from, (size_t)region->map_words * 8);
    memcpy(p->maps + region->map_words, view->ipc_to, (size_t)region->map_words * 8);
    k_set(t, &s->priv, !(s->priv & 1));
    k_set(t, &s->restricted, !unrestricted(region, p));
    return k_commit(t);
}

int k_step_setpriv(struct k_region *region, uint32_t me, uint32_t slot, uint32_t incarnation, const struct k_priv_view *view, int lock_ms) {
    struct k_txn t;
    if (slot >= region->members || view->id >= region->map_words * 64) return K_RANGE;
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    return code == K_OK ? k_leave_with(&t, setpriv(&t, slot, incarnation, view)) : code;
}

int k_step_snapshot(struct k_region *region, uint32_t me, uint32_t slot, struct k_slot *copy, int lock_ms) {
    struct k_txn t;
    if (slot >= region->slots) return K_RANGE;
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    if (code != K_OK) return code;
    memcpy(copy, k_slot_at(region, slot), sizeof *copy);
    return k_leave_with(&t, K_OK);
}
