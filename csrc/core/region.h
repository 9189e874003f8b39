/* region.h: range-checked access to a region. Every index that comes out of shared memory goes through here. */
#ifndef DRVS_REGION_H
#define DRVS_REGION_H

#include "core.h"

static inline struct k_header *k_header(const struct k_region *region) {
    return (struct k_header *)(void *)region->base;
}

/* The slot with this index, which the caller has checked. */
static inline struct k_slot *k_slot_at(const struct k_region *region, uint32_t index) {
    return (struct k_slot *)(void *)(region->base + region->slots_at + (size_t)index * sizeof(struct k_slot));
}

/* A member slot by an index read from shared memory: NULL if there is no such slot. */
static inline struct k_slot *k_slot_checked(const struct k_region *region, uint32_t index) {
    return index < region->members ? k_slot_at(region, index) : NULL;
}

static inline uint32_t k_slot_index(const struct k_region *region, const struct k_slot *slot) {
    return (uint32_t)(((size_t)((const uint8_t *)slot - region->base) - region->slots_at) / sizeof(struct k_slot));
}

/* Pending notifications of a slot: a bit for each system slot, in 32-bit words (`summary` has a bit for each word). */
static inline uint32_t *k_pending(const struct k_region *region, uint32_t slot) {
    return (uint32_t *)(void *)(region->base + region->pending_at) + (size_t)slot * region->map_words * 2;
}

/* One of the two privilege records of a slot. */
static inline struct k_priv *k_priv_at(const struct k_region *region, uint32_t slot, uint32_t which) {
    return (struct k_priv *)(void *)(region->base + region->privs_at + ((size_t)slot * 2 + (which & 1u)) * region->priv_bytes);
}

static inline struct k_note *k_note_checked(const struct k_region *region, uint32_t index) {
    struct k_note *notes = (struct k_note *)(void *)(region->base + region->notes_at);
    return index < region->limits.notes ? &notes[index] : NULL;
}

static inline uint32_t *k_bucket_at(const struct k_region *region, uint32_t index) {
    return (uint32_t *)(void *)(region->base + region->buckets_at) + (index & (region->buckets - 1));
}

/* The route to a node below nr_nodes. Written by noded; whatever stands there, the proxy pair in it is checked by k_route_px. */
static inline uint32_t *k_route_at(const struct k_region *region, uint32_t node) {
    return (uint32_t *)(void *)(region->base + region->routes_at) + node;
}

static inline int32_t k_p_nr(const struct k_region *region, uint32_t slot) {
    return (int32_t)slot - (int32_t)region->limits.nr_tasks;
}

static inline bool k_is_system(const struct k_region *region, uint32_t slot) {
    return slot < region->limits.nr_sysprocs;
}

#endif
