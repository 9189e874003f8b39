/* putcopy.c: the commands of copies that another node sends: data for a process of this one, requests for the data of one, answers.
 *
 * Bytes are written without the lock, the party ONCOPY meanwhile by the receiver proxy's own slot: if that dies, whoever buries it lets
 * the party go. What may have changed in between is looked at again.
 */
#include "farcopy.h"
#include "put.h"
#include "trust.h"

/* ---- the requester's stand-in -------------------------------------------------------------------------------------------- */

static int enter_as_requester(struct k_putting *p) {
    const struct k_command *c = p->c;
    struct k_sender from = {
        .endpoint = c->v.rqtr, .node = (int32_t)c->rnode, .incarnation = c->src == c->v.rqtr ? c->incarnation : 0, .name = "remote",
    };
    int code = c->rnode == p->proxy->node ? K_BADNODEID : k_route_code(&p->proxy->region, c->rnode);
    return code == K_OK ? k_enter_as_remote(p, &from) : code;
}

/* What its node is told in the end. */
static uint32_t answer_to(int32_t cmd) {
    return cmd == K_CMD_COPYIN_RQST ? (uint32_t)K_CMD_COPYRMT_ACK : (uint32_t)(cmd | K_CMD_ACK);
}

/* The stand-in is idle: its words are nobody's. */
static void describe(struct k_slot *r, const struct k_command *c) {
    r->out_cmd = answer_to(c->cmd), r->out_src = c->dst, r->out_call = c->call;
    r->v_src = c->v.src, r->v_dst = c->v.dst, r->v_rqtr = c->v.rqtr, r->v_rnode = c->rnode;
    r->v_dnode = c->cmd == K_CMD_COPYRMT_RQST ? c->answers : (uint32_t)c->snode;
    r->v_bytes = (uint32_t)c->v.bytes, r->v_done = 0;
    k_set_wide(r->v_saddr, c->v.saddr), k_set_wide(r->v_daddr, c->v.daddr);
}

static int begin(struct k_putting *p) {
    int code = k_begin_remote(p);
    if (code == K_OK) describe(k_me(&p->t), p->c);
    return code;
}

/* The copy of this command is the one that the stand-in has under way. */
static bool is_under_way(const struct k_putting *p) {
    const struct k_slot *r = k_me(&p->t);
    return k_is_remote(r) && r->rts & K_RTS_RMTOPER && r->remote_call == p->c->call && r->v_dst == p->c->v.dst;
}

static int end(struct k_putting *p, int code) {
    k_end_far(&p->t, k_me(&p->t), p->t.me, code);
    return k_commit(&p->t);
}

static int find_here(struct k_txn *t, int32_t endpoint, int dead, uint32_t *index) {
    int code = k_find(t, endpoint, dead, index);
    if (k_endpoint_decode(t->region, endpoint, index) && k_is_remote(k_slot_at(t->region, *index)) && code != dead) return K_RMTPROC;
    return code == K_OK ? k_check_party(t, *index) : code;
}

/* ---- a party, while the bytes move ----------------------------------------------------------------------------------------- */

static struct k_slot *own_slot(struct k_putting *p) {
    return k_slot_at(p->t.region, p->t.actor);
}

static void take_hold(struct k_putting *p, uint32_t party, bool is_source, uint32_t more_rts) {
    struct k_slot *me = own_slot(p), *s = k_slot_at(p->t.region, party);
    *(is_source ? &me->copy_src_incarnation : &me->copy_dst_incarnation) = s->incarnation;
    k_set(&p->t, is_source ? &me->copy_src : &me->copy_dst, party + 1);
    k_set(&p->t, &s->rts, s->rts | K_RTS_ONCOPY | more_rts);
}

/* Back under the lock, with nothing held. */
static int come_back(struct k_putting *p, uint32_t me) {
    int code = k_put_enter(p); /* which lets go of what it held */
    p->t.me = me;
    return code;
}

static int write_piece(struct k_putting *p, uint32_t party, bool first) {
    struct k_proxy *proxy = p->proxy;
    struct k_copy copy = {
        .src_slot = K_NIL, .src_pid = proxy->pid, .src_address = (uintptr_t)p->payload, .dst_slot = party, .dst_address = p->c->v.daddr,
        .bytes = (uint64_t)p->c->len,
    };
    if (!copy.bytes) return K_OK;
    int code = k_believe(&proxy->region, &proxy->members, proxy->pid, party, &copy.dst_pid, K_DSTDIED);
    if (code == K_OK && k_copy_mapped(proxy, copy.dst_pid, copy.dst_address, (void *)(uintptr_t)p->payload, copy.bytes, true, first)) return K_OK;
    return code == K_OK ? k_copy_trusted(&copy, proxy->pid, k_piece_max(&proxy->region), proxy->fallback, proxy->context) : code;
}

/* ---- data for a process of this node ------------------------------------------------------------------------------------------ */

/* The first piece: the party is held, for good and for this one. */
static int begin_receiving(struct k_putting *p, uint32_t *party) {
    struct k_txn *t = &p->t;
    int code = begin(p);
    if (code != K_OK) return code;
    struct k_slot *r = k_me(t);
    code = find_here(t, p->c->v.dst, K_DSTDIED, party);
    if (code != K_OK) return code;
    struct k_slot *d = k_slot_at(t->region, *party);
    d->holder = t->me + 1;
    r->copy_dst_incarnation = d->incarnation;
    k_set(t, &r->copy_dst, *party + 1);
    k_set(t, &r->rts, r->rts | K_RTS_RMTOPER);
    take_hold(p, *party, false, K_RTS_HELD);
    return k_commit(t);
}

static int go_on_receiving(struct k_putting *p, uint32_t *party) {
    const struct k_slot *r = k_me(&p->t);
    *party = r->copy_dst - 1;
    const struct k_slot *d = k_slot_checked(p->t.region, *party);
    if (!d || !k_is_bound(d) || d->incarnation != r->copy_dst_incarnation) return K_DSTDIED;
    if (!k_is_held_by(d, p->t.me) || d->rts & K_RTS_ONCOPY) return K_PROCSTS;
    take_hold(p, *party, false, 0);
    return k_commit(&p->t);
}

static int receive_piece(struct k_putting *p) {
    uint32_t party, me = p->t.me, incarnation = k_me(&p->t)->incarnation;
    bool first = !is_under_way(p);
    int code = first ? begin_receiving(p, &party) : go_on_receiving(p, &party);
    if (code == K_BADVMID) return code;
    if (code != K_OK) return end(p, code);
    k_put_leave(p);
    code = write_piece(p, party, first);
    int entered = come_back(p, me);
    if (entered != K_OK) return entered;
    bool over = code != K_OK || p->c->flags & K_CMD_LAST;
    return over && k_me(&p->t)->incarnation == incarnation && is_under_way(p) ? end(p, code) : K_OK;
}

/* The source's node could not read on. */
static int fail_receiving(struct k_putting *p) {
    int code = is_under_way(p) ? K_OK : begin(p);
    return code == K_OK ? end(p, p->c->rcode) : code;
}

/* A piece may be one of a copy that has ended already, or was given up before it began here. */
static int put_data(struct k_putting *p) {
    if (k_is_late(p) && !is_under_way(p)) return K_OK;
    return p->c->rcode == K_OK ? receive_piece(p) : fail_receiving(p);
}

/* ---- data of a process of this node ------------------------------------------------------------------------------------------ */

/* Where it goes: back to the requester, or on to a third node. */
static struct k_out target_of(const struct k_command *c) {
    bool third = c->cmd == K_CMD_COPYRMT_RQST;
    return (struct k_out){
        .cmd = third ? K_CMD_COPYIN_RQST : K_CMD_COPYOUT_DATA, .node = third ? c->answers : c->rnode,
        .src = c->v.src, .dst = third ? c->v.dst : c->v.rqtr, .call = c->call,
    };
}

static int put_request(struct k_putting *p) {
    struct k_txn *t = &p->t;
    uint32_t party, px;
    if (k_is_late(p)) return K_OK;
    int code = begin(p);
    if (code != K_OK) return code;
    struct k_slot *r = k_me(t);
    struct k_out out = target_of(p->c);
    code = (uint32_t)p->c->v.bytes <= t->region->limits.copy_len_max ? find_here(t, p->c->v.src, K_SRCDIED, &party) : K_RANGE;
    if (code == K_OK && !k_route_px(t->region, out.node, &px)) code = k_route_code(t->region, out.node);
    if (code != K_OK) return end(p, code);
    struct k_slot *s = k_slot_at(t->region, party);
    s->holder = t->me + 1;
    r->copy_src_incarnation = s->incarnation;
    k_set(t, &r->copy_src, party + 1);
    k_set(t, &r->rts, r->rts | K_RTS_RMTOPER);
    k_set(t, &s->rts, s->rts | K_RTS_HELD);
    k_outbox_put(t, r, t->me, px, &out);
    return k_commit(t);
}

/* ---- both of this node ---------------------------------------------------------------------------------------------------------- */

static int hold_both(struct k_putting *p, uint32_t *src, uint32_t *dst) {
    struct k_txn *t = &p->t;
    int code = begin(p);
    if (code == K_OK) code = (uint32_t)p->c->v.bytes <= t->region->limits.copy_len_max ? find_here(t, p->c->v.src, K_SRCDIED, src) : K_RANGE;
    if (code == K_OK) code = find_here(t, p->c->v.dst, K_DSTDIED, dst);
    if (code == K_OK && *src == *dst) code = K_ENDPOINT;
    if (code != K_OK) return code;
    k_set(t, &k_me(t)->rts, k_me(t)->rts | K_RTS_RMTOPER);
    take_hold(p, *src, true, 0);
    take_hold(p, *dst, false, 0);
    return k_commit(t);
}

static int copy_here(struct k_putting *p, uint32_t src, uint32_t dst) {
    struct k_proxy *proxy = p->proxy;
    struct k_copy copy = {
        .src_slot = src, .dst_slot = dst, .src_address = p->c->v.saddr, .dst_address = p->c->v.daddr, .bytes = (uint32_t)p->c->v.bytes,
    };
    int code = k_believe(&proxy->region, &proxy->members, proxy->pid, src, &copy.src_pid, K_SRCDIED);
    if (code == K_OK) code = k_believe(&proxy->region, &proxy->members, proxy->pid, dst, &copy.dst_pid, K_DSTDIED);
    return code == K_OK ? k_copy_trusted(&copy, proxy->pid, k_piece_max(&proxy->region), proxy->fallback, proxy->context) : code;
}

static int put_local(struct k_putting *p) {
    uint32_t src, dst, me = p->t.me, incarnation = k_me(&p->t)->incarnation;
    if (k_is_late(p) && !is_under_way(p)) return K_OK; /* under way: it is put again, because the lock did not come in the middle */
    int code = hold_both(p, &src, &dst);
    if (code == K_BADVMID) return code;
    if (code != K_OK) return end(p, code);
    k_put_leave(p);
    code = copy_here(p, src, dst);
    int entered = come_back(p, me);
    if (entered != K_OK) return entered;
    return k_me(&p->t)->incarnation == incarnation && is_under_way(p) ? end(p, code) : K_OK;
}

/* ---- answers to a requester of this node ---------------------------------------------------------------------------------------- */

/* Its command has been taken, or the first piece of its data. */
static bool has_gone(const struct k_slot *q) {
    return !q->px || (k_cmd_has_data((int32_t)q->out_cmd) && q->v_done);
}

/* The slot waits for just this, from a node that has a part in it. */
static bool awaits(const struct k_txn *t, const struct k_slot *q, const struct k_command *c) {
    uint32_t first;
    if (!k_is_bound(q) || q->endpoint != c->dst || !(q->rts & K_RTS_RMTOPER) || !has_gone(q) || answer_to((int32_t)q->out_cmd) != (uint32_t)c->cmd) return false;
    if ((c->call && c->call != q->out_call) || !k_waits_abroad(t->region, q, &first)) return false;
    return c->snode == k_slot_at(t->region, first)->node || (c->cmd == K_CMD_COPYRMT_ACK && c->snode == (int32_t)q->v_dnode);
}

static int end_requester(struct k_txn *t, uint32_t index, int code) {
    struct k_slot *q = k_slot_at(t->region, index);
    if (!k_leave_list(t, q, index)) return K_BADVMID;
    if (code == K_OK) q->copied_remote++;
    k_end_caller(t, q, index, code);
    return k_commit(t);
}

static int begin_burial(struct k_putting *p, struct k_burial *burial) {
    if (p->c->rcode == K_SRCDIED) return k_begin_burial(p, p->c->v.src, burial);
    return p->c->rcode == K_DSTDIED ? k_begin_burial(p, p->c->v.dst, burial) : K_OK;
}

static bool is_inside(const struct k_slot *q, const struct k_command *c) {
    uint64_t from = k_wide(q->v_daddr), at = c->v.daddr - from;
    return at <= q->v_bytes && (uint64_t)c->len <= q->v_bytes - at;
}

/* The destination: the requester itself, or whom it holds. */
static int find_destination(const struct k_txn *t, uint32_t qi, uint32_t *party) {
    const struct k_slot *q = k_slot_at(t->region, qi);
    *party = q->copy_dst ? q->copy_dst - 1 : qi;
    const struct k_slot *d = k_slot_checked(t->region, *party);
    if (*party == qi) return q->rts & K_RTS_ONCOPY ? K_BUSY : K_OK;
    if (!d || !k_is_bound(d) || d->incarnation != q->copy_dst_incarnation) return K_DSTDIED;
    return k_is_held_by(d, qi) && !(d->rts & K_RTS_ONCOPY) ? K_OK : K_PROCSTS;
}

static int receive_answer(struct k_putting *p, uint32_t qi) {
    uint32_t party;
    struct k_txn *t = &p->t;
    bool first = p->c->v.daddr == k_wide(k_slot_at(t->region, qi)->v_daddr);
    int code = is_inside(k_slot_at(t->region, qi), p->c) ? find_destination(t, qi, &party) : K_RANGE;
    if (code != K_OK) return end_requester(t, qi, code);
    take_hold(p, party, false, 0);
    code = k_commit(t);
    if (code != K_OK) return code;
    k_put_leave(p);
    code = write_piece(p, party, first);
    int entered = come_back(p, qi);
    if (entered != K_OK) return entered;
    bool over = code != K_OK || p->c->flags & K_CMD_LAST;
    return over && awaits(t, k_slot_at(t->region, qi), p->c) ? end_requester(t, qi, code) : K_OK;
}

static int put_answer(struct k_putting *p) {
    uint32_t qi;
    if (!k_endpoint_decode(&p->proxy->region, p->c->dst, &qi)) return K_RANGE;
    int code = k_put_enter(p);
    if (code != K_OK) return code;
    bool awaited = awaits(&p->t, k_slot_at(&p->proxy->region, qi), p->c), data = k_cmd_has_data(p->c->cmd) && p->c->rcode == K_OK;
    p->t.me = qi;
    struct k_burial burial = {.begun = false};
    if (awaited) code = data ? receive_answer(p, qi) : end_requester(&p->t, qi, p->c->rcode);
    if (awaited && code == K_OK) code = begin_burial(p, &burial);
    k_put_leave(p);
    return code == K_OK ? k_finish_burial(p, &burial) : code;
}

/* ---- what is it? ------------------------------------------------------------------------------------------------------------------- */

typedef int put_function(struct k_putting *p);

static int as_requester(struct k_putting *p, put_function *put) {
    int code = enter_as_requester(p);
    if (code != K_OK) return code;
    code = put(p);
    k_put_leave(p);
    return code;
}

int k_put_copy(struct k_putting *p) {
    switch (p->c->cmd) {
    case K_CMD_COPYIN_DATA:
    case K_CMD_COPYIN_RQST: return as_requester(p, put_data);
    case K_CMD_COPYOUT_RQST:
    case K_CMD_COPYRMT_RQST: return as_requester(p, put_request);
    case K_CMD_COPYLCL_RQST: return as_requester(p, put_local);
    default: return put_answer(p);
    }
}
