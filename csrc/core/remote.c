/* remote.c: calls to processes of other nodes, as far as this node goes.
 *
 * The slot of a remote process is a process like any other: it stands in the same queues and lists, so that death, timeouts and order
 * follow from the code that is there for local ones. A caller stands in the lists of its remote destination *and* has a command
 * in the queue of the proxy that serves the node:
 *
 *   send      SENDING until the acknowledgement comes
 *   sendrec   SENDING | RECEIVING until the proxy takes the request, then RECEIVING, a waiter of its destination
 *   reply     SENDING until the acknowledgement comes; the client's slot is free once the proxy has taken the answer
 *   notify    SENDING until the proxy takes it
 *   vcopy     RMTOPER until the copy has ended (farcopy.c)
 *
 * The other way round, a remote caller's slot does here what the caller would do, and "ending its wait" is a command for its node.
 */
#include "farcopy.h"

/* ---- going out ------------------------------------------------------------------------------------------------------- */

static uint32_t trace_of(const struct k_call *call) {
    return call->flags & K_CALL_TRACE ? K_CMD_TRACE : 0;
}

/* What is sent is the answer that `d` waits for. */
static bool is_answer(const struct k_slot *d, const struct k_slot *s, uint32_t answers) {
    return k_awaits_reply(d) && d->getfrom == s->endpoint && (!answers || d->call == answers);
}

/* The caller queues at `d` for its node's proxy to take `out`. Everything has been checked. */
static int depart(struct k_txn *t, const struct k_call *call, struct k_slot *d, uint32_t di, struct k_out out) {
    struct k_slot *s = k_me(t);
    uint32_t px;
    bool request = out.cmd == K_CMD_SNDREC_MSG;
    if (!k_route_px(t->region, d->node, &px)) return k_route_code(t->region, d->node);
    int code = k_outbox_clear(t, s, t->me);
    if (code != K_OK) return code;
    out.call = k_new_call_number(s);
    out.node = (uint32_t)d->node, out.dst = d->endpoint, out.flags = trace_of(call);
    s->sent_remote++;
    k_note_peer(s, di);
    s->sendto = d->endpoint;
    s->getfrom = request ? d->endpoint : K_NOBODY;
    s->call = request ? out.call : 0;
    k_enqueue(t, s, t->me, d, request);
    k_outbox_put(t, s, t->me, px, &out);
    return k_block(t);
}

/* The message travels in the caller's slot. */
static int depart_with_message(struct k_txn *t, struct k_call *call, struct k_slot *d, uint32_t di, uint32_t cmd, bool answer) {
    struct k_slot *s = k_me(t);
    call->answered = answer;
    k_pack_message(s, s->endpoint, call->message, call);
    return depart(t, call, d, di, (struct k_out){.cmd = cmd, .src = s->endpoint, .answers = answer ? d->remote_call : 0});
}

/* No waiting for the acknowledgement: the answer goes from the client's own slot. */
static int answer_at_once(struct k_txn *t, struct k_call *call, struct k_slot *d, uint32_t di) {
    struct k_slot *s = k_me(t);
    s->sent_remote++;
    k_note_peer(s, di);
    k_deliver(t, d, di, s, call, 0);
    return k_commit(t);
}

int k_reply_abroad(struct k_txn *t, struct k_call *call, struct k_slot *d, uint32_t di) {
    if (call->replies || call->flags & K_CALL_NOWAIT) return answer_at_once(t, call, d, di);
    return depart_with_message(t, call, d, di, K_CMD_REPLY_MSG, true);
}

int k_send_abroad(struct k_txn *t, struct k_call *call, struct k_slot *d, uint32_t di, bool request) {
    if (k_is_remote(k_me(t))) return K_RMTPROC; /* it came from one node and wants to go to another */
    bool answer = is_answer(d, k_me(t), call->answers);
    if (answer && !request) return k_reply_abroad(t, call, d, di);
    if (!answer && k_would_deadlock(t->region, t->me, di)) return K_LOCKED;
    if (call->flags & K_CALL_NOWAIT) return K_AGAIN;
    return depart_with_message(t, call, d, di, request ? K_CMD_SNDREC_MSG : K_CMD_SEND_MSG, answer);
}

/* By one who has no slot to wait in. */
static int notify_unbound(struct k_txn *t, const struct k_call *call, int32_t source_ep, const struct k_slot *d) {
    uint32_t px;
    struct k_slot *s = k_me(t);
    if (s->px) return K_BUSY;
    if (!k_route_px(t->region, d->node, &px)) return k_route_code(t->region, d->node);
    struct k_out out = {.cmd = K_CMD_NTFY_MSG, .node = (uint32_t)d->node, .src = source_ep, .dst = d->endpoint, .value = call->value};
    k_outbox_put(t, s, t->me, px, &out);
    return k_commit(t);
}

int k_notify_abroad(struct k_txn *t, struct k_call *call, int32_t source_ep, struct k_slot *d, uint32_t di) {
    bool by_proxy = t->me >= t->region->members + K_KERNEL_SLOTS; /* for HARDWARE of another node, say */
    if (by_proxy || k_is_remote(k_me(t))) return K_RMTPROC;
    if (t->me >= t->region->members) return notify_unbound(t, call, source_ep, d);
    if (call->flags & K_CALL_NOWAIT) return K_AGAIN;
    return depart(t, call, d, di, (struct k_out){.cmd = K_CMD_NTFY_MSG, .src = source_ep, .value = call->value});
}

/* ---- giving up ------------------------------------------------------------------------------------------------------- */

static bool is_waiting_for_one(const struct k_slot *s) {
    return s->rts & (K_RTS_SENDING | K_RTS_RMTOPER) || (s->rts & K_RTS_RECEIVING && s->getfrom != K_ANY);
}

bool k_waits_abroad(const struct k_region *region, const struct k_slot *s, uint32_t *whom) {
    int32_t peer = s->rts & (K_RTS_SENDING | K_RTS_RMTOPER) ? s->sendto : s->getfrom;
    if (k_is_remote(s) || !is_waiting_for_one(s) || !k_endpoint_decode(region, peer, whom)) return false;
    return k_is_remote(k_slot_at(region, *whom));
}

void k_forget(struct k_txn *t, struct k_slot *s, uint32_t index) {
    if (s->px && s->out_cmd != K_CMD_CANCEL) k_outbox_leave(t, s, index);
}

/* It has gone out, and something here or there waits for its end. */
static bool is_out(const struct k_region *region, const struct k_slot *s) {
    uint32_t peer;
    bool called = s->rts & (K_RTS_SENDING | K_RTS_RMTOPER) || s->call != 0;
    return called && s->out_cmd != K_CMD_REPLY_MSG && s->out_cmd != K_CMD_NTFY_MSG && k_waits_abroad(region, s, &peer);
}

/* It waits for its turn, and a part of it has been taken. */
static bool is_begun(const struct k_slot *s) {
    return s->px && k_cmd_has_data((int32_t)s->out_cmd) && s->v_done;
}

void k_withdraw(struct k_txn *t, struct k_slot *s, uint32_t index) {
    uint32_t px;
    bool told = is_out(t->region, s) && k_route_px(t->region, s->out_node, &px);
    if (is_begun(s) && told) {
        k_set(t, &s->out_cmd, K_CMD_CANCEL); /* in its place in the queue */
        return;
    }
    k_forget(t, s, index);
    if (s->px || !told) return;
    k_set(t, &s->out_cmd, K_CMD_CANCEL);
    k_outbox_push(t, s, index, px);
}

/* ---- coming back: what the wait of a remote process ends with ---------------------------------------------------------- */

/* A sender is acknowledged; a caller gets its answer, or an acknowledgement that says why there is none. */
static struct k_out answer_for(const struct k_slot *s, int code, uint32_t in_flags) {
    bool request = s->rts & K_RTS_RECEIVING, reply = request && code == K_OK;
    return (struct k_out){
        .cmd = reply ? K_CMD_REPLY_MSG : request ? K_CMD_SNDREC_ACK : K_CMD_SEND_ACK, .node = (uint32_t)s->node,
        .src = request ? s->getfrom : s->sendto, .dst = s->endpoint, .call = reply ? 0 : s->remote_call, .answers = reply ? s->remote_call : 0,
        .flags = (reply ? (uint32_t)K_CMD_NOACK : 0u) | (in_flags & K_IN_TRACE ? (uint32_t)K_CMD_TRACE : 0u), .code = code,
    };
}

void k_tell_remote(struct k_txn *t, struct k_slot *s, uint32_t index, int code, uint32_t in_flags) {
    uint32_t px;
    struct k_out out = answer_for(s, code, in_flags);
    k_set(t, &s->rts, s->rts & (K_RTS_REMOTE | K_RTS_ONCOPY));
    if (k_route_px(t->region, s->node, &px)) k_outbox_put(t, s, index, px, &out);
}

int k_quieten(struct k_txn *t, struct k_slot *s, uint32_t index, int code) {
    bool calls = s->rts & (K_RTS_SENDING | K_RTS_RECEIVING), copies = s->rts & K_RTS_RMTOPER;
    if (!calls && !copies) return K_OK;
    if (copies && s->px) k_outbox_leave(t, s, index); /* the data; next comes what tells of the end */
    else if (copies) k_end_far(t, s, index, code);
    else if (k_leave_list(t, s, index)) k_end_wait(t, s, index, code, 0);
    code = k_commit(t);
    return code == K_OK ? K_MORE : code;
}
