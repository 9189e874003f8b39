/* takecopy.c: data for other nodes: reading a piece of a copy, and going on to the next.
 *
 * The bytes are read without the lock, straight from their owner's memory. If the copy was given up meanwhile, or its source went on, nothing of
 * the piece leaves: it counts only by the commit that comes after the reading.
 */
#include "farcopy.h"
#include "proxy.h"
#include "trust.h"

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
    if (code == K_OK && k_copy_mapped(proxy, copy.src_pid, p->from, payload, p->bytes, false, !p->done)) return K_OK;
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
        if (p->cmd != K_CMD_COPYIN_RQST) k_set(t, &q->rts, q->rts & (K_RTS_REMOTE | K_RTS_ONCOPY));
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
