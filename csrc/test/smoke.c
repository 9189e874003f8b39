/* smoke.c: the core in one process, for the sanitizers: every operation once or a few times, each result checked.
 *
 *     smoke [ROUNDS]      the whole suite that many times
 *
 * The region is heap memory of exactly its size, so that AddressSanitizer sees a step over its edge.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "../core/region.h"
#include "world.h"

static struct world w;

#define is(code_of, expected) do { int code_ = (code_of); if (code_ != (expected)) die("%s is %d, not %d", #code_of, code_, expected); } while (0)

static int32_t ep(uint32_t slot) { return world_endpoint(&w, slot); }

/* ---- steps -------------------------------------------------------------------------------------------------------- */

static int end_of(uint32_t slot, uint32_t op, int32_t *type) {
    struct k_message message = {0};
    struct k_call call = {.op = op, .message = &message};
    int code = k_step_finish(&w.region, slot, &call);
    if (type) *type = message.type;
    return code;
}

static void rendezvous(void) {
    int32_t type;
    is(step(&w, B, K_RECEIVE, K_ANY), K_BLOCKED);
    is(step(&w, A, K_SEND, ep(B)), K_OK);
    is(end_of(B, K_RECEIVE, &type), K_OK);
    is(type, A);
    is(step(&w, C, K_SEND, ep(B)), K_BLOCKED);
    is(step(&w, D, K_SENDREC, ep(B)), K_BLOCKED);
    is(step(&w, B, K_RCVRQST, K_ANY), K_OK);
    is(step(&w, B, K_REPLY, ep(D)), K_OK);
    is(end_of(D, K_SENDREC, &type), K_OK);
    is(type, B);
    is(step(&w, B, K_RECEIVE, ep(C)), K_OK);
    is(end_of(C, K_SEND, NULL), K_OK);
}

static void refusals(void) {
    is(step(&w, A, K_SEND, ep(A)), K_ENDPOINT);
    is(step(&w, A, K_SEND, K_ANY), K_ENDPOINT);
    is(step(&w, A, K_SEND, ep(B) + (int32_t)w.region.gen_size), K_DSTDIED);
    is(step(&w, A, K_RECEIVE, INT32_MIN), K_RANGE);
    is(step(&w, A, K_REPLY, ep(B)), K_PROCSTS);
    is(step(&w, A, 63, ep(B)), K_NOSYS);
    is(step(&w, B, K_SEND, ep(A)), K_BLOCKED);
    is(step(&w, A, K_SEND, ep(B)), K_LOCKED);
    is(step(&w, B, K_SEND, ep(A)), K_NOTREADY);
    is(k_step_cancel(&w.region, B, K_TIMEDOUT, NULL), K_OK);
    is(end_of(B, K_SEND, NULL), K_TIMEDOUT);
}

static void notify_as(uint32_t me, int32_t p_nr, uint32_t value, int expected) {
    struct k_call call = {.op = K_NOTIFY, .peer = ep(B), .value = value, .as_p_nr = p_nr};
    is(step_call(&w, me, &call), expected);
}

static void notifications(void) {
    for (uint32_t round = 0; round < 2; round++) {
        notify_as(S, INT32_MIN, 0, K_OK);
        notify_as(K0, K_HARDWARE, 0, K_OK);
        notify_as(A, INT32_MIN, 1, K_OK);
        notify_as(C, INT32_MIN, 2, K_OK);
    }
    notify_as(D, INT32_MIN, 2, K_OK);
    notify_as(E, INT32_MIN, 2, K_OK);
    notify_as(F, INT32_MIN, 2, K_OVERRUN);
    for (int i = 0; i < 6; i++) is(step(&w, B, K_RECEIVE, K_ANY), K_OK);
    is(k_step_wakeup(&w.region, K0, ep(B), LOCK_MS, NULL), K_OK);
    is(step(&w, B, K_RECEIVE, K_ANY), K_WOKENUP);
}

static void copies(void) {
    uint32_t src, dst;
    is(k_step_copy_begin(&w.region, A, ep(B), K_SELF, 10, &src, &dst), K_PROCSTS);
    is(k_step_copy_begin(&w.region, A, ep(B), K_SELF, UINT64_MAX, &src, &dst), K_RANGE);
    is(step(&w, B, K_RECEIVE, K_ANY), K_BLOCKED);
    is(k_step_copy_begin(&w.region, A, ep(B), K_SELF, 10, &src, &dst), K_OK);
    is(k_step_copy_begin(&w.region, C, ep(B), K_SELF, 10, &src, &dst), K_BUSY);
    is(k_step_cancel(&w.region, B, K_TIMEDOUT, NULL), K_BLOCKED);
    is(k_step_copy_end(&w.region, A, NULL), K_OK);
    is(end_of(B, K_RECEIVE, NULL), K_TIMEDOUT);
}

static void privileges(void) {
    uint64_t from[4], to[4];
    struct k_priv_view view = {.ipc_from = from, .ipc_to = to};
    require(w.region.map_words <= 4);
    is(k_step_getpriv(&w.region, K0, A, &view, LOCK_MS), K_OK);
    view.traps &= ~(1u << K_SEND);
    is(k_step_setpriv(&w.region, K0, A, 0, &view, LOCK_MS), K_OK);
    is(step(&w, A, K_SEND, ep(B)), K_TRAPDENIED);
    view.traps = UINT32_MAX;
    memset(to, 0, sizeof to);
    is(k_step_setpriv(&w.region, K0, A, 0, &view, LOCK_MS), K_OK);
    is(step(&w, A, K_SEND, ep(B)), K_CALLDENIED);
    is(k_unbind(&w.region, K0, A, 0, K_SHUTDOWN, true, LOCK_MS), K_OK);
    is(bind_slot(&w, A, getpid()), K_OK);
}

/* ---- handles: one thread each ---------------------------------------------------------------------------------------- */

enum { CALLS = 300 };

static void open_handle(struct k_handle *h, uint32_t slot, uint32_t spin_ns) {
    is(k_handle_open(h, &w.region, slot, world_slot(&w, slot)->incarnation, ep(slot), spin_ns), K_OK);
}

static void *serve(void *unused) {
    struct k_handle h;
    struct k_message message = {0};
    struct k_call call = {.op = K_RCVRQST, .peer = K_ANY, .message = &message, .as_p_nr = INT32_MIN};
    open_handle(&h, B, 2000);
    is(k_call(&h, &call, K_FOREVER), K_OK);
    for (int i = 1; i < CALLS; i++) {
        message.type++;
        call.peer = message.source;
        int code = k_call_start_reply_receive(&h, &call);
        if (code == K_BLOCKED || code == K_CONTENDED) code = k_call_wait(&h, &call, K_FOREVER);
        is(code, K_OK);
        is(call.reply_code, K_OK);
    }
    message.type++;
    call = (struct k_call){.op = K_REPLY, .peer = message.source, .message = &message, .as_p_nr = INT32_MIN};
    is(k_call(&h, &call, K_FOREVER), K_OK);
    k_handle_close(&h);
    return unused;
}

static void calls_between_threads(void) {
    pthread_t server;
    struct k_handle h;
    open_handle(&h, A, 2000);
    require(pthread_create(&server, NULL, serve, NULL) == 0);
    for (int i = 0; i < CALLS; i++) {
        struct k_message message = {.type = i};
        struct k_call call = {.op = K_SENDREC, .peer = ep(B), .message = &message, .as_p_nr = INT32_MIN};
        is(k_call(&h, &call, k_now_ns() + 20000000000), K_OK);
        is(message.type, i + 1);
    }
    pthread_join(server, NULL);
    k_handle_close(&h);
}

static void timeouts(void) {
    struct k_handle h;
    struct k_message message = {0};
    struct k_call call = {.op = K_RECEIVE, .peer = K_ANY, .message = &message, .as_p_nr = INT32_MIN};
    open_handle(&h, A, 0);
    is(k_call(&h, &call, k_now_ns() + 2000000), K_TIMEDOUT);
    call.flags = K_CALL_NOWAIT;
    is(k_call(&h, &call, k_now_ns()), K_AGAIN);
    k_handle_close(&h);
}

static void byte_copies(void) {
    struct k_handle h;
    uint8_t from[5000], to[5000] = {0};
    memset(from, 7, sizeof from);
    open_handle(&h, A, 0);
    is(step(&w, B, K_RECEIVE, K_ANY), K_BLOCKED);
    if (h.privileged) {
        is(k_copy(&h, ep(B), (uintptr_t)from, K_SELF, (uintptr_t)to, sizeof from, NULL, NULL), K_OK);
        require(memcmp(from, to, sizeof from) == 0);
        is(k_copy(&h, ep(B), 16, K_SELF, (uintptr_t)to, sizeof from, NULL, NULL), K_FAULT);
    }
    is(k_step_cancel(&w.region, B, K_TIMEDOUT, NULL), K_OK);
    k_handle_close(&h);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

static void burying(void) {
    is(step(&w, C, K_SEND, ep(B)), K_BLOCKED);
    is(step(&w, D, K_SENDREC, ep(B)), K_BLOCKED);
    is(step(&w, E, K_RECEIVE, ep(B)), K_BLOCKED);
    is(k_unbind(&w.region, K0, B, 0, K_SHUTDOWN, true, LOCK_MS), K_OK);
    is(end_of(C, K_SEND, NULL), K_DSTDIED);
    is(end_of(D, K_SENDREC, NULL), K_DSTDIED);
    is(end_of(E, K_RECEIVE, NULL), K_SRCDIED);
    is(bind_slot(&w, B, getpid()), K_OK);
}

static void ending(void) {
    k_vm_end(&w.region, K_VM_ENDED);
    is(step(&w, A, K_SEND, ep(B)), K_VMNOTRUN);
}

static void attach_refusals(void) {
    struct k_region region;
    size_t bytes = w.bytes;
    require(k_region_attach(&region, w.region.base, 100) != NULL);
    require(k_region_attach(&region, w.region.base, bytes - 4096) != NULL);
    k_header(&w.region)->version++;
    require(k_region_attach(&region, w.region.base, bytes) != NULL);
    k_header(&w.region)->version--;
    k_header(&w.region)->nr_procs = UINT32_MAX;
    require(k_region_attach(&region, w.region.base, bytes) != NULL);
}

int main(int argc, char **argv) {
    void (*const tests[])(void) = {rendezvous, refusals, notifications, copies, privileges, calls_between_threads,
                                   timeouts, byte_copies, burying, ending, attach_refusals};
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    world_make(&w, true);
    for (int round = 0; round < rounds; round++) {
        world_reset(&w);
        for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
            if (tests[i] != attach_refusals) is(audit(&w), 0);
            tests[i]();
        }
    }
    free(w.region.base);
    puts("ok");
    return 0;
}
