/* scenarios_far.c: what a SIGKILL may interrupt of calls between nodes: callers, both proxies, and the daemon that cuts a node.
 *
 * G is a process of node 1, U one of node 2, as this node (0) knows them. PS and PR are the slots of the proxies.
 */
#define _GNU_SOURCE
#include "scenarios.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { HERE = 0, THERE = 1, THIRD = 2, PX = 0, CALL = 7, BYTES = 10000 };

static uint8_t memory[BYTES];   /* of whoever is copied from or to: the victim's own */
static uint8_t payload[BYTES];

/* ---- this node's processes ------------------------------------------------------------------------------------------- */

static int32_t ep(const struct world *w, uint32_t slot) { return world_endpoint(w, slot); }
static int cancel_A(struct world *w) { return k_step_cancel(&w->region, A, K_TIMEDOUT, NULL); }
static int A_send_G(struct world *w) { return step(w, A, K_SEND, ep(w, G)); }
static int A_sendrec_G(struct world *w) { return step(w, A, K_SENDREC, ep(w, G)); }
static int A_notify_G(struct world *w) { return step(w, A, K_NOTIFY, ep(w, G)); }
static int A_receive_G(struct world *w) { return step(w, A, K_RECEIVE, ep(w, G)); }
static int A_reply_G(struct world *w) { return step(w, A, K_REPLY, ep(w, G)); }

static int A_reply_G_at_once(struct world *w) {
    struct k_call call = {.op = K_REPLY, .peer = ep(w, G), .flags = K_CALL_NOWAIT};
    return step_call(w, A, &call);
}

static int copy_far(struct world *w, uint32_t src, uint32_t dst) {
    uint64_t at = (uintptr_t)memory;
    return k_step_copy_far(&w->region, A, ep(w, src), at, ep(w, dst), at, BYTES, NULL);
}

static int A_copies_B_to_G(struct world *w) { return copy_far(w, B, G); }
static int A_copies_G_to_A(struct world *w) { return copy_far(w, G, A); }
static int A_copies_G_to_U(struct world *w) { return copy_far(w, G, U); }

/* ---- the proxies -------------------------------------------------------------------------------------------------------- */

static struct k_proxy *proxy(struct world *w) {
    static struct k_proxy p;
    if (k_proxy_open(&p, &w->region, PX, HERE) != K_OK) die("k_proxy_open");
    return &p;
}

static int take(struct world *w) {
    struct k_command c;
    return k_proxy_take(proxy(w), NULL, &c, payload, LOCK_MS);
}

/* The owner of the memory is whoever runs this. */
static int take_data(struct world *w) {
    world_slot(w, A)->pid = world_slot(w, B)->pid = getpid();
    return take(w);
}

static int arm_for(struct world *w, uint32_t commands) { return k_proxy_arm(proxy(w), NULL, commands, LOCK_MS); }
static int arm(struct world *w) { return arm_for(w, 1); }
static int bury_proxies(struct world *w) { return k_bury_proxies(&w->region, K1, PX, LOCK_MS); }

static struct k_command from_G(struct world *w, int32_t cmd, uint32_t to) {
    struct k_command c = {
        .cmd = cmd, .vmid = 1, .src = k_endpoint_encode(&w->region, G, 1), .dst = ep(w, to), .snode = THERE, .dnode = HERE, .rnode = THERE, .call = CALL,
        .incarnation = 1, .len = k_cmd_has_message(cmd) ? (int32_t)sizeof(struct k_message) : 0,
    };
    c.v.rqtr = c.src;
    return c;
}

static int put(struct world *w, const struct k_command *c) { return k_proxy_put(proxy(w), c, payload, LOCK_MS); }

static int put_plain(struct world *w, int32_t cmd, uint32_t to) {
    struct k_command c = from_G(w, cmd, to);
    return put(w, &c);
}

static int put_send_B(struct world *w) { return put_plain(w, K_CMD_SEND_MSG, B); }
/* Its next call. */
static int put_send_C(struct world *w) {
    struct k_command c = from_G(w, K_CMD_SEND_MSG, C);
    c.call = CALL + 1;
    return put(w, &c);
}

static int put_request_B(struct world *w) { return put_plain(w, K_CMD_SNDREC_MSG, B); }
static int put_request_A(struct world *w) { return put_plain(w, K_CMD_SNDREC_MSG, A); }
static int put_notify_B(struct world *w) { return put_plain(w, K_CMD_NTFY_MSG, B); }
static int put_cancel(struct world *w) { return put_plain(w, K_CMD_CANCEL, B); }

/* To A, for the call that it has out. */
static int put_to_A(struct world *w, int32_t cmd, int code) {
    struct k_command c = from_G(w, cmd, A);
    c.call = world_slot(w, A)->out_call, c.rcode = code;
    c.answers = cmd == K_CMD_REPLY_MSG ? world_slot(w, A)->call : 0;
    return put(w, &c);
}

static int put_reply_A(struct world *w) { return put_to_A(w, K_CMD_REPLY_MSG, K_OK); }
static int put_ack_A(struct world *w) { return put_to_A(w, K_CMD_SEND_ACK, K_OK); }
static int put_died_A(struct world *w) { return put_to_A(w, K_CMD_SEND_ACK, K_DSTDIED); }

static int put_piece(struct world *w, int32_t cmd, uint32_t to, uint32_t dst, uint32_t flags) {
    struct k_command c = from_G(w, cmd, to);
    world_slot(w, A)->pid = world_slot(w, B)->pid = getpid();
    c.call = cmd == K_CMD_COPYOUT_DATA ? world_slot(w, A)->out_call : CALL;
    c.v.src = c.src, c.v.dst = ep(w, dst), c.v.daddr = (uintptr_t)memory, c.v.bytes = c.len = 100, c.flags = flags;
    if (cmd == K_CMD_COPYOUT_DATA) c.v.rqtr = ep(w, A), c.rnode = HERE;
    return put(w, &c);
}

static int put_data_B(struct world *w) { return put_piece(w, K_CMD_COPYIN_DATA, B, B, 0); }
static int put_last_data_B(struct world *w) { return put_piece(w, K_CMD_COPYIN_DATA, B, B, K_CMD_LAST); }
static int put_answer_A(struct world *w) { return put_piece(w, K_CMD_COPYOUT_DATA, A, A, K_CMD_LAST); }

/* G wants bytes of B, or a copy from B to C. */
static int put_wish(struct world *w, int32_t cmd, uint32_t dst) {
    struct k_command c = from_G(w, cmd, B);
    world_slot(w, B)->pid = world_slot(w, C)->pid = getpid();
    c.v.src = ep(w, B), c.v.dst = dst == G ? c.src : ep(w, dst), c.v.saddr = (uintptr_t)memory, c.v.daddr = (uintptr_t)payload, c.v.bytes = 200;
    return put(w, &c);
}

static int put_out_B(struct world *w) { return put_wish(w, K_CMD_COPYOUT_RQST, G); }
static int put_local_B_to_C(struct world *w) { return put_wish(w, K_CMD_COPYLCL_RQST, C); }

/* ---- the daemon ------------------------------------------------------------------------------------------------------------ */

static int route(struct world *w, uint32_t node, uint32_t flags) {
    return k_step_route(&w->region, K0, node, flags | (PX + 1) << K_ROUTE_PX_SHIFT, LOCK_MS);
}

static int cut(struct world *w, bool unbind) {
    int code = route(w, THERE, K_ROUTE_VM);
    return code == K_OK ? k_cut(&w->region, K0, THERE, K_NOTCONN, unbind, LOCK_MS) : code;
}

static int cut_node(struct world *w) { return cut(w, false); }
static int cut_and_unbind(struct world *w) { return cut(w, true); }
static int lose_route(struct world *w) { return route(w, THERE, 0); }
static int unbind_of(struct world *w, uint32_t slot) { return k_unbind(&w->region, K0, slot, 0, K_SHUTDOWN, true, LOCK_MS); }
static int unbind_G(struct world *w) { return unbind_of(w, G); }
static int unbind_A(struct world *w) { return unbind_of(w, A); }

/* ---- what comes before --------------------------------------------------------------------------------------------------- */

#define STEPS(name, ...) static void name(struct world *w) { __VA_ARGS__; }
#define ok(code_of) require((code_of) == K_OK)
#define blocks(code_of) require((code_of) == K_BLOCKED)

static void bind_far(struct world *w, uint32_t slot, uint32_t node) {
    struct k_bind bind = {.slot = slot, .kind = K_BIND_REMOTE, .node = (int32_t)node, .want_endpoint = k_endpoint_encode(&w->region, slot, slot == U ? 0 : 1)};
    snprintf(bind.name, sizeof bind.name, "far%u", slot);
    ok(k_step_bind(&w->region, K0, &bind, LOCK_MS));
    world_slot(w, slot)->remote_incarnation = slot == G; /* as its first command would leave it */
}

STEPS(connected, ok(route(w, THERE, K_ROUTE_VM | K_ROUTE_CONNECTED)); ok(route(w, THIRD, K_ROUTE_VM | K_ROUTE_CONNECTED)); bind_far(w, U, THIRD))
STEPS(known, connected(w); bind_far(w, G, THERE))
STEPS(armed, known(w); ok(arm(w)))
STEPS(armed_for_more, known(w); ok(arm_for(w, 2)))
STEPS(A_cancelled, known(w); blocks(A_sendrec_G(w)); ok(take(w)); ok(cancel_A(w)))
STEPS(A_called, known(w); blocks(A_sendrec_G(w)); ok(take(w)))
STEPS(A_accepted, known(w); ok(put_request_A(w)); ok(step(w, A, K_RECEIVE, K_ANY)))
STEPS(G_queues, known(w); ok(put_send_B(w)))
STEPS(G_queues_request, known(w); ok(put_request_B(w)))
STEPS(G_acknowledged, known(w); blocks(step(w, F, K_RECEIVE, K_ANY)); struct k_command c = from_G(w, K_CMD_SEND_MSG, F); ok(put(w, &c)))
STEPS(A_copies, known(w); blocks(copy_far(w, A, G)))
STEPS(A_copies_all_but_last, A_copies(w); world_slot(w, A)->pid = getpid(); ok(take(w)); ok(take(w)))
STEPS(A_waits_for_data, known(w); blocks(A_copies_G_to_A(w)); ok(take(w)))
STEPS(take_one, ok(take(w)))
STEPS(B_is_sent_from, ok(put_out_B(w)))
STEPS(B_has_a_piece, ok(put_data_B(w)))

/* ---- the table -------------------------------------------------------------------------------------------------------------- */

#define TO_ANY(slot, op, undone, done) {slot, op, FROM_ANY, undone, done}

const struct scenario far_scenarios[] = {
    {"far-send", A, A_send_G, K_BLOCKED, 1, .before = known,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}, {D, K_SENDREC, G, ASLEEP, ASLEEP}}},
    {"far-send-rings", A, A_send_G, K_BLOCKED, 1, .before = armed,
     .sleepers = {TO_ANY(C, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"far-send-comes-first", A, A_send_G, K_BLOCKED, 1, .before = armed_for_more,
     .sleepers = {TO_ANY(C, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"far-sendrec", A, A_sendrec_G, K_BLOCKED, 1, .before = known,
     .sleepers = {{C, K_SENDREC, G, ASLEEP, ASLEEP}}},
    {"far-send-supersedes", A, A_send_G, K_BLOCKED, 2, .before = A_cancelled,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"far-notify", A, A_notify_G, K_BLOCKED, 1, .before = known,
     .sleepers = {{C, K_NOTIFY, G, ASLEEP, ASLEEP}}},
    {"far-receive", A, A_receive_G, K_BLOCKED, 1, .before = known,
     .sleepers = {{C, K_RECEIVE, G, ASLEEP, ASLEEP}}},
    {"far-reply", A, A_reply_G, K_BLOCKED, 1, .before = A_accepted,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"far-reply-at-once", A, A_reply_G_at_once, K_OK, 1, .before = A_accepted,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"far-cancel", A, cancel_A, K_OK, 1, .before = A_called,
     .sleepers = {{C, K_SENDREC, G, ASLEEP, ASLEEP}}},
    {"far-copy-in", A, A_copies_B_to_G, K_BLOCKED, 1, .before = known,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP), {C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"far-copy-third", A, A_copies_G_to_U, K_BLOCKED, 1, .before = known,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},

    {"take-send", PS, take, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {{A, K_SEND, G, ASLEEP, ASLEEP}, {C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"take-request", PS, take, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {{A, K_SENDREC, G, ASLEEP, ASLEEP}, {C, K_SENDREC, G, ASLEEP, ASLEEP}}},
    {"take-notify", PS, take, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {{A, K_NOTIFY, G, ASLEEP, K_OK}, {C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"take-reply", PS, take, K_OK, 1, .before = A_accepted, .redo = bury_proxies,
     .sleepers = {{A, K_REPLY, G, ASLEEP, ASLEEP}}},
    {"take-cancel", PS, take, K_OK, 1, .before = A_cancelled, .redo = bury_proxies,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"take-ack", PS, take, K_OK, 1, .before = G_acknowledged, .redo = bury_proxies,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"take-piece", PS, take_data, K_OK, 1, .before = A_copies, .redo = bury_proxies,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"take-last-piece", PS, take_data, K_OK, 1, .before = A_copies_all_but_last, .redo = bury_proxies,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"take-answer-data", PS, take_data, K_OK, 1, .before = known, .after = B_is_sent_from, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"arm", PS, arm, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},

    {"put-send-delivers", PR, put_send_B, K_OK, 2, .before = known, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, K_OK)}},
    {"put-send-delivers-from", PR, put_send_B, K_OK, 2, .before = known, .redo = bury_proxies,
     .sleepers = {{B, K_RECEIVE, G, ASLEEP, K_OK}, {C, K_RECEIVE, G, ASLEEP, ASLEEP}}},
    {"put-send-queues", PR, put_send_B, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {{C, K_SEND, B, ASLEEP, ASLEEP}}},
    {"put-send-binds", PR, put_send_B, K_OK, 2, .before = connected, .redo = bury_proxies,
     .sleepers = {{C, K_SEND, B, ASLEEP, ASLEEP}}},
    {"put-request-delivers", PR, put_request_B, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RCVRQST, ASLEEP, K_OK)}},
    {"put-request-queues", PR, put_request_B, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {{C, K_SENDREC, B, ASLEEP, ASLEEP}}},
    {"put-supersedes", PR, put_send_C, K_OK, 2, .before = G_queues, .redo = bury_proxies,
     .sleepers = {{D, K_SEND, B, ASLEEP, ASLEEP}}},
    {"put-notify-delivers", PR, put_notify_B, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, K_OK)}},
    {"put-reply", PR, put_reply_A, K_OK, 2, .before = known, .after = take_one, .redo = bury_proxies,
     .sleepers = {{A, K_SENDREC, G, ASLEEP, K_OK}}},
    {"put-ack", PR, put_ack_A, K_OK, 1, .before = known, .after = take_one, .redo = bury_proxies,
     .sleepers = {{A, K_SEND, G, ASLEEP, K_OK}, {C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"put-ack-of-the-dead", PR, put_died_A, K_OK, EITHER, .before = known, .after = take_one, .redo = bury_proxies,
     .sleepers = {{A, K_SEND, G, ASLEEP, K_DSTDIED}}},
    {"put-cancel", PR, put_cancel, K_OK, 1, .before = G_queues_request, .redo = bury_proxies,
     .sleepers = {{C, K_SENDREC, B, ASLEEP, ASLEEP}}},
    {"put-piece", PR, put_data_B, K_OK, 2, .before = known, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"put-next-piece", PR, put_data_B, K_OK, 2, .before = known, .after = B_has_a_piece, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"put-only-piece", PR, put_last_data_B, K_OK, 3, .before = known, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"put-out-request", PR, put_out_B, K_OK, 1, .before = known, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"put-local-request", PR, put_local_B_to_C, K_OK, 3, .before = known, .redo = bury_proxies,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP), TO_ANY(C, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"put-answer-data", PR, put_answer_A, K_OK, 3, .before = A_waits_for_data, .redo = bury_proxies,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},

    {"set-route", K0, lose_route, K_OK, 1, .before = known,
     .sleepers = {{C, K_SEND, G, ASLEEP, ASLEEP}}},
    {"cut", K0, cut_node, K_OK, EITHER, .before = G_queues, .redo = cut_node,
     .sleepers = {{A, K_SEND, G, K_NOTCONN, K_NOTCONN}, {C, K_SENDREC, G, K_NOTCONN, K_NOTCONN}, {D, K_RECEIVE, G, K_NOTCONN, K_NOTCONN},
                  {E, K_NOTIFY, G, K_NOTCONN, K_NOTCONN}}},
    {"cut-taken", K0, cut_and_unbind, K_OK, EITHER, .before = G_queues_request, .after = take_one, .redo = cut_and_unbind,
     .sleepers = {{A, K_SENDREC, G, K_NOTCONN, K_NOTCONN}, {C, K_SEND, G, K_NOTCONN, K_NOTCONN}}},
    {"cut-copies", K0, cut_node, K_OK, EITHER, .before = A_copies, .after = B_has_a_piece, .redo = cut_node,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP), {C, K_SEND, G, K_NOTCONN, K_NOTCONN}}},
    {"unbind-far", K0, unbind_G, K_OK, EITHER, .before = G_queues_request, .redo = unbind_G,
     .sleepers = {{A, K_SEND, G, K_DSTDIED, K_DSTDIED}, {C, K_SENDREC, G, K_DSTDIED, K_DSTDIED}, {D, K_RECEIVE, G, K_SRCDIED, K_SRCDIED}}},
    {"unbind-far-copier", K0, unbind_G, K_OK, EITHER, .before = known, .after = B_has_a_piece, .redo = unbind_G,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"unbind-far-caller", K0, unbind_A, K_OK, EITHER, .before = known, .after = take_one, .redo = unbind_A,
     .sleepers = {{A, K_SENDREC, G, K_SHUTDOWN, K_SHUTDOWN}, {C, K_SENDREC, G, ASLEEP, ASLEEP}}},
};
const uint32_t far_scenarios_n = sizeof far_scenarios / sizeof far_scenarios[0];
