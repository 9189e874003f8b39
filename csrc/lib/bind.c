/* bind.c: binding and unbinding (guide 4.1.7, 4.1.9). */
#define _GNU_SOURCE
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "binding.h"
#include "current.h"
#include "memory.h"

/* ---- requests --------------------------------------------------------------------------------------------------------------- */

/* Names the attempt, so that repeating it after a restart of noded finds what the first one did. */
static int64_t new_cookie(void) {
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random) random = (uint64_t)k_now_ns();
    return (int64_t)(random >> 2 | 1);
}

static void request_bind(struct request *q, const char *kind, int vmid, int p_nr) {
    request_begin(q, "bind", REPEAT);
    json_put_text(&q->json, "kind", kind, strlen(kind));
    json_put_integer(&q->json, "vmid", vmid);
    json_put_integer(&q->json, "p_nr", p_nr);
    json_put_integer(&q->json, "cookie", new_cookie());
}

/* Make a request to bind the caller, and open what it gave. */
static int bind_caller(struct request *q, struct binding **bound) {
    struct reply reply;
    int code = noded_ask(q, &reply);
    if (code == OK) code = binding_open(&reply, bound);
    reply_end(&reply);
    return code;
}

/* A request whose answer is an endpoint and nothing else. */
static long ask_endpoint(struct request *q) {
    struct reply reply;
    int code = noded_ask(q, &reply);
    long endpoint = code == OK ? (long)reply_integer(&reply, "endpoint") : 0;
    reply_end(&reply);
    return code == OK ? returned(endpoint) : ended(code);
}

/* ---- oneself ------------------------------------------------------------------------------------------------------------------- */

/* noded still knows of it. If not (unbound by another, its VM ended), it is forgotten. */
static bool still_bound(struct binding *b) {
    struct request q;
    struct reply reply;
    request_begin(&q, "wait4bind", REPEAT);
    json_put_integer(&q.json, "vmid", b->vmid);
    json_put_integer(&q.json, "timeout_ms", 0);
    json_put_bool(&q.json, "region", false);
    bool same = noded_ask(&q, &reply) == OK && reply_integer(&reply, "slot") == b->handle.slot
        && reply_integer(&reply, "incarnation") == b->handle.incarnation;
    reply_end(&reply);
    if (!same) forget(b);
    return same;
}

long mnx_bind(int vmid, int p_nr) {
    int code;
    struct request q;
    struct binding *b = process_binding(&code);
    if (b && still_bound(b)) return ended(b->vmid == vmid ? EMOLBUSY : EMOLBADPROC);
    request_bind(&q, "self", vmid, p_nr);
    code = bind_caller(&q, &b);
    return code == OK ? returned(keep_shared(b)->handle.endpoint) : ended(code);
}

long mnx_tbind(int vmid, int p_nr) {
    int code;
    struct request q;
    struct binding *b = this_thread.own;
    if (gettid() == getpid()) return mnx_bind(vmid, p_nr);
    if (b && binding_alive(b)) return ended(EMOLBUSY);
    if (b) forget(b);
    b = process_binding(&code);
    if (!b) return ended(code == EMOLNOTBIND ? EMOLGRPLEADER : code);
    if (b->vmid != vmid) return ended(EMOLBADPROC);
    request_bind(&q, "thread", vmid, p_nr);
    json_put_integer(&q.json, "tid", gettid());
    code = bind_caller(&q, &b);
    if (code != OK) return ended(code);
    keep_own(b);
    return returned(b->handle.endpoint);
}

/* ---- others ------------------------------------------------------------------------------------------------------------------ */

long mnx_lclbind(int vmid, int pid, int p_nr) {
    struct request q;
    request_bind(&q, "local", vmid, p_nr);
    json_put_integer(&q.json, "pid", pid);
    json_put_bool(&q.json, "region", false);
    return ask_endpoint(&q);
}

long mnx_rmtbind(int vmid, char name[], int endpoint, int nodeid) {
    struct request q;
    if (!memory_readable(name, 1)) return ended(EMOLINVAL);
    request_begin(&q, "rmtbind", REPEAT);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_text(&q.json, "name", name, strnlen(name, 2 * MAXPROCNAME)); /* long enough to be found too long */
    json_put_integer(&q.json, "endpoint", endpoint);
    json_put_integer(&q.json, "node", nodeid);
    return ask_endpoint(&q);
}

long mnx_bkupbind(int vmid, int pid, int endpoint, int nodeid) {
    struct request q;
    request_begin(&q, "bkupbind", REPEAT);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "pid", pid);
    json_put_integer(&q.json, "endpoint", endpoint);
    json_put_integer(&q.json, "node", nodeid);
    return ask_endpoint(&q);
}

/* ---- unbinding ------------------------------------------------------------------------------------------------------------------ */

long mnx_unbind_T(int vmid, int endpoint, long to_ms) {
    struct request q;
    struct binding *mine = bound_here(vmid, endpoint);
    request_begin(&q, "unbind", 0);
    json_put_integer(&q.json, "vmid", vmid);
    json_put_integer(&q.json, "endpoint", mine ? mine->handle.endpoint : endpoint);
    request_wait(&q, to_ms);
    int code = noded_tell(&q);
    if (code == OK && mine) forget(mine);
    return ended(code);
}

long mnx_unbind(int vmid, int endpoint) {
    return mnx_unbind_T(vmid, endpoint, TIMEOUT_FOREVER);
}

/* ---- the end of another's work ---------------------------------------------------------------------------------------------------- */

/* The endpoint of another process. */
long mnx_getep(int pid) {
    struct request q;
    request_begin(&q, "getep", REPEAT);
    json_put_integer(&q.json, "pid", pid);
    return ask_endpoint(&q);
}
