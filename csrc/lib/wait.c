/* wait.c: waiting for bindings to begin and to end (guide 4.1.8). */
#include "binding.h"
#include "current.h"

int mnx_wait4bind(void) {
    return mnx_wait4bind_T(TIMEOUT_FOREVER);
}

int mnx_wait4bind_T(long to_ms) {
    int code;
    struct request q;
    struct reply reply;
    struct binding *b = current_binding(&code);
    if (b && binding_alive(b)) return (int)returned(b->handle.endpoint);
    request_begin(&q, "wait4bind", REPEAT);
    request_wait(&q, to_ms);
    code = noded_ask(&q, &reply);
    if (code == OK) code = binding_open(&reply, &b);
    reply_end(&reply);
    return (int)(code == OK ? returned(keep_shared(b)->handle.endpoint) : ended(code));
}

/* Wait for something about an endpoint of the caller's VM. */
static int wait_for(const char *op, int endpoint, long to_ms) {
    int code;
    struct request q;
    struct binding *b = current_binding(&code);
    if (!b) return code;
    request_begin(&q, op, REPEAT);
    json_put_integer(&q.json, "vmid", b->vmid);
    json_put_integer(&q.json, "endpoint", endpoint);
    request_wait(&q, to_ms);
    return noded_tell(&q);
}

long mnx_wait4bindep_T(int endpoint, long to_ms) {
    if (endpoint == SELF) return mnx_wait4bind_T(to_ms);
    int code = wait_for("wait4bindep", endpoint, to_ms);
    return code == OK ? returned(endpoint) : ended(code);
}

long mnx_wait4bindep(int endpoint) {
    return mnx_wait4bindep_T(endpoint, TIMEOUT_FOREVER);
}

long mnx_wait4unbind_T(int endpoint, long to_ms) {
    return ended(wait_for("wait4unbind", endpoint, to_ms));
}

long mnx_wait4unbind(int endpoint) {
    return mnx_wait4unbind_T(endpoint, TIMEOUT_FOREVER);
}
