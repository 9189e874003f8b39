/* threads.c: everything at once, one thread a slot, for ThreadSanitizer.
 *
 *     threads [CALLS]
 *
 * Servers answer clients; an undertaker unbinds slots and binds them again; a herald notifies and wakes; an interrupter breaks
 * into waits. Results may be any that the rules allow, but nothing may race, hang or fail the audit.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "../core/region.h"
#include "world.h"

enum { HANG_S = 300 };

static struct world w;
static atomic_bool over;
static atomic_long answered, calls = 2000;

struct actor { pthread_t thread; uint32_t slot; struct k_handle handle; pthread_mutex_t opened; };
static struct actor actors[MEMBERS];

/* Open again after an unbind; a fresh incarnation is read without the lock, so it may be old once more. */
static void reopen(struct actor *a) {
    struct k_slot copy;
    if (k_step_snapshot(&w.region, K2, a->slot, &copy, LOCK_MS) != K_OK) return;
    pthread_mutex_lock(&a->opened);
    k_handle_close(&a->handle);
    k_handle_open(&a->handle, &w.region, a->slot, copy.incarnation, copy.endpoint, 1000);
    pthread_mutex_unlock(&a->opened);
}

static int call(struct actor *a, uint32_t op, int32_t peer, struct k_message *m) {
    struct k_call c = {.op = op, .peer = peer, .message = m, .as_p_nr = INT32_MIN};
    int code = k_call(&a->handle, &c, k_now_ns() + 5000000);
    if (code == K_NOTBIND) reopen(a);
    return code;
}

static int32_t endpoint_of(uint32_t slot) {
    struct k_slot copy;
    return k_step_snapshot(&w.region, K1, slot, &copy, LOCK_MS) == K_OK ? copy.endpoint : K_NOBODY;
}

static void *serve(void *argument) {
    struct actor *a = argument;
    struct k_message m = {0};
    while (!atomic_load(&over)) {
        if (call(a, K_RECEIVE, K_ANY, &m) != K_OK) continue;
        m.type++;
        call(a, K_REPLY, m.source, &m);
    }
    return NULL;
}

static void *ask(void *argument) {
    struct actor *a = argument;
    for (uint32_t i = a->slot; !atomic_load(&over); i++) {
        struct k_message m = {.type = (int32_t)i};
        int code = call(a, i % 5 ? K_SENDREC : K_SEND, endpoint_of(i % 2 ? A : B), &m);
        if (code != K_OK || i % 5 == 0) continue;
        if (m.type != (int32_t)i + 1 && m.type != 0) die("slot %u got %d for %u", a->slot, m.type, i);
        atomic_fetch_add(&answered, 1);
    }
    return NULL;
}

static void *herald(void *argument) {
    struct actor *a = argument;
    for (uint32_t i = 0; !atomic_load(&over); i++) {
        struct k_message m = {0};
        call(a, K_NOTIFY, endpoint_of(A + i % 4), &m);
        if (i % 16 == 0) k_step_wakeup(&w.region, K2, endpoint_of(A + i % 4), LOCK_MS, NULL);
        if (i % 8 == 0 && pthread_mutex_trylock(&actors[A].opened) == 0) {
            k_handle_interrupt(&actors[A].handle);
            pthread_mutex_unlock(&actors[A].opened);
        }
    }
    return NULL;
}

static void *bury(void *unused) {
    for (uint32_t i = 0; !atomic_load(&over); i++) {
        uint32_t slot = A + i % 4;
        for (int before = 0; before < 200; before++) endpoint_of(slot);
        int code = k_unbind(&w.region, K0, slot, 0, K_SHUTDOWN, true, LOCK_MS);
        if (code != K_OK) die("unbind: %d", code);
        code = bind_slot(&w, slot, getpid());
        if (code != K_OK) die("bind: %d", code);
    }
    return unused;
}

static void start(uint32_t slot, void *(*what)(void *)) {
    struct actor *a = &actors[slot];
    a->slot = slot;
    pthread_mutex_init(&a->opened, NULL);
    k_handle_open(&a->handle, &w.region, slot, world_slot(&w, slot)->incarnation, world_endpoint(&w, slot), 1000);
    require(pthread_create(&a->thread, NULL, what, a) == 0);
}

int main(int argc, char **argv) {
    pthread_t undertaker;
    if (argc > 1) atomic_store(&calls, atol(argv[1]));
    alarm(HANG_S);
    world_make(&w, true);
    start(A, serve), start(B, serve);
    start(C, ask), start(D, ask), start(E, ask);
    start(S, herald);
    require(pthread_create(&undertaker, NULL, bury, NULL) == 0);
    while (atomic_load(&answered) < atomic_load(&calls)) sched_yield();
    atomic_store(&over, true);
    pthread_join(undertaker, NULL);
    for (uint32_t i = 0; i < MEMBERS; i++)
        if (actors[i].thread) pthread_join(actors[i].thread, NULL), k_handle_close(&actors[i].handle);
    require(audit(&w) == 0);
    free(w.region.base);
    printf("%ld calls answered\n", atomic_load(&answered));
    return 0;
}
