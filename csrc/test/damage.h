/* damage.h: random words of a region overwritten, the way a member that has gone wild would. */
#ifndef DRVS_TEST_DAMAGE_H
#define DRVS_TEST_DAMAGE_H

#include "../core/region.h"

struct random { uint64_t state; };

static inline uint32_t random_word(struct random *r) {
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    uint32_t shifted = (uint32_t)((r->state >> 18 ^ r->state) >> 27), turn = (uint32_t)(r->state >> 59);
    return shifted >> turn | shifted << (-turn & 31);
}

static inline uint32_t random_below(struct random *r, uint32_t n) {
    return random_word(r) % n;
}

/* Values that code trips over: small numbers, slot indexes, edges, states, flipped bits, or anything. */
static inline uint32_t damaged_value(struct random *r, uint32_t old) {
    static const uint32_t odd[] = {0, 1, UINT32_MAX, INT32_MAX, 0x80000000u, K_ANY, K_NOBODY, K_SELF, K_RTS_SENDING, K_RTS_RECEIVING,
                                   K_RTS_SENDING | K_RTS_RECEIVING, K_RTS_ONCOPY, K_RTS_FREE, K_RTS_CLOSING, K_RTS_REMOTE};
    switch (random_below(r, 6)) {
    case 0: return random_word(r);
    case 1: return random_below(r, 24);
    case 2: return odd[random_below(r, sizeof odd / sizeof odd[0])];
    case 3: return old ^ 1u << random_below(r, 32);
    case 4: return old + random_below(r, 5) - 2;
    default: return random_below(r, 4096) * 4;
    }
}

/* A word to overwrite: mostly one that the kernel works with; never the lock unless `lock_too`. */
static inline uint32_t damaged_offset(struct random *r, const struct k_region *region, bool lock_too) {
    uint32_t first = lock_too ? 0 : 4, words;
    switch (random_below(r, 4)) {
    case 0: return (first + random_below(r, K_LINE - 4)) & ~3u; /* the header's first line */
    case 1: /* the working lines of a slot */
        words = random_below(r, region->slots);
        return (uint32_t)region->slots_at + words * (uint32_t)sizeof(struct k_slot) + random_below(r, sizeof(struct k_slot) / 4) * 4;
    case 2: /* what comes after the slots */
        return (uint32_t)region->pending_at + random_below(r, (uint32_t)(region->bytes - region->pending_at) / 4) * 4;
    default:
        words = 4 * random_below(r, (uint32_t)region->bytes / 4);
        return words < first ? first : words;
    }
}

static inline void damage(struct random *r, const struct k_region *region, bool lock_too) {
    volatile uint32_t *word = (volatile uint32_t *)(void *)(region->base + damaged_offset(r, region, lock_too));
    *word = damaged_value(r, *word);
}

#endif
