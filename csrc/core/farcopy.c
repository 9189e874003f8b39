/* farcopy.c: copies between nodes: asking for one, cutting it into pieces, and ending it.
 *
 *   from here to there        COPYIN_DATA in pieces ->                      <- COPYIN_ACK
 *   from there to here        COPYOUT_RQST ->                               <- COPYOUT_DATA in pieces
 *   both there                COPYLCL_RQST ->                               <- COPYLCL_ACK
 *   from there to a third     COPYRMT_RQST ->   COPYIN_RQST in pieces ->    <- COPYRMT_ACK by the third
 *
 * The requester is RMTOPER until it hears how it went; on the other nodes its stand-in is, for as long as the copy needs them. A party that
 * is not the requester is HELD from the first piece to the last: nothing else may copy from or to it. Its wait may end all the same (a call with a
 * deadline ends by it, whatever a link does), and takes HELD along: the next piece finds that out, and the copy fails with PROCSTS. Only
 * while bytes are written into its memory does it stay where it is (ONCOPY, by the receiver proxy).
 *
 * Pieces are as long as the VM's copy_buf. None waits for another; the slot goes to the end of the proxy's queue after each, so
 * that messages pass a large copy.
 */
#include "farcopy.h"

#include "trust.h"

/* ---- asking ------------------------------------------------------------------------------------------------------------ */

static struct k_out route_of(const struct k_txn *t, const struct k_far *f, uint32_t *first) {
    const struct k_slot *s = k_slot_at(t->region, f->src_slot), *d = k_slot_at(t->region, f->dst_slot);
    *first = k_is_remote(s) ? f->src_slot : f->dst_slot;
    uint32_t cmd = !k_is_remote(s) ? K_CMD_COPYIN_DATA : !k_is_remote(d) ? K_CMD_COPYOUT_RQST
        : s->node == d->node ? K_CMD_COPYLCL_RQST : K_CMD_COPYRMT_RQST;
    const struct k_slot *m = k_slot_at(t->region, *first);
    return (struct k_out){
        .cmd = cmd, .node = (uint32_t)m->node, .src = k_me(t)->endpoint, .dst = m->endpoint,
        .answers = cmd == K_CMD_COPYRMT_RQST ? (uint32_t)d->node : 0,
    };
}

static void set_wide(uint32_t words[2], uint64_t value) {
    words[0] = (uint32_t)value, words[1] = (uint32_t)(value >> 32);
}

static void describe(struct k_slot *q, const struct k_far *f, int32_t requester, uint32_t rnode, uint32_t dnode) {
    q->v_src = f->src, q->v_dst = f->dst, q->v_rqtr = requester, q->v_rnode = rnode, q->v_dnode = dnode;
    q->v_bytes = (uint32_t)f->bytes, q->v_done = 0;
    set_wide(q->v_saddr, f->src_address), set_wide(q->v_daddr, f->dst_address);
}

/* A local party that is not the requester `q`: its hold, planned. */
static void hold(struct k_txn *t, struct k_slot *q, uint32_t qi, uint32_t party, bool is_source) {
    struct k_slot *p = k_slot_at(t->region, party);
    *(is_source ? &q->copy_src_incarnation : &q->copy_dst_incarnation) = p->incarnation;
    k_set(t, is_source ? &q->copy_src : &q->copy_dst, party + 1);
    p->holder = qi + 1; /* means nothing while it is not HELD */
    k_set(t, &p->rts, p->rts | K_RTS_HELD);
}

static int check_parties(const struct k_txn *t, const struct k_far *f) {
    int code = k_is_remote(k_slot_at(t->region, f->src_slot)) ? K_OK : k_check_party(t, f->src_slot);
    if (code != K_OK || k_is_remote(k_slot_at(t->region, f->dst_slot))) return code;
    return k_check_party(t, f->dst_slot);
}

static void hold_local(struct k_txn *t, struct k_slot *q, uint32_t party, bool is_source) {
    if (party != t->me && !k_is_remote(k_slot_at(t->region, party))) hold(t, q, t->me, party, is_source);
}

int k_copy_abroad(struct k_txn *t, const struct k_far *f) {
    uint32_t first, px;
    struct k_slot *q = k_me(t);
    struct k_out out = route_of(t, f, &first);
    int code = check_parties(t, f);
    if (code == K_OK && !k_route_px(t->region, out.node, &px)) code = k_route_code(t->region, out.node);
    if (code == K_OK) code = k_drop_stale_copy(t, q);
    if (code == K_OK) code = k_outbox_clear(t, q, t->me);
    if (code != K_OK) return code;
    struct k_slot *m = k_slot_at(t->region, first);
    out.call = k_new_call_number(q);
    q->sendto = m->endpoint, q->getfrom = K_NOBODY, q->call = 0;
    q->ticket = m->ticket_next++;
    k_note_peer(q, first);
    describe(q, f, q->endpoint, t->region->limits.node, (uint32_t)k_slot_at(t->region, f->dst_slot)->node);
    hold_local(t, q, f->src_slot, true);
    hold_local(t, q, f->dst_slot, false);
    k_queue_push(t, k_senders(m), q, t->me);
    k_set(t, &q->rts, K_RTS_RMTOPER);
    k_outbox_put(t, q, t->me, px, &out);
    return k_block(t);
}

/* ---- ending ---------------------------------------------------------------------------------------------------------------- */

void k_end_caller(struct k_txn *t, struct k_slot *s, uint32_t index, int code) {
    if (!k_is_remote(s)) k_forget(t, s, index);
    if (s->rts & K_RTS_RMTOPER) k_release_parties(t, s);
    k_end_wait(t, s, index, code, 0);
}

void k_end_far(struct k_txn *t, struct k_slot *r, uint32_t index, int code) {
    uint32_t px, cmd = r->out_cmd == K_CMD_COPYIN_RQST ? (uint32_t)K_CMD_COPYRMT_ACK : r->out_cmd;
    struct k_out out = {
        .cmd = cmd, .node = r->v_rnode, .src = r->out_src, .dst = r->endpoint, .call = r->remote_call, .code = code,
        .flags = k_cmd_has_data((int32_t)cmd) ? K_CMD_LAST : 0,
    };
    k_release_parties(t, r);
    k_set(t, &r->rts, r->rts & (K_RTS_REMOTE | K_RTS_ONCOPY));
    if (k_route_px(t->region, r->v_rnode, &px)) k_outbox_put(t, r, index, px, &out);
}

/* The copy's requester is here, and its bytes go from one node to another, the lost one. */
static int cut_requester(struct k_txn *t, struct k_slot *q, uint32_t index, int code) {
    if (!k_leave_list(t, q, index)) return K_BADVMID;
    k_withdraw(t, q, index);
    k_release_parties(t, q);
    k_end_wait(t, q, index, code, 0);
    code = k_commit(t);
    return code == K_OK ? K_MORE : code;
}

/* The requester is elsewhere, and the lost node was to send here, or to be sent to. */
static int cut_stand_in(struct k_txn *t, struct k_slot *r, uint32_t index, int code) {
    if (r->px) k_outbox_leave(t, r, index);
    else k_end_far(t, r, index, code);
    code = k_commit(t);
    return code == K_OK ? K_MORE : code;
}

int k_cut_copy(struct k_txn *t, struct k_slot *s, uint32_t index, uint32_t node, int code) {
    if (index >= t->region->members || !k_is_bound(s) || !(s->rts & K_RTS_RMTOPER) || s->v_dnode != node) return K_OK;
    if (k_is_remote(s)) return cut_stand_in(t, s, index, code);
    return s->out_cmd == K_CMD_COPYRMT_RQST ? cut_requester(t, s, index, code) : K_OK;
}

/* ---- sending a piece -------------------------------------------------------------------------------------------------------- */

struct piece { uint32_t index, party, incarnation, call, cmd, done; uint64_t from; uint32_t bytes; bool last; };

/* Where the bytes are: with the requester itself, or with a party that is held still. */
static int find_source(const struct k_txn *t, const struct k_slot *q, struct piece *p) {
    if (!k_endpoint_decode(t->region, q->v_src, &p->party)) return K_SRCDIED;
    const struct k_slot *s = k_slot_at(t->region, p->party);
    if (!k_is_bound(s) || k_is_remote(s) || s->endpoint != q->v_src) return K_SRCDIED;
    p->incarnation = s->incarnation;
    return p->party == p->index || k_is_held_by(s, p->index) ? K_OK : K_PROCSTS;
}

static int cut_piece(const struct k_proxy *proxy, const struct k_txn *t, const struct k_slot *q, struct piece *p) {
    uint32_t most = k_piece_max(&proxy->region);
    p->call = q->out_call, p->cmd = q->out_cmd, p->done = q->v_done;
    if (q->v_bytes > t->region->limits.copy_len_max || q->v_done > q->v_bytes) return K_RANGE; /* damage */
    p->bytes = q->v_bytes - q->v_done < most ? q->v_bytes - q->v_done : most;
    p->last = q->v_done + p->bytes == q->v_bytes;
    p->from = k_wide(q->v_saddr) + q->v_done;
    return find_source(t, q, p);
}

static int read_piece(struct k_proxy *proxy, const struct piece *p, void *payload) {
    struct k_copy copy = {
        .src_slot = p->party, .dst_slot = K_NIL, .src_address = p->from, .dst_pid = proxy->pid, .dst_address = (uintptr_t)payload, .bytes = p->bytes,
    };
    if (!p->bytes) return K_OK;
    int code = k_believe(&proxy->region, &proxy->members, proxy->pid, p->party, &copy.src_pid, K_SRCDIED);
    return code == K_OK ? k_copy_trusted(&copy, proxy->pid, k_piece_max(&proxy->region), proxy->fallback, proxy->context) : code;
}

/* Nothing has changed while the bytes were read. */
static bool is_still(const struct k_proxy *proxy, const struct k_txn *t, const struct k_slot *q, const struct piece *p) {
    struct piece now = *p;
    if (q->px != proxy->px + 1 || q->out_cmd != p->cmd || q->out_call != p->call || q->v_done != p->done || !(q->rts & K_RTS_RMTOPER)) return false;
    return find_source(t, q, &now) == K_OK && now.party == p->party && now.incarnation == p->incarnation;
}

static void fill_piece(struct k_command *c, const struct piece *p, int code) {
    c->v.saddr += p->done, c->v.daddr += p->done;
    c->v.bytes = c->len = code == K_OK ? (int32_t)p->bytes : 0;
    c->flags = p->last || code != K_OK ? K_CMD_LAST : 0;
    c->rcode = code;
}

/* The piece is out. After the last, a requester waits for the acknowledgement. A stand-in has done its part, but if the bytes go to a
 * third node: should that be lost before it has them all, nobody else could tell the requester. */
static int advance(struct k_txn *t, struct k_slot *q, const struct piece *p, int code) {
    bool last = p->last || code != K_OK;
    k_set(t, &q->v_done, p->done + p->bytes);
    if (!last) k_outbox_rotate(t, q, p->index);
    if (last) k_outbox_leave(t, q, p->index);
    if (last && k_is_remote(q)) {
        k_release_parties(t, q);
        if (p->cmd != K_CMD_COPYIN_RQST || code != K_OK) k_set(t, &q->rts, q->rts & (K_RTS_REMOTE | K_RTS_ONCOPY));
    }
    return k_commit(t);
}

int k_take_piece(struct k_proxy *proxy, struct k_txn *t, struct k_slot *q, uint32_t index, struct k_command *c, void *payload, int lock_ms) {
    struct piece p = {.index = index};
    int code = cut_piece(proxy, t, q, &p);
    if (code == K_OK) {
        k_leave(t, NULL);
        code = read_piece(proxy, &p, payload);
        int entered = k_proxy_enter(proxy, t, K_PROXY_SENDER, lock_ms);
        if (entered != K_OK) return entered; /* nothing was done: the piece is still there to be taken */
        if (!is_still(proxy, t, q, &p)) return k_leave_with(t, K_MORE);
    }
    fill_piece(c, &p, code);
    return k_leave_with(t, advance(t, q, &p, code));
}
