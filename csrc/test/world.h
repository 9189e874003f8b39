/* world.h: a small VM for the C tests: made in memory, stepped by whoever asks, its tables comparable.
 *
 * Slots have letters. A to F are user slots, S, T and V system slots; G and U stay free; K0 and K1 are kernel slots (as noded's), PS
 * and PR those of the first pair of proxies.
 */
#ifndef DRVS_TEST_WORLD_H
#define DRVS_TEST_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "../core/core.h"

enum { NR_TASKS = 3, NR_SYSPROCS = 7, NR_PROCS = 11, NOTES = 4, MEMBERS = NR_TASKS + NR_PROCS };
enum { S = 3, T, U, V, A, B, C, D, E, F, G, K0 = MEMBERS, K1, K2, PS = MEMBERS + K_KERNEL_SLOTS, PR };
enum { NODES = 4, PROXIES = 2 };
enum { LOCK_MS = 5000 };

struct world {
    struct k_region region;
    size_t bytes;
};

#define die(...) (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(2))
#define require(what) ((what) ? (void)0 : die("not so: %s", #what))

/* An empty VM in memory that forked children share (or, for sanitizers, in heap memory of exactly its size). */
void world_make(struct world *w, bool on_heap);
/* Empty it again and bind all the letters. */
void world_reset(struct world *w);

struct k_slot *world_slot(const struct world *w, uint32_t slot);
int32_t world_endpoint(const struct world *w, uint32_t slot);

int bind_slot(struct world *w, uint32_t slot, int32_t pid);
/* One call, stepped: its code. */
int step(struct world *w, uint32_t me, uint32_t op, int32_t peer);
int step_call(struct world *w, uint32_t me, struct k_call *call);
/* Problems that the audit finds, told on stderr; a code below 0. */
int audit(struct world *w);

/* The tables as comparable words: all that a transition may change, and nothing that is free to differ (mailboxes, debts, lock,
 * redo records, statistics, fields of a slot that its state makes meaningless). */
struct picture { uint32_t n, word[4096]; };
void picture_take(const struct world *w, struct picture *p);
bool picture_same(const struct picture *a, const struct picture *b);
void picture_difference(const struct picture *a, const struct picture *b);

#endif
