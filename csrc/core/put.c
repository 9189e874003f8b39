/* put.c: the receiver proxy's half: what another node sends is done here in the name of the process that sent it.
 *
 * Each remote process that talks to this node has a slot (its stand-in), bound by hand or, for user slots, when its first command comes. The
 * newest word counts: a process that calls has given up what it had under way before, and one with another endpoint or
 * incarnation takes the place of the one that its node had there. Every command is one lock hold, unless a slot must be bound first.
 */
#define _GNU_SOURCE
#include "put.h"

#include "cpu.h"

/* ---- who it comes from ------------------------------------------------------------------------------------------------- */

enum stand_in { THERE, ABSENT, STALE };

static bool is_same_life(const struct k_slot *s, uint32_t incarnation) {
    return !incarnation || !s->remote_incarnation || s->remote_incarnation == incarnation;
}

static bool is_idle(const struct k_slot *s) {
    return s->rts == K_RTS_REMOTE && !s->px;
}

/* What stands in the slot of a process that calls from `node`: a value of enum stand_in, or the code of a refusal. */
static int look_at(const struct k_txn *t, uint32_t index, const struct k_sender *from) {
    const struct k_slot *s = k_slot_at(t->region, index);
    if (s->rts & K_RTS_CLOSING) return STALE;
    if (s->rts & K_RTS_FREE) return k_is_system(t->region, index) && !from->known ? K_NOTBIND : ABSENT;
    if (!k_is_remote(s)) return s->endpoint == from->endpoint ? K_LCLPROC : K_SLOTUSED;
    if (s->misc & K_MISC_BACKUP) return K_LCLPROC;
    if (s->node == from->node && s->endpoint == from->endpoint && is_same_life(s, from->incarnation)) return THERE;
    if (s->node == from->node && k_endpoint_is_earlier(from->endpoint, s->endpoint)) return K_SRCDIED; /* a later one came by way of a third node */
    return s->node == from->node || is_idle(s) ? STALE : K_SLOTUSED;
}

static int bind_stand_in(struct k_putting *p, uint32_t index, const struct k_sender *from) {
    struct k_region *region = &p->proxy->region;
    struct k_bind bind = {.slot = index, .kind = K_BIND_REMOTE, .pid = -1, .tid = -1, .node = from->node, .want_endpoint = from->endpoint};
    memcpy(bind.name, from->name, sizeof bind.name);
    int code = k_step_bind(region, k_proxy_slot(region, p->proxy->px, K_PROXY_RECEIVER), &bind, p->lock_ms);
    return code == K_BUSY ? K_OK : code; /* somebody was quicker: look again */
}

/* A system process that was bound here comes back under its name: its number is its endpoint for ever. */
static void remember(struct k_sender *from, const struct k_slot *s) {
    if (s->rts & K_RTS_CLOSING || s->endpoint != from->endpoint || s->node != from->node) return;
    memcpy(from->name, s->name, sizeof from->name);
    from->known = true;
}

/* The one that was seen: by now somebody else may be bound there. */
static int unbind_stand_in(struct k_putting *p, uint32_t index, uint32_t incarnation) {
    struct k_region *region = &p->proxy->region;
    int code = k_unbind(region, k_proxy_slot(region, p->proxy->px, K_PROXY_RECEIVER), index, incarnation, K_SRCDIED, true, p->lock_ms);
    return code == K_NOTBIND ? K_OK : code;
}

/* It is known now, and those who wait for its answer know on which CPU that will be put. */
static int act_as(struct k_putting *p, struct k_slot *s, uint32_t index, const struct k_sender *from) {
    uint32_t cpu = k_this_cpu() | K_CPU_FAR;
    if (from->incarnation) s->remote_incarnation = from->incarnation;
    if (atomic_load_explicit(&s->cpu, memory_order_relaxed) != cpu) atomic_store_explicit(&s->cpu, cpu, memory_order_relaxed);
    p->t.me = index;
    return K_OK;
}

int k_enter_as_remote(struct k_putting *p, struct k_sender *from) {
    uint32_t index;
    enum { LOOKS = 8 };
    if (!k_endpoint_decode(&p->proxy->region, from->endpoint, &index)) return K_RANGE;
    for (int i = 0; i < LOOKS; i++) {
        int code = k_put_enter(p);
        if (code != K_OK) return code;
        struct k_slot *s = k_slot_at(&p->proxy->region, index);
        int found = look_at(&p->t, index, from);
        if (found == THERE) return act_as(p, s, index, from);
        uint32_t incarnation = s->incarnation;
        remember(from, s);
        k_put_leave(p);
        code = found == ABSENT ? bind_stand_in(p, index, from) : found == STALE ? unbind_stand_in(p, index, incarnation) : found;
        if (code != K_OK) return code;
    }
    return K_AGAIN;
}

/* ---- a new call of it --------------------------------------------------------------------------------------------------- */

/* Whatever it had under way is over, and nobody is told. */
static int drop_older(struct k_txn *t, struct k_slot *r) {
    if (is_idle(r)) return K_OK;
    if (r->px) k_outbox_leave(t, r, t->me);
    k_leave_list(t, r, t->me);
    k_release_parties(t, r);
    k_set(t, &r->rts, r->rts & (K_RTS_REMOTE | K_RTS_ONCOPY));
    return k_commit(t);
}

int k_begin_remote(struct k_putting *p) {
    struct k_slot *r = k_me(&p->t);
    int code = drop_older(&p->t, r);
    r->remote_call = p->c->call;
    if (p->c->call) r->newest_call = p->c->call;
    if (p->c->call && p->c->call != K_ANSWERS_NOTHING) r->call_next = p->c->call - 1; /* so that its request has its own number here */
    return code;
}

bool k_is_late(const struct k_putting *p) {
    uint32_t newest = k_me(&p->t)->newest_call;
    return p->c->call && newest && (int32_t)(p->c->call - newest) <= 0;
}

int k_acknowledge(struct k_putting *p, int32_t cmd, int code) {
    struct k_slot *r = k_me(&p->t);
    uint32_t px;
    struct k_out out = {
        .cmd = (uint32_t)cmd, .node = p->c->rnode, .src = p->c->dst, .dst = r->endpoint, .call = p->c->call, .code = code,
    };
    if (!k_route_px(p->t.region, p->c->rnode, &px)) return K_OK;
    k_outbox_put(&p->t, r, p->t.me, px, &out);
    return k_commit(&p->t);
}

/* ---- messages ----------------------------------------------------------------------------------------------------------------- */

static struct k_call call_of(const struct k_putting *p, uint32_t op, struct k_message *message) {
    const struct k_command *c = p->c;
    struct k_call call = {.op = op, .peer = c->dst, .message = message, .as_p_nr = INT32_MIN};
    if (k_cmd_has_message(c->cmd)) memcpy(message, p->payload, sizeof *message);
    if (c->flags & K_CMD_TRACE) call.flags = K_CALL_TRACE, memcpy(call.trace, c->trace, sizeof call.trace);
    call.answers = c->answers || !c->call ? c->answers : K_ANSWERS_NOTHING;
    return call;
}

/* After an operation that failed nothing of its plan stays. */
static int settle(struct k_txn *t, int code) {
    t->pairs = 0;
    t->damaged = false;
    return code;
}

static int give_answer(struct k_putting *p) {
    struct k_message message;
    struct k_call call = call_of(p, K_REPLY, &message);
    call.answers = p->c->answers;
    return settle(&p->t, k_reply(&p->t, &call));
}

/* By one that does not wait for it, or no longer: whatever it has under way here stays. */
static int give_unasked(struct k_putting *p) {
    int code = give_answer(p);
    return code == K_BADVMID ? code : K_OK;
}

/* One that was given up and comes late is nobody's, but for the answer in it: that was given. */
static int put_send(struct k_putting *p, bool request) {
    struct k_message message;
    struct k_call call = call_of(p, request ? K_SENDREC : K_SEND, &message);
    if (k_is_late(p)) return p->c->answers ? give_unasked(p) : K_OK;
    int code = k_begin_remote(p);
    if (code == K_OK) code = settle(&p->t, k_send(&p->t, &call, request));
    if (code == K_BADVMID) return code;
    return code == K_BLOCKED ? K_OK : k_acknowledge(p, p->c->cmd | K_CMD_ACK, code);
}

static int put_reply(struct k_putting *p) {
    if (p->c->flags & K_CMD_NOACK || k_is_late(p)) return give_unasked(p);
    int code = k_begin_remote(p);
    if (code == K_OK) code = give_answer(p);
    return code == K_BADVMID ? code : k_acknowledge(p, K_CMD_REPLY_ACK, code);
}

/* By whoever calls, whatever that has under way; nobody is told how it went. */
static int notify(struct k_putting *p, int32_t as_p_nr) {
    struct k_message message;
    struct k_call call = call_of(p, K_NOTIFY, &message);
    call.value = (uint32_t)p->c->v.bytes;
    call.as_p_nr = as_p_nr;
    call.now_ns = (uint64_t)p->c->seconds * 1000000000u + (uint64_t)p->c->nanoseconds;
    int code = settle(&p->t, k_notify(&p->t, &call));
    return code == K_BADVMID ? code : K_OK;
}

static int put_notify(struct k_putting *p) {
    return notify(p, INT32_MIN);
}

/* A system process need not be bound to notify (HARDWARE). */
static int put_system_notify(struct k_putting *p, uint32_t index) {
    int code = k_put_enter(p);
    if (code != K_OK) return code;
    const struct k_slot *s = k_slot_at(&p->proxy->region, index);
    bool here = k_is_bound(s) && !k_is_remote(s);
    code = here ? K_LCLPROC : notify(p, k_p_nr(&p->proxy->region, index));
    k_put_leave(p);
    return code;
}

/* ---- acknowledgements ------------------------------------------------------------------------------------------------------- */

/* The slot waits for the acknowledgement of that very command, from that very process. */
static bool awaits_ack(const struct k_txn *t, const struct k_slot *s, const struct k_command *c) {
    uint32_t peer, both = K_RTS_SENDING | K_RTS_RECEIVING, state = s->rts & both;
    int32_t whom = c->cmd == K_CMD_SNDREC_ACK ? s->getfrom : s->sendto;
    if (!k_is_bound(s) || s->endpoint != c->dst || s->px || s->out_cmd != (uint32_t)(c->cmd & ~(int32_t)K_CMD_ACK)) return false;
    if (c->cmd == K_CMD_SNDREC_ACK ? !k_awaits_reply(s) || c->rcode == K_OK : state != K_RTS_SENDING) return false;
    if (c->call && c->call != s->out_call) return false;
    return whom == c->src && k_waits_abroad(t->region, s, &peer) && k_slot_at(t->region, peer)->node == c->snode;
}

static int end_caller(struct k_txn *t, struct k_slot *s, uint32_t index, int code) {
    if (!k_leave_list(t, s, index)) return K_BADVMID;
    k_end_wait(t, s, index, code, 0);
    return k_commit(t);
}

bool k_is_dead(int code, bool called) {
    return code == K_DSTDIED || code == K_RMTPROC || code == K_ENDPOINT || (called && code == K_SRCDIED);
}

int k_begin_burial(struct k_putting *p, int32_t endpoint, struct k_burial *burial) {
    uint32_t index;
    if (!k_endpoint_decode(&p->proxy->region, endpoint, &index)) return K_OK;
    const struct k_slot *s = k_slot_at(&p->proxy->region, index);
    if (!k_is_bound(s) || !k_is_remote(s) || s->misc & K_MISC_BACKUP || s->endpoint != endpoint || s->node != p->c->snode) return K_OK;
    *burial = (struct k_burial){true, index, s->incarnation};
    return k_start_unbind(&p->t, index, s->incarnation, K_SRCDIED);
}

int k_finish_burial(struct k_putting *p, const struct k_burial *burial) {
    return burial->begun ? unbind_stand_in(p, burial->index, burial->incarnation) : K_OK;
}

static int put_ack(struct k_putting *p) {
    uint32_t index;
    if (!k_endpoint_decode(&p->proxy->region, p->c->dst, &index)) return K_RANGE;
    int code = k_put_enter(p);
    if (code != K_OK) return code;
    struct k_slot *s = k_slot_at(&p->proxy->region, index);
    struct k_burial burial = {.begun = false};
    bool awaited = awaits_ack(&p->t, s, p->c), dead = k_is_dead(p->c->rcode, p->c->cmd == K_CMD_SNDREC_ACK);
    if (awaited) code = end_caller(&p->t, s, index, p->c->rcode);
    if (awaited && dead && code == K_OK) code = k_begin_burial(p, p->c->src, &burial);
    k_put_leave(p);
    return code == K_OK ? k_finish_burial(p, &burial) : code;
}

/* ---- CANCEL ------------------------------------------------------------------------------------------------------------------ */

/* A copy's bytes may be on their way to a third node: that is told, too. */
static int pass_on_cancel(struct k_txn *t, struct k_slot *r, int cancelled) {
    uint32_t px;
    if (cancelled != K_OK || r->out_cmd != K_CMD_COPYIN_RQST || !r->v_done || !k_route_px(t->region, r->out_node, &px)) return cancelled;
    r->out_cmd = K_CMD_CANCEL;
    k_outbox_push(t, r, t->me, px);
    return k_commit(t);
}

static int put_cancel(struct k_putting *p) {
    uint32_t index;
    if (!k_endpoint_decode(&p->proxy->region, p->c->v.rqtr, &index)) return K_RANGE;
    int code = k_put_enter(p);
    if (code != K_OK) return code;
    struct k_slot *r = k_slot_at(&p->proxy->region, index);
    p->t.me = index;
    bool copying = r->rts & K_RTS_RMTOPER;
    bool under_way = k_is_bound(r) && k_is_remote(r) && r->node == (int32_t)p->c->rnode && r->remote_call == p->c->call && !is_idle(r);
    if (under_way) code = drop_older(&p->t, r);
    if (under_way && copying) code = pass_on_cancel(&p->t, r, code);
    k_put_leave(p);
    return code;
}

/* ---- what is it? ---------------------------------------------------------------------------------------------------------------- */

static int check_header(const struct k_proxy *proxy, const struct k_command *c) {
    uint32_t index;
    if (c->dnode != (int32_t)proxy->node) return K_BADNODEID;
    int code = k_route_code(&proxy->region, c->snode);
    if (code == K_OK && !k_endpoint_decode(&proxy->region, c->src, &index)) code = K_RANGE;
    if (code == K_OK && !k_endpoint_decode(&proxy->region, c->dst, &index)) code = K_RANGE;
    return code;
}

typedef int put_function(struct k_putting *p);

static int put_plain_send(struct k_putting *p) { return put_send(p, false); }
static int put_request(struct k_putting *p) { return put_send(p, true); }

/* Done in the name of the process that sent it. */
static int as_sender(struct k_putting *p, put_function *put) {
    struct k_sender from = {.endpoint = p->c->src, .node = p->c->snode, .incarnation = p->c->incarnation, .name = "remote"};
    int code = k_enter_as_remote(p, &from);
    if (code != K_OK) return code;
    code = put(p);
    k_put_leave(p);
    return code;
}

int k_proxy_put(struct k_proxy *proxy, const struct k_command *c, const void *payload, int lock_ms) {
    struct k_putting p = {.proxy = proxy, .c = c, .payload = payload, .lock_ms = lock_ms};
    uint32_t index;
    int code = check_header(proxy, c);
    k_proxy_rest(proxy);
    if (code != K_OK) return code;
    switch (c->cmd) {
    case K_CMD_SEND_MSG: return as_sender(&p, put_plain_send);
    case K_CMD_SNDREC_MSG: return as_sender(&p, put_request);
    case K_CMD_REPLY_MSG: return as_sender(&p, put_reply);
    case K_CMD_NTFY_MSG:
        k_endpoint_decode(&proxy->region, c->src, &index);
        return k_is_system(&proxy->region, index) ? put_system_notify(&p, index) : as_sender(&p, put_notify);
    case K_CMD_SEND_ACK:
    case K_CMD_SNDREC_ACK:
    case K_CMD_REPLY_ACK: return put_ack(&p);
    case K_CMD_CANCEL: return put_cancel(&p);
    default: return k_cmd_is_copy(c->cmd) ? k_put_copy(&p) : K_OK;
    }
}
