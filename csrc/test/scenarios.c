/* scenarios.c: every kind of operation that a SIGKILL may interrupt. One row a case, grouped by operation. */
#define _GNU_SOURCE
#include "scenarios.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* ---- shorthands: X_y steps operation y in the name of slot X ---------------------------------------------------- */

static int32_t ep(const struct world *w, uint32_t slot) { return world_endpoint(w, slot); }
static int send_to(struct world *w, uint32_t me, uint32_t to) { return step(w, me, K_SEND, ep(w, to)); }
static int sendrec_to(struct world *w, uint32_t me, uint32_t to) { return step(w, me, K_SENDREC, ep(w, to)); }
static int reply_to(struct world *w, uint32_t me, uint32_t to) { return step(w, me, K_REPLY, ep(w, to)); }
static int receive_any(struct world *w, uint32_t me) { return step(w, me, K_RECEIVE, K_ANY); }
static int receive_from(struct world *w, uint32_t me, uint32_t from) { return step(w, me, K_RECEIVE, ep(w, from)); }
static int rcvrqst(struct world *w, uint32_t me) { return step(w, me, K_RCVRQST, K_ANY); }

static int notify_with(struct world *w, uint32_t me, uint32_t to, uint32_t value) {
    struct k_call call = {.op = K_NOTIFY, .peer = ep(w, to), .value = value, .as_p_nr = INT32_MIN};
    return step_call(w, me, &call);
}

static int relay_of(struct world *w, uint32_t me, uint32_t client, uint32_t to) {
    struct k_message request = {.source = ep(w, client), .type = 77};
    struct k_call call = {.op = K_RELAY, .peer = ep(w, to), .message = &request};
    return step_call(w, me, &call);
}

static int cancel_of(struct world *w, uint32_t me) {
    return k_step_cancel(&w->region, me, K_TIMEDOUT, NULL);
}

static int copy_begin(struct world *w, uint32_t me, uint32_t src, uint32_t dst) {
    uint32_t src_slot, dst_slot;
    return k_step_copy_begin(&w->region, me, ep(w, src), ep(w, dst), 100, &src_slot, &dst_slot);
}

static int copy_end(struct world *w, uint32_t me) { return k_step_copy_end(&w->region, me, NULL); }

/* ---- A's operations ----------------------------------------------------------------------------------------------- */

static int A_send_B(struct world *w) { return send_to(w, A, B); }
static int A_sendrec_B(struct world *w) { return sendrec_to(w, A, B); }
static int A_receive(struct world *w) { return receive_any(w, A); }
static int A_receive_C(struct world *w) { return receive_from(w, A, C); }
static int A_receive_D(struct world *w) { return receive_from(w, A, D); }
static int A_rcvrqst(struct world *w) { return rcvrqst(w, A); }
static int A_reply_C(struct world *w) { return reply_to(w, A, C); }
static int A_notify_B(struct world *w) { return notify_with(w, A, B, 0); }
static int A_notify_B_value(struct world *w) { return notify_with(w, A, B, 6); }
static int S_notify_B(struct world *w) { return notify_with(w, S, B, 0); }
static int S_notify_B_value(struct world *w) { return notify_with(w, S, B, 6); }
static int A_relay_C_to_B(struct world *w) { return relay_of(w, A, C, B); }
static int A_cancel(struct world *w) { return cancel_of(w, A); }
static int A_copy_B_to_A(struct world *w) { return copy_begin(w, A, B, A); }
static int A_copy_B_to_C(struct world *w) { return copy_begin(w, A, B, C); }
static int A_copy_end(struct world *w) { return copy_end(w, A); }

/* ---- the same through a handle -------------------------------------------------------------------------------------- */

static struct k_handle *open_A(struct world *w) {
    static struct k_handle handle;
    struct k_slot *s = world_slot(w, A);
    s->pid = getpid();
    int code = k_handle_open(&handle, &w->region, A, s->incarnation, s->endpoint, 0);
    if (code != K_OK) die("k_handle_open: %d", code);
    return &handle;
}

static int A_timed(struct world *w, uint32_t op, int32_t peer) {
    struct k_message message = {.type = 5};
    struct k_call call = {.op = op, .peer = peer, .message = &message, .as_p_nr = INT32_MIN};
    return k_call(open_A(w), &call, k_now_ns() + 1000);
}

static int A_timed_receive(struct world *w) { return A_timed(w, K_RECEIVE, K_ANY); }
static int A_timed_receive_C(struct world *w) { return A_timed(w, K_RECEIVE, ep(w, C)); }
static int A_timed_send_B(struct world *w) { return A_timed(w, K_SEND, ep(w, B)); }
static int A_timed_sendrec_B(struct world *w) { return A_timed(w, K_SENDREC, ep(w, B)); }

static int A_reply_receive(struct world *w) {
    struct k_message message = {.type = 5};
    struct k_call call = {.op = K_REPLY, .peer = ep(w, C), .message = &message, .as_p_nr = INT32_MIN};
    int code = k_call_start_reply_receive(open_A(w), &call);
    return code < 0 ? code : call.reply_code;
}

/* The source is this process's parent, which is alive and holds the same memory. */
static int A_copies_bytes(struct world *w) {
    static uint8_t from[100], to[100];
    world_slot(w, B)->pid = getppid();
    return k_copy(open_A(w), ep(w, B), (uint64_t)(uintptr_t)from, ep(w, A), (uint64_t)(uintptr_t)to, sizeof from, NULL, NULL);
}

/* ---- management ----------------------------------------------------------------------------------------------------- */

static int bind_G(struct world *w) { return bind_slot(w, G, 4242); }
static int bind_U(struct world *w) { return bind_slot(w, U, 4242); }
static int unbind_of(struct world *w, uint32_t slot) { return k_unbind(&w->region, K0, slot, 0, K_SHUTDOWN, true, LOCK_MS); }
static int unbind_B(struct world *w) { return unbind_of(w, B); }
static int wakeup_B(struct world *w) { return k_step_wakeup(&w->region, K0, ep(w, B), LOCK_MS, NULL); }
static int bury_A(struct world *w) { return k_pay_debts(&w->region, A), unbind_of(w, A); }

static int setpriv_B(struct world *w) {
    uint64_t from = 5, to = 7;
    struct k_priv_view view = {.id = 2, .warn = -1, .level = 3, .traps = 0xff, .calls = 9, .alarm = 11, .ipc_from = &from, .ipc_to = &to};
    return k_step_setpriv(&w->region, K0, B, 0, &view, LOCK_MS);
}

static int end_vm(struct world *w) { return k_vm_end(&w->region, K_VM_ENDED), K_OK; }

static int look_at_B(struct world *w) {
    struct k_slot copy;
    return k_step_snapshot(&w->region, K0, B, &copy, LOCK_MS);
}

static int audit_all(struct world *w) { return audit(w); }

/* ---- what comes before ------------------------------------------------------------------------------------------------ */

#define STEPS(name, ...) static void name(struct world *w) { __VA_ARGS__; }
#define ok(code_of) require((code_of) == K_OK)
#define blocks(code_of) require((code_of) == K_BLOCKED)

STEPS(A_accepts, ok(receive_any(w, A)))
STEPS(A_accepts_two, ok(receive_any(w, A)); ok(receive_any(w, A)))
STEPS(A_receives, blocks(receive_any(w, A)))
STEPS(A_receives_C, blocks(receive_from(w, A, C)))
STEPS(A_sends_B_between, blocks(send_to(w, A, B)); blocks(send_to(w, F, B)))
STEPS(A_sendrecs_B, blocks(sendrec_to(w, A, B)))
STEPS(B_accepts_A, blocks(sendrec_to(w, A, B)); ok(receive_any(w, B)))
STEPS(A_waits_and_is_copied, blocks(receive_any(w, A)); ok(copy_begin(w, F, A, F)))
STEPS(bits_for_A, ok(notify_with(w, S, A, 0)); ok(notify_with(w, T, A, 0)))
STEPS(records_for_A, ok(notify_with(w, C, A, 4)); ok(notify_with(w, S, A, 5)); ok(notify_with(w, D, A, 2)); ok(notify_with(w, C, A, 1)))
STEPS(record_for_B, ok(notify_with(w, C, B, 4)); ok(notify_with(w, A, B, 1)))
STEPS(records_full, ok(notify_with(w, C, B, 4)); ok(notify_with(w, D, B, 1)); ok(notify_with(w, E, B, 1)); ok(notify_with(w, F, B, 1)))
STEPS(A_woken, ok(k_step_wakeup(&w->region, K0, ep(w, A), LOCK_MS, NULL)))
STEPS(A_copies_B_to_C, ok(copy_begin(w, A, B, C)))
STEPS(A_copies_and_C_ends, ok(copy_begin(w, A, B, C)); require(cancel_of(w, C) == K_BLOCKED))
STEPS(G_bound_before, ok(bind_slot(w, G, 4241)); ok(unbind_of(w, G)))

static void warn_of(struct world *w, uint32_t slot, int32_t p_nr) {
    uint64_t all = UINT64_MAX;
    struct k_priv_view view = {.id = 2, .warn = p_nr, .traps = UINT32_MAX, .calls = UINT64_MAX, .ipc_from = &all, .ipc_to = &all};
    ok(k_step_setpriv(&w->region, K0, slot, 0, &view, LOCK_MS));
}

/* B has notifications pending in both kinds, has sent some, and asks for S to be told of its end. */
static void B_is_involved(struct world *w) {
    warn_of(w, B, (int32_t)S - NR_TASKS);
    ok(notify_with(w, S, B, 0));
    ok(notify_with(w, T, B, 3));
    ok(notify_with(w, E, B, 1));
    ok(notify_with(w, B, E, 1));
    ok(notify_with(w, B, F, 1));
}

static void B_copies_E_to_F(struct world *w) {
    blocks(receive_any(w, E));
    blocks(receive_any(w, F));
    ok(copy_begin(w, B, E, F));
}

STEPS(S_is_involved, ok(notify_with(w, S, E, 0)); ok(notify_with(w, S, F, 0)); ok(notify_with(w, S, F, 2)))
static int unbind_S(struct world *w) { return unbind_of(w, S); }

/* A died owing C a wake-up: as a kill between the unlock and the futex leaves it. */
static void A_owes_C(struct world *w) {
    A_accepts_two(w);
    atomic_store(&world_slot(w, C)->waiting, 0); /* so that nobody wakes it */
    ok(reply_to(w, A, C));
    atomic_store(&world_slot(w, C)->waiting, 1);
    world_slot(w, A)->debts[0] = C + 1;
}

/* ---- the table ---------------------------------------------------------------------------------------------------------- */

#define TO_ANY(slot, op, undone, done) {slot, op, FROM_ANY, undone, done}

const struct scenario scenarios[] = {
    {"send-delivers", A, A_send_B, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, K_OK)}},
    {"send-delivers-from", A, A_send_B, K_OK, 1,
     .sleepers = {{B, K_RECEIVE, A, K_SRCDIED, K_OK}, {C, K_RECEIVE, A, K_SRCDIED, K_SRCDIED}}},
    {"send-queues", A, A_send_B, K_BLOCKED, 1,
     .sleepers = {{C, K_SEND, B, ASLEEP, ASLEEP}, {D, K_SENDREC, B, ASLEEP, ASLEEP}}},
    {"send-again", A, A_send_B, K_LOCKED, 0,
     .sleepers = {{B, K_SEND, A, K_DSTDIED, K_DSTDIED}}},

    {"receive-takes-sender", A, A_receive, K_OK, 1,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_OK}, {D, K_SENDREC, A, K_DSTDIED, K_DSTDIED}, {B, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"receive-takes-middle", A, A_receive_D, K_OK, 1,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_DSTDIED}, {D, K_SEND, A, K_DSTDIED, K_OK}, {B, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"receive-takes-request", A, A_receive, K_OK, 1,
     .sleepers = {{C, K_SENDREC, A, K_DSTDIED, K_SRCDIED}, {D, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"rcvrqst-takes", A, A_rcvrqst, K_OK, 1,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_DSTDIED}, {D, K_SENDREC, A, K_DSTDIED, K_SRCDIED}}},
    {"receive-takes-bit", A, A_receive, K_OK, 1, .before = bits_for_A,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"receive-takes-record", A, A_receive, K_OK, 1, .before = records_for_A,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"receive-takes-middle-record", A, A_receive_D, K_OK, 1, .before = records_for_A,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"receive-woken", A, A_receive, K_WOKENUP, 1, .before = A_woken,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"receive-blocks", A, A_receive, K_BLOCKED, 1,
     .sleepers = {{C, K_RECEIVE, A, K_SRCDIED, K_SRCDIED}}},
    {"receive-from-blocks", A, A_receive_C, K_BLOCKED, 1,
     .sleepers = {{B, K_RECEIVE, C, ASLEEP, ASLEEP}}},
    {"rcvrqst-blocks", A, A_rcvrqst, K_BLOCKED, 1,
     .sleepers = {{C, K_SEND, A, K_DSTDIED, K_DSTDIED}}},

    {"sendrec-delivers", A, A_sendrec_B, K_BLOCKED, 1,
     .sleepers = {TO_ANY(B, K_RCVRQST, ASLEEP, K_OK)}},
    {"sendrec-delivers-from", A, A_sendrec_B, K_BLOCKED, 1,
     .sleepers = {{C, K_RECEIVE, A, K_SRCDIED, K_SRCDIED}, {B, K_RECEIVE, A, K_SRCDIED, K_OK}}},
    {"sendrec-queues", A, A_sendrec_B, K_BLOCKED, 1,
     .sleepers = {{C, K_SENDREC, B, ASLEEP, ASLEEP}}},

    {"reply", A, A_reply_C, K_OK, 1, .after = A_accepts_two,
     .sleepers = {{C, K_SENDREC, A, K_SRCDIED, K_OK}, {D, K_SENDREC, A, K_SRCDIED, K_SRCDIED}}},
    {"reply-receive-takes", A, A_reply_receive, K_OK, 2, .after = A_accepts,
     .sleepers = {{C, K_SENDREC, A, K_SRCDIED, K_OK}, {D, K_SENDREC, A, K_DSTDIED, EITHER}}},
    {"reply-receive-blocks", A, A_reply_receive, K_OK, 2, .after = A_accepts,
     .sleepers = {{C, K_SENDREC, A, K_SRCDIED, K_OK}}},

    {"notify-delivers", A, A_notify_B, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, K_OK)}},
    {"notify-delivers-system", S, S_notify_B, K_OK, 1,
     .sleepers = {{B, K_RECEIVE, S, K_SRCDIED, K_OK}}},
    {"notify-bit", S, S_notify_B, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RCVRQST, ASLEEP, ASLEEP)}},
    {"notify-record", A, A_notify_B, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RCVRQST, ASLEEP, ASLEEP)}},
    {"notify-record-system", S, S_notify_B_value, K_OK, 1, .before = record_for_B,
     .sleepers = {TO_ANY(B, K_RCVRQST, ASLEEP, ASLEEP)}},
    {"notify-coalesces", A, A_notify_B_value, K_OK, 1, .before = record_for_B,
     .sleepers = {TO_ANY(B, K_RCVRQST, ASLEEP, ASLEEP)}},
    {"notify-overrun", A, A_notify_B, K_OVERRUN, 0, .before = records_full,
     .sleepers = {TO_ANY(B, K_RCVRQST, ASLEEP, ASLEEP)}},

    {"relay-delivers", A, A_relay_C_to_B, K_OK, 1, .after = A_accepts_two,
     .sleepers = {{D, K_SENDREC, A, K_SRCDIED, K_SRCDIED}, {C, K_SENDREC, A, K_SRCDIED, ASLEEP}, TO_ANY(B, K_RECEIVE, ASLEEP, K_OK)}},
    {"relay-queues", A, A_relay_C_to_B, K_OK, 1, .after = A_accepts,
     .sleepers = {{C, K_SENDREC, A, K_SRCDIED, ASLEEP}, {D, K_SENDREC, B, ASLEEP, ASLEEP}}},

    {"cancel-receive", A, A_cancel, K_OK, 1, .before = A_receives,
     .sleepers = {{C, K_RECEIVE, A, K_SRCDIED, K_SRCDIED}}},
    {"cancel-receive-from", A, A_cancel, K_OK, 1, .before = A_receives_C,
     .sleepers = {{B, K_RECEIVE, C, ASLEEP, ASLEEP}}},
    {"cancel-send", A, A_cancel, K_OK, 1, .after = A_sends_B_between,
     .sleepers = {{C, K_SEND, B, ASLEEP, ASLEEP}}},
    {"cancel-sendrec-queued", A, A_cancel, K_OK, 1, .before = A_sendrecs_B,
     .sleepers = {{C, K_SENDREC, B, ASLEEP, ASLEEP}}},
    {"cancel-sendrec-accepted", A, A_cancel, K_OK, 1, .before = B_accepts_A,
     .sleepers = {{C, K_SENDREC, B, ASLEEP, ASLEEP}}},
    {"cancel-in-copy", A, A_cancel, K_BLOCKED, 1, .before = A_waits_and_is_copied,
     .sleepers = {{C, K_RECEIVE, A, K_SRCDIED, K_SRCDIED}}},

    {"timed-receive", A, A_timed_receive, K_TIMEDOUT, 2,
     .sleepers = {{C, K_RECEIVE, A, K_SRCDIED, K_SRCDIED}}},
    {"timed-receive-from", A, A_timed_receive_C, K_TIMEDOUT, 2,
     .sleepers = {{B, K_RECEIVE, C, ASLEEP, ASLEEP}}},
    {"timed-send", A, A_timed_send_B, K_TIMEDOUT, 2,
     .sleepers = {{C, K_SEND, B, ASLEEP, ASLEEP}}},
    {"timed-sendrec", A, A_timed_sendrec_B, K_TIMEDOUT, 2,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, K_OK)}},

    {"copy-begin", A, A_copy_B_to_A, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"copy-begin-third", A, A_copy_B_to_C, K_OK, 1, .after = A_accepts,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP), {C, K_SENDREC, A, K_SRCDIED, K_SRCDIED}}},
    {"copy-end", A, A_copy_end, K_OK, 1, .after = A_copies_B_to_C,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP), TO_ANY(C, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"copy-end-wakes", A, A_copy_end, K_OK, 1, .after = A_copies_and_C_ends,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP), TO_ANY(C, K_RECEIVE, K_TIMEDOUT, K_TIMEDOUT)}},
    {"copy-bytes", A, A_copies_bytes, K_OK, 2,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},

    {"bind", K0, bind_G, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"bind-system", K0, bind_U, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"bind-again", K0, bind_G, K_OK, 1, .before = G_bound_before,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"unbind-involved", K0, unbind_B, K_OK, EITHER, .before = B_is_involved, .redo = unbind_B,
     .sleepers = {{A, K_SEND, B, K_DSTDIED, K_DSTDIED}, {C, K_SENDREC, B, K_DSTDIED, K_DSTDIED}, {D, K_RECEIVE, B, K_SRCDIED, K_SRCDIED}, TO_ANY(S, K_RECEIVE, K_OK, K_OK)}},
    {"unbind-accepted", K0, bury_A, K_OK, EITHER, .after = A_accepts_two, .redo = bury_A,
     .sleepers = {{C, K_SENDREC, A, K_SRCDIED, K_SRCDIED}, {D, K_SENDREC, A, K_SRCDIED, K_SRCDIED}, {B, K_SEND, A, K_DSTDIED, K_DSTDIED}}},
    {"unbind-blocked", K0, unbind_B, K_OK, EITHER, .redo = unbind_B,
     .sleepers = {TO_ANY(B, K_RECEIVE, K_SHUTDOWN, K_SHUTDOWN), {C, K_RECEIVE, B, K_SRCDIED, K_SRCDIED}}},
    {"unbind-sending", K0, unbind_B, K_OK, EITHER, .redo = unbind_B,
     .sleepers = {{D, K_SEND, A, ASLEEP, ASLEEP}, {B, K_SEND, A, K_SHUTDOWN, K_SHUTDOWN}, {C, K_SEND, A, ASLEEP, ASLEEP}}},
    {"unbind-calling", K0, unbind_B, K_OK, EITHER, .after = A_accepts_two, .redo = unbind_B,
     .sleepers = {{B, K_SENDREC, A, K_SHUTDOWN, K_SHUTDOWN}, {C, K_SENDREC, A, ASLEEP, ASLEEP}}},
    {"unbind-copier", K0, unbind_B, K_OK, EITHER, .before = B_copies_E_to_F, .redo = unbind_B,
     .sleepers = {{A, K_SEND, B, K_DSTDIED, K_DSTDIED}}},
    {"unbind-notifier", K0, unbind_S, K_OK, EITHER, .before = S_is_involved, .redo = unbind_S,
     .sleepers = {{A, K_SEND, S, K_DSTDIED, K_DSTDIED}}},
    {"bury-with-debts", K0, bury_A, K_OK, EITHER, .after = A_owes_C, .redo = bury_A,
     .sleepers = {{C, K_SENDREC, A, K_OK, K_OK}, {D, K_SENDREC, A, K_SRCDIED, K_SRCDIED}}},
    {"wakeup-aborts", K0, wakeup_B, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, K_WOKENUP)}},
    {"wakeup-aborts-from", K0, wakeup_B, K_OK, 1,
     .sleepers = {{B, K_RECEIVE, C, ASLEEP, K_WOKENUP}, {D, K_RECEIVE, C, ASLEEP, ASLEEP}}},
    {"wakeup-remembered", K0, wakeup_B, K_OK, 1,
     .sleepers = {{C, K_SEND, B, ASLEEP, ASLEEP}}},
    {"setpriv", K0, setpriv_B, K_OK, 1,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"vm-end", K0, end_vm, K_OK, NO_ORDER, .redo = end_vm,
     .sleepers = {TO_ANY(B, K_RECEIVE, K_VMNOTRUN, K_VMNOTRUN), {C, K_SEND, D, K_VMNOTRUN, K_VMNOTRUN}}},
    {"snapshot", K0, look_at_B, K_OK, 0,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP)}},
    {"audit", K0, audit_all, K_OK, 0,
     .sleepers = {TO_ANY(B, K_RECEIVE, ASLEEP, ASLEEP), {C, K_SEND, D, ASLEEP, ASLEEP}}},
};
const uint32_t scenarios_n = sizeof scenarios / sizeof scenarios[0];
