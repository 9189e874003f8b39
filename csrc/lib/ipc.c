/* ipc.c: chapter 3: messages, notifications, copies.
 *
 * A call finds the endpoint it uses, looks at the pointer, copies the message in, lets the core do it, and copies the message out.
 * Nothing of the program's memory is touched in between, so a bad pointer can hurt only the program that has it.
 */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>

#include "../core/lock.h"
#include "binding.h"
#include "current.h"
#include "memory.h"

/* ---- one call ------------------------------------------------------------------------------------------------------------- */

static bool gives_a_message(uint32_t op) {
    return op == K_RECEIVE || op == K_RCVRQST || op == K_SENDREC;
}

static bool takes_a_message(uint32_t op) {
    return op != K_RECEIVE && op != K_RCVRQST && op != K_NOTIFY;
}

static int64_t deadline_after(long to_ms) {
    const long longest = INT64_MAX / 4 / 1000000;
    return to_ms <= 0 || to_ms > longest ? K_FOREVER : k_now_ns() + to_ms * 1000000;
}

/* An endpoint that is not bound any more may have a successor: the process was bound again, or is a child that was. */
static int run_after(struct binding *stale, struct k_call *call, int64_t deadline) {
    int code;
    struct binding *b = binding_after(stale, &code);
    return b ? k_call(&b->handle, call, deadline) : code;
}

static inline int run(struct binding *b, struct k_call *call, long to_ms) {
    call->flags = to_ms == TIMEOUT_NOWAIT ? K_CALL_NOWAIT : 0;
    call->answers = 0; /* the call last accepted from there: the core remembers */
    call->replies = false;
    int64_t deadline = deadline_after(to_ms);
    int before = errno;
    int code = k_call(&b->handle, call, deadline);
    if (__builtin_expect(code == K_NOTBIND, 0)) code = run_after(b, call, deadline);
    errno = before;
    return code;
}

/* A server that has just answered, on another CPU, is about to take the VM's lock once more, for its next receive. A caller that calls
 * again at once collides with it there, and each pulls the lock's line from the other: 12 to 20 % of a round trip, measured. Ten
 * nanoseconds of patience let it go first. */
static inline void let_the_server_go_first(const struct binding *b) {
    if (this_thread.spins == b->handle.spins) return; /* the last wait slept: the server is long since where it waits */
    this_thread.spins = b->handle.spins;
    k_pause();
}

/* A call with a message. Inlined into each public one, where `op` is known. */
static inline __attribute__((always_inline)) long call_with(uint32_t op, int peer, message *m, long to_ms) {
    int code;
    struct k_call call;
    struct k_message copy;
    struct binding *b = known_binding();
    if (!b && !(b = current_binding(&code))) return ended(code);
    if (!message_usable(m, gives_a_message(op))) return ended(EMOLMSGSIZE);
    if (takes_a_message(op)) memcpy(&copy, m, sizeof copy);
    if (op == K_SENDREC) let_the_server_go_first(b);
    call.op = op;
    call.peer = peer;
    call.message = &copy;
    code = run(b, &call, to_ms);
    if (code == K_OK && gives_a_message(op)) {
        if (__builtin_expect(memory_is_tracked, 0)) memory_was_written(&copy, sizeof copy);
        memcpy(m, &copy, sizeof copy);
    }
    return ended(code);
}

long mnx_send(int dst_ep, message *m_ptr) {
    return call_with(K_SEND, dst_ep, m_ptr, TIMEOUT_FOREVER);
}

long mnx_send_T(int dst_ep, message *m_ptr, long to_ms) {
    return call_with(K_SEND, dst_ep, m_ptr, to_ms);
}

long mnx_reply(int dst_ep, message *m_ptr) {
    return call_with(K_REPLY, dst_ep, m_ptr, TIMEOUT_FOREVER);
}

long mnx_reply_T(int dst_ep, message *m_ptr, long to_ms) {
    return call_with(K_REPLY, dst_ep, m_ptr, to_ms);
}

long mnx_receive(int src_ep, message *m_ptr) {
    return call_with(K_RECEIVE, src_ep, m_ptr, TIMEOUT_FOREVER);
}

long mnx_receive_T(int src_ep, message *m_ptr, long to_ms) {
    return call_with(K_RECEIVE, src_ep, m_ptr, to_ms);
}

long mnx_rcvrqst(message *m_ptr) {
    return call_with(K_RCVRQST, ANY, m_ptr, TIMEOUT_FOREVER);
}

long mnx_rcvrqst_T(message *m_ptr, long to_ms) {
    return call_with(K_RCVRQST, ANY, m_ptr, to_ms);
}

long mnx_sendrec(int srcdst_ep, message *m_ptr) {
    return call_with(K_SENDREC, srcdst_ep, m_ptr, TIMEOUT_FOREVER);
}

long mnx_sendrec_T(int srcdst_ep, message *m_ptr, long to_ms) {
    return call_with(K_SENDREC, srcdst_ep, m_ptr, to_ms);
}

long mnx_relay(int dst_ep, message *m_ptr) {
    return call_with(K_RELAY, dst_ep, m_ptr, TIMEOUT_FOREVER);
}

/* ---- notifications ---------------------------------------------------------------------------------------------------------- */

static long notify(struct binding *b, int dst_ep, uint32_t value) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct k_call call = {
        .op = K_NOTIFY, .peer = dst_ep, .value = value, .as_p_nr = INT32_MIN,
        .now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
    };
    return ended(run(b, &call, TIMEOUT_FOREVER));
}

long mnx_notify(int dst_ep) {
    int code;
    struct binding *b = current_binding(&code);
    return b ? notify(b, dst_ep, 0) : ended(code);
}

/* On behalf of another: noded's to allow. */
static long notify_as(int vmid, int src_nr, int dst_ep, uint32_t value) {
    struct request q;
    request_begin(&q, "notify", 0);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "as_p_nr", src_nr);
    json_put_integer(&q.json, "dst", dst_ep);
    json_put_integer(&q.json, "value", value);
    return ended(noded_tell(&q));
}

long mnx_ntfy_value(int src_nr, int dst_ep, int value) {
    int code;
    struct binding *b = current_binding(&code);
    if (!b) return ended(code);
    int own_nr = (int)b->handle.slot - (int)b->handle.region.limits.nr_tasks;
    if (src_nr == SELF || src_nr == own_nr) return notify(b, dst_ep, (uint32_t)value);
    return notify_as(b->vmid, src_nr, dst_ep, (uint32_t)value);
}

long mnx_src_notify(int src_nr, int dst_ep) {
    return mnx_ntfy_value(src_nr, dst_ep, 0);
}

long mnx_hdw_notify(int vmid, int dst_ep) {
    return notify_as(vmid, HARDWARE, dst_ep, 0);
}

/* ---- copies -------------------------------------------------------------------------------------------------------------------- */

/* A copy that Linux refused to this process (Yama, another user). */
static int copy_by_noded(void *context, const struct k_copy *copy) {
    const struct binding *b = context;
    return noded_copies(b->vmid, copy);
}

long mnx_vcopy(int src_ep, void *src_addr, int dst_ep, void *dst_addr, int bytes) {
    int code;
    struct binding *b = current_binding(&code);
    if (!b) return ended(code);
    if (bytes < 0) return ended(EMOLRANGE);
    int before = errno;
    uint64_t from = (uintptr_t)src_addr, to = (uintptr_t)dst_addr, n = (uint64_t)bytes;
    code = k_copy(&b->handle, src_ep, from, dst_ep, to, n, copy_by_noded, b);
    struct binding *next = code == K_NOTBIND ? binding_after(b, &code) : NULL;
    if (next) code = k_copy(&next->handle, src_ep, from, dst_ep, to, n, copy_by_noded, next);
    errno = before;
    return ended(code);
}

/* ---- how it ended --------------------------------------------------------------------------------------------------------------- */

int *mnx_errno_location(void) {
    return &this_thread.code;
}
