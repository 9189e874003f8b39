/* region.c: sizes, format and attach of a VM's shared memory.
 *
 * The geometry follows from the limits alone. It is computed once from the header at attach, checked against the true size of
 * the mapping, and kept in private memory: whatever is scribbled over the header later moves nothing.
 */
#include "region.h"

#include <string.h>

enum {
    NR_PROCS_MAX = 32000,   /* below the special endpoint numbers and far below the generation size */
    NR_TASKS_MIN = 3, NR_TASKS_MAX = 299,
    NR_SYSPROCS_MAX = 1024, /* 32 words of 32 bits: the summary of pending bits is one word */
    NOTES_MAX = 1u << 20,
    NR_NODES_MAX = 4096,
    NR_PROXIES_MAX = 256,
};

static bool limits_valid(const struct k_limits *l) {
    return l->nr_procs >= 1 && l->nr_procs <= NR_PROCS_MAX && l->nr_tasks >= NR_TASKS_MIN && l->nr_tasks <= NR_TASKS_MAX
        && l->nr_sysprocs >= l->nr_tasks && l->nr_sysprocs <= NR_SYSPROCS_MAX && l->nr_sysprocs <= l->nr_tasks + l->nr_procs
        && l->notes >= 1 && l->notes <= NOTES_MAX && l->copy_buf >= 1 && l->copy_len_max >= 1 && l->copy_len_max <= INT32_MAX
        && l->nr_nodes >= 1 && l->nr_nodes <= NR_NODES_MAX && l->nr_proxies >= 1 && l->nr_proxies <= NR_PROXIES_MAX;
}

static size_t align_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

static uint32_t power_of_two(uint32_t at_least) {
    uint32_t n = 1;
    while (n < at_least) n *= 2;
    return n;
}

/* Everything but `base`, from valid limits. */
static void lay_out(struct k_region *r, const struct k_limits *limits) {
    r->limits = *limits;
    r->members = limits->nr_tasks + limits->nr_procs;
    r->slots = r->members + K_KERNEL_SLOTS + 2 * limits->nr_proxies;
    r->doorbell = -1;
    r->map_words = (limits->nr_sysprocs + 63) / 64;
    r->buckets = power_of_two(limits->notes);
    r->gen_size = limits->nr_tasks + K_SELF + 1;
    r->gen_inverse = UINT64_MAX / r->gen_size + 1;
    r->slots_at = K_HEADER_BYTES;
    r->pending_at = r->slots_at + (size_t)r->slots * sizeof(struct k_slot);
    r->privs_at = align_up(r->pending_at + (size_t)r->members * r->map_words * 8, K_LINE);
    r->priv_bytes = sizeof(struct k_priv) + (size_t)r->map_words * 2 * 8;
    r->notes_at = align_up(r->privs_at + (size_t)r->members * 2 * r->priv_bytes, K_LINE);
    r->buckets_at = r->notes_at + (size_t)limits->notes * sizeof(struct k_note);
    r->routes_at = r->buckets_at + (size_t)r->buckets * 4;
    r->bytes = align_up(r->routes_at + (size_t)limits->nr_nodes * 4, 4096);
}

size_t k_region_bytes(const struct k_limits *limits) {
    struct k_region region = {0};
    if (!limits_valid(limits)) return 0;
    lay_out(&region, limits);
    return region.bytes;
}

uint32_t k_generation_max(const struct k_region *region) {
    return (uint32_t)INT32_MAX / region->gen_size - 1;
}

static void format_slots(struct k_region *r) {
    uint32_t generation = r->limits.generation % k_generation_max(r);
    for (uint32_t i = 0; i < r->slots; i++) {
        struct k_slot *s = k_slot_at(r, i);
        s->self = i;
        s->rts = K_RTS_FREE;
        s->getfrom = s->sendto = K_NOBODY;
        s->endpoint = K_NOBODY;
        s->generation = generation;
        s->next = s->prev = s->waiters = K_NIL;
        s->senders_head = s->senders_tail = s->requests_head = s->requests_tail = K_NIL;
        s->notes_head = s->notes_tail = K_NIL;
        s->last_peer = K_NIL;
        s->px_next = s->px_prev = s->px_head = s->px_tail = K_NIL;
    }
}

static void format_notes(struct k_region *r) {
    for (uint32_t i = 0; i < r->limits.notes; i++) {
        struct k_note *n = k_note_checked(r, i);
        n->dst = n->src = n->next = n->prev = K_NIL;
        n->chain = i + 1 < r->limits.notes ? i + 1 : K_NIL;
    }
    for (uint32_t i = 0; i < r->buckets; i++) *k_bucket_at(r, i) = K_NIL;
}

static void format_header(struct k_region *r) {
    struct k_header *h = k_header(r);
    const struct k_limits *l = &r->limits;
    h->version = K_LAYOUT_VERSION;
    h->vmid = l->vmid, h->node = l->node, h->owner_uid = l->owner_uid;
    h->nr_procs = l->nr_procs, h->nr_tasks = l->nr_tasks, h->nr_sysprocs = l->nr_sysprocs;
    h->notes = l->notes, h->buckets = r->buckets;
    h->copy_len_max = l->copy_len_max, h->copy_buf = l->copy_buf;
    h->nr_nodes = l->nr_nodes, h->nr_proxies = l->nr_proxies;
    h->bytes = r->bytes;
    memcpy(h->name, l->name, K_NAME_BYTES);
    h->magic = K_MAGIC; /* last: an interrupted format is not a region */
}

int k_region_format(void *base, size_t bytes, const struct k_limits *limits) {
    struct k_region region = {0};
    if (!limits_valid(limits)) return K_RANGE;
    lay_out(&region, limits);
    if (bytes < region.bytes) return K_RANGE;
    region.base = base;
    format_slots(&region);
    format_notes(&region);
    format_header(&region);
    return K_OK;
}

static void limits_from_header(struct k_limits *l, const struct k_header *h) {
    *l = (struct k_limits){
        .vmid = h->vmid, .node = h->node, .nr_procs = h->nr_procs, .nr_tasks = h->nr_tasks, .nr_sysprocs = h->nr_sysprocs,
        .notes = h->notes, .copy_len_max = h->copy_len_max, .copy_buf = h->copy_buf, .owner_uid = h->owner_uid,
        .nr_nodes = h->nr_nodes, .nr_proxies = h->nr_proxies,
    };
    memcpy(l->name, h->name, K_NAME_BYTES);
    l->name[K_NAME_BYTES - 1] = 0;
}

const char *k_region_attach(struct k_region *region, void *base, size_t bytes) {
    struct k_limits limits;
    if (bytes < K_HEADER_BYTES) return "it is shorter than a region's header";
    const struct k_header *h = base;
    if (h->magic != K_MAGIC) return "it is not a region of drvs (no magic number)";
    if (h->version != K_LAYOUT_VERSION) return "it was made by another version of drvs (layout version differs): end the VM and create it again";
    limits_from_header(&limits, h);
    if (!limits_valid(&limits)) return "its header is damaged (limits out of range): end the VM and create it again";
    lay_out(region, &limits);
    if (region->bytes != bytes || h->bytes != bytes) return "its header is damaged (size differs from the limits): end the VM and create it again";
    region->base = base;
    return NULL;
}

/* ---- endpoint arithmetic -------------------------------------------------------------------------------------- */

int32_t k_endpoint_encode(const struct k_region *region, uint32_t slot, uint32_t generation) {
    return (int32_t)(generation * region->gen_size) + k_p_nr(region, slot);
}

bool k_endpoint_is_earlier(int32_t endpoint, int32_t other) {
    int64_t ahead = (int64_t)other - endpoint, half = INT32_MAX / 2;
    return ahead > 0 ? ahead <= half : ahead < -half;
}

/* Slots below nr_sysprocs have generation 0 for ever, the others never do. */
bool k_endpoint_decode(const struct k_region *region, int32_t endpoint, uint32_t *slot) {
    uint32_t shifted = (uint32_t)endpoint + region->limits.nr_tasks; /* below -nr_tasks: wraps to more than any endpoint */
    if (shifted < region->gen_size) {
        *slot = shifted;
        return k_is_system(region, shifted);
    }
    *slot = (uint32_t)(((unsigned __int128)(region->gen_inverse * shifted) * region->gen_size) >> 64); /* shifted % gen_size, exactly */
    return shifted <= (uint32_t)INT32_MAX + region->limits.nr_tasks && *slot < region->members && !k_is_system(region, *slot);
}
