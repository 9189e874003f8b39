/* pair.c: a client and a server in C, timed by `drvs bench local` (rows drvs-c).
 *
 *     m3ipc-pair serve VMID P_NR            answer as the request's m_type asks, until killed
 *     m3ipc-pair call VMID ENDPOINT         obey lines on stdin: "batch WAY CALLS" prints the nanoseconds of all,
 *                                           "singles WAY CALLS" those of each, one a line
 *
 * A WAY is one of sendrec, send, notify: a call and its answer; a message each way; a notification each way.
 */
#include <m3ipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum way { WAY_SENDREC = 1, WAY_SEND, WAY_NOTIFY, WAYS };

static const char *const NAMES[WAYS] = {[WAY_SENDREC] = "sendrec", [WAY_SEND] = "send", [WAY_NOTIFY] = "notify"};

static int fail(const char *what, long code) {
    fprintf(stderr, "m3ipc-pair: %s: %ld\n", what, code);
    return 1;
}

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* ---- server ----------------------------------------------------------------------------------------------------------- */

/* A request is answered, a message sent back, a notification returned. Requests first, by the call that is made for them:
 * the client says when it is going to use another way. */
static long serve_requests(message *m) {
    long code;
    while ((code = mnx_rcvrqst(m)) == OK && m->m_type == WAY_SENDREC) {
        code = mnx_reply(m->m_source, m);
        if (code != OK) return code;
    }
    return code == OK ? mnx_reply(m->m_source, m) : code;
}

static long serve_others(message *m) {
    long code;
    while ((code = mnx_receive(ANY, m)) == OK && m->m_type != WAY_SENDREC) {
        if (m->m_type == WAY_SEND) code = mnx_send(m->m_source, m);
        else if (m->m_type >= NOTIFY_MESSAGE) code = mnx_notify(m->m_source);
        else code = mnx_reply(m->m_source, m);
        if (code != OK) return code;
    }
    return code == OK ? mnx_reply(m->m_source, m) : code;
}

static int serve(int vmid, int p_nr) {
    message m;
    long code = mnx_bind(vmid, p_nr);
    if (mnx_errno != OK) return fail("bind", code);
    for (code = OK; code == OK;) {
        code = serve_requests(&m);
        if (code == OK) code = serve_others(&m);
    }
    return fail("server", code);
}

/* ---- client ----------------------------------------------------------------------------------------------------------- */

static inline long once(enum way way, int server, message *m) {
    if (way == WAY_SENDREC) return mnx_sendrec(server, m);
    long code = way == WAY_SEND ? mnx_send(server, m) : mnx_notify(server);
    return code == OK ? mnx_receive(server, m) : code;
}

/* Tell the server which loop to run: by a request that asks for the other one. */
static long agree(enum way *agreed, enum way way, int server, message *m) {
    if ((*agreed == WAY_SENDREC) == (way == WAY_SENDREC)) {
        *agreed = way;
        return OK;
    }
    m->m_type = *agreed == WAY_SENDREC ? 0 : WAY_SENDREC;
    *agreed = way;
    return mnx_sendrec(server, m);
}

static long batch(enum way way, int server, message *m, long calls) {
    long code = OK;
    long long start = now_ns();
    for (long i = 0; i < calls && code == OK; i++) {
        m->m_type = (int)way;
        code = once(way, server, m);
    }
    printf("%lld\n", now_ns() - start);
    return code;
}

static long singles(enum way way, int server, message *m, long calls) {
    long code = OK;
    for (long i = 0; i < calls && code == OK; i++) {
        long long start = now_ns();
        m->m_type = (int)way;
        code = once(way, server, m);
        printf("%lld\n", now_ns() - start);
    }
    return code;
}

static enum way way_named(const char *name) {
    for (int way = WAY_SENDREC; way < WAYS; way++)
        if (strcmp(NAMES[way], name) == 0) return (enum way)way;
    return WAYS;
}

/* A user slot that nobody has. */
static long bind_somewhere(int vmid) {
    long endpoint = EMOLBUSY;
    for (int p_nr = NR_SYS_PROCS; p_nr < NR_PROCS && endpoint == EMOLBUSY; p_nr++) endpoint = mnx_bind(vmid, p_nr);
    return endpoint;
}

static int obey(int server) {
    char verb[16], name[16];
    long calls, code;
    message m;
    enum way agreed = WAY_SENDREC;
    memset(&m, 0, sizeof m);
    while (scanf("%15s %15s %ld", verb, name, &calls) == 3) {
        enum way way = way_named(name);
        if (way == WAYS) return fail("no such way", 0);
        code = agree(&agreed, way, server, &m);
        if (code == OK) code = strcmp(verb, "batch") == 0 ? batch(way, server, &m, calls) : singles(way, server, &m, calls);
        if (code != OK) return fail(verb, code);
        fflush(stdout);
    }
    return 0;
}

static int call(int vmid, int server) {
    long code = bind_somewhere(vmid);
    if (mnx_errno != OK) return fail("bind", code);
    code = mnx_wait4bindep_T(server, TIMEOUT_MOLCALL);
    return mnx_errno != OK ? fail("wait for the server", code) : obey(server);
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "serve") == 0) return serve(atoi(argv[2]), atoi(argv[3]));
    if (argc == 4 && strcmp(argv[1], "call") == 0) return call(atoi(argv[2]), atoi(argv[3]));
    return fail("usage: serve VMID P_NR | call VMID ENDPOINT", 0);
}
