/* world.c: the small VM of the C tests. */
#define _GNU_SOURCE
#include "world.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../core/region.h"

static const struct k_limits limits = {
    .vmid = 1, .node = 0, .nr_nodes = NODES, .nr_proxies = PROXIES, .nr_procs = NR_PROCS, .nr_tasks = NR_TASKS, .nr_sysprocs = NR_SYSPROCS, .notes = NOTES,
    .copy_len_max = 65536, .copy_buf = 4096, .owner_uid = 0, .name = "world",
};

void world_make(struct world *w, bool on_heap) {
    w->bytes = k_region_bytes(&limits);
    void *base = on_heap ? aligned_alloc(4096, w->bytes)
                         : mmap(NULL, w->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(base && base != MAP_FAILED);
    w->region.base = base;
    world_reset(w);
}

void world_reset(struct world *w) {
    uint8_t *base = w->region.base;
    memset(base, 0, w->bytes);
    require(k_region_format(base, w->bytes, &limits) == K_OK);
    const char *why = k_region_attach(&w->region, base, w->bytes);
    if (why) die("attach: %s", why);
    for (uint32_t slot = S; slot <= F; slot++)
        if (slot != U) require(bind_slot(w, slot, getpid()) == K_OK);
}

struct k_slot *world_slot(const struct world *w, uint32_t slot) {
    return k_slot_at(&w->region, slot);
}

int32_t world_endpoint(const struct world *w, uint32_t slot) {
    return world_slot(w, slot)->endpoint;
}

int bind_slot(struct world *w, uint32_t slot, int32_t pid) {
    struct k_bind bind = {.slot = slot, .kind = K_BIND_LOCAL, .pid = pid, .tid = pid};
    snprintf(bind.name, sizeof bind.name, "slot%u", slot);
    return k_step_bind(&w->region, K0, &bind, LOCK_MS);
}

int step_call(struct world *w, uint32_t me, struct k_call *call) {
    struct k_message message = {.type = (int32_t)me};
    if (!call->message) call->message = &message;
    if (!call->as_p_nr) call->as_p_nr = INT32_MIN;
    int code = k_step(&w->region, me, call, NULL);
    if (call->message == &message) call->message = NULL;
    return code;
}

int step(struct world *w, uint32_t me, uint32_t op, int32_t peer) {
    struct k_call call = {.op = op, .peer = peer};
    return step_call(w, me, &call);
}

static void tell(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "  audit: %s\n", text);
}

int audit(struct world *w) {
    return k_audit(&w->region, K1, tell, NULL, LOCK_MS);
}

/* ---- pictures -------------------------------------------------------------------------------------------------- */

static void put(struct picture *p, uint32_t word) {
    require(p->n < sizeof p->word / sizeof p->word[0]);
    p->word[p->n++] = word;
}

/* What a slot has for another node, or runs for one. */
static void put_far(const struct world *w, struct picture *p, uint32_t index) {
    const struct k_slot *s = world_slot(w, index);
    bool queued = s->px, copies = s->rts & K_RTS_RMTOPER, member = index < MEMBERS, bound = member && !(s->rts & K_RTS_FREE);
    const uint32_t words[] = {
        s->px, queued ? s->px_next : 0, queued ? s->px_prev : 0, queued ? s->out_cmd : 0, queued ? s->out_node : 0, queued ? s->out_call : 0,
        queued ? (uint32_t)s->out_code : 0, copies ? s->v_done : 0, bound && s->rts & K_RTS_HELD ? s->holder : 0,
        s->px_head, s->px_tail, s->armed, member ? 0 : s->copy_src, member ? 0 : s->copy_dst,
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) put(p, words[i]);
}

/* Zero where the slot's state gives the word no meaning; every slot takes the same number of words. */
static void put_slot(const struct world *w, struct picture *p, uint32_t index) {
    const struct k_slot *s = world_slot(w, index);
    bool bound = !(s->rts & K_RTS_FREE);
    bool sends = s->rts & K_RTS_SENDING || (s->rts & K_RTS_RMTOPER && !(s->rts & K_RTS_REMOTE)), receives = s->rts & K_RTS_RECEIVING;
    bool linked = sends || (receives && s->getfrom != K_ANY);
    const uint32_t words[] = {
        s->rts, bound ? (uint32_t)s->endpoint : 0, bound ? s->incarnation : 0,
        bound ? s->misc : 0, bound ? s->generation : 0, s->self,
        receives ? (uint32_t)s->getfrom : 0, sends ? (uint32_t)s->sendto : 0, receives ? s->call : 0,
        linked ? s->next : 0, linked ? s->prev : 0, sends ? s->ticket : 0, s->waiters,
        s->senders_head, s->senders_tail, s->requests_head, s->requests_tail,
        s->notes_head, s->notes_tail, bound ? s->notes_out : 0, s->summary,
        bound ? s->restricted : 0, bound ? s->copy_src : 0, bound ? s->copy_dst : 0,
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) put(p, words[i]);
}

static void put_pending(const struct world *w, struct picture *p, uint32_t index) {
    for (uint32_t i = 0; i < w->region.map_words * 2; i++) put(p, ((const uint32_t *)(const void *)k_pending(&w->region, index))[i]);
}

static void put_priv(const struct world *w, struct picture *p, uint32_t index) {
    const struct k_slot *s = world_slot(w, index);
    const uint32_t *priv = (const void *)k_priv_at(&w->region, index, s->priv);
    for (size_t i = 0; i < w->region.priv_bytes / 4; i++) put(p, s->rts & K_RTS_FREE ? 0 : priv[i]);
}

static void put_note(const struct world *w, struct picture *p, uint32_t index) {
    const struct k_note *n = k_note_checked(&w->region, index);
    bool used = n->dst != K_NIL;
    const uint32_t words[] = {n->dst, n->chain, used ? n->src : 0, used ? (uint32_t)n->src_ep : 0, used ? n->value : 0,
                              used ? n->next : 0, used ? n->prev : 0};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) put(p, words[i]);
}

void picture_take(const struct world *w, struct picture *p) {
    const struct k_header *h = k_header(&w->region);
    p->n = 0;
    put(p, h->state), put(p, h->note_free), put(p, h->notes_used), put(p, h->bound);
    for (uint32_t i = 0; i < w->region.limits.notes; i++) put_note(w, p, i);
    for (uint32_t i = 0; i < w->region.buckets; i++) put(p, *k_bucket_at(&w->region, i));
    for (uint32_t i = 0; i < NODES; i++) put(p, *k_route_at(&w->region, i));
    for (uint32_t i = 0; i < w->region.slots; i++) put_far(w, p, i);
    for (uint32_t i = 0; i < MEMBERS; i++) put_slot(w, p, i), put_pending(w, p, i), put_priv(w, p, i);
}

bool picture_same(const struct picture *a, const struct picture *b) {
    return a->n == b->n && memcmp(a->word, b->word, a->n * sizeof a->word[0]) == 0;
}

void picture_difference(const struct picture *a, const struct picture *b) {
    for (uint32_t i = 0; i < a->n; i++)
        if (a->word[i] != b->word[i]) fprintf(stderr, "  picture word %u: %#x, not %#x\n", i, b->word[i], a->word[i]);
}
