/* proxy.c: the sender proxy's half: taking commands, the doorbell, and what is left when proxies die.
 *
 * Taking is a transition like any other: the command leaves the queue and its caller's state moves on in one commit, so a proxy that
 * dies has taken a command or has not. What it had taken and not sent is lost with it, and noded ends those calls (cut.c). A
 * proxy that finds nothing arms, under the lock, and sleeps: whoever queues next rings; or, of several that it would rather take
 * together, the last.
 */
#include "proxy.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handle.h"

/* ---- open, close ------------------------------------------------------------------------------------------------------ */

int k_proxy_open(struct k_proxy *proxy, const struct k_region *region, uint32_t px, uint32_t node) {
    if (px >= region->limits.nr_proxies) return K_BADNODEID;
    *proxy = (struct k_proxy){.region = *region, .px = px, .node = node, .pid = getpid()};
    return K_OK;
}

void k_proxy_close(struct k_proxy *proxy) {
    k_windows_close(&proxy->windows);
    if (proxy->members) munmap(proxy->members, proxy->region.members * sizeof *proxy->members);
    proxy->members = NULL;
}

uint32_t k_proxy_room(const struct k_proxy *proxy) {
    uint32_t piece = k_piece_max(&proxy->region);
    return piece > sizeof(struct k_message) ? piece : (uint32_t)sizeof(struct k_message);
}

/* Whom a piece of data was written to: its bytes are there, or the lock could not be had when they were. */
static int let_go(struct k_txn *t) {
    struct k_slot *me = k_me(t);
    if (!me->copy_src && !me->copy_dst) return K_OK;
    k_release_parties(t, me);
    return k_commit(t);
}

int k_proxy_enter(const struct k_proxy *proxy, struct k_txn *t, enum k_proxy_role role, int lock_ms) {
    struct k_region *region = (struct k_region *)(uintptr_t)&proxy->region;
    int code = k_enter(t, region, k_proxy_slot(region, proxy->px, role), K_LOCK_TRY);
    if (code == K_CONTENDED) code = k_enter(t, region, k_proxy_slot(region, proxy->px, role), k_lock_deadline(lock_ms));
    if (code != K_OK) return code;
    code = k_vm_code(region);
    if (code == K_OK) code = let_go(t);
    return code == K_OK ? K_OK : k_leave_with(t, code);
}

static struct k_slot *queue_of(const struct k_proxy *proxy) {
    return k_slot_at(&proxy->region, k_proxy_slot(&proxy->region, proxy->px, K_PROXY_SENDER));
}

/* ---- the doorbell ------------------------------------------------------------------------------------------------------- */

bool k_proxy_ready(const struct k_proxy *proxy) {
    return k_peek(&queue_of(proxy)->px_head) != K_NIL;
}

/* ---- finding the next command ------------------------------------------------------------------------------------------- */

static bool is_skipped(const struct k_region *region, const struct k_slot *s, const uint8_t *skip) {
    return skip && s->out_node < region->limits.nr_nodes && skip[s->out_node / 8] >> s->out_node % 8 & 1;
}

/* The oldest in the queue that is not for a node to be skipped; NULL: none. */
static struct k_slot *next_command(struct k_txn *t, const struct k_proxy *proxy, const uint8_t *skip, uint32_t *index) {
    uint32_t places = t->region->members + K_KERNEL_SLOTS;
    *index = queue_of(proxy)->px_head;
    for (uint32_t steps = 0; *index != K_NIL && steps <= places; steps++) {
        struct k_slot *s = k_outbox_at(t, *index);
        if (!s) return NULL;
        if (s->px != proxy->px + 1) break;
        if (!is_skipped(t->region, s, skip)) return s;
        *index = s->px_next;
    }
    if (*index != K_NIL) t->damaged = true; /* another queue's, or a circle */
    return NULL;
}

/* ---- arming ------------------------------------------------------------------------------------------------------------- */

/* What waits for nodes that are skipped does not keep the proxy from sleeping. */
static int arm(struct k_txn *t, const struct k_proxy *proxy, const uint8_t *skip, uint32_t commands) {
    uint32_t index;
    struct k_slot *queue = queue_of(proxy);
    if (next_command(t, proxy, skip, &index)) return K_AGAIN;
    if (t->damaged) return K_BADVMID;
    if (queue->armed == commands) return K_OK;
    k_set(t, &queue->armed, commands);
    return k_commit(t);
}

void k_proxy_rest(struct k_proxy *proxy) {
    k_windows_sweep(&proxy->windows);
}

int k_proxy_arm(struct k_proxy *proxy, const uint8_t *skip, uint32_t commands, int lock_ms) {
    struct k_txn t;
    if (!skip && k_proxy_ready(proxy)) return K_AGAIN;
    k_proxy_rest(proxy);
    int code = k_proxy_enter(proxy, &t, K_PROXY_SENDER, lock_ms);
    return code == K_OK ? k_leave_with(&t, arm(&t, proxy, skip, commands)) : code;
}

/* ---- one command ----------------------------------------------------------------------------------------------------------- */

/* The incarnation of the process that a command comes from, if it is one of this node. */
static uint32_t source_incarnation(const struct k_region *region, int32_t source) {
    uint32_t index;
    if (!k_endpoint_decode(region, source, &index)) return 0;
    const struct k_slot *s = k_slot_at(region, index);
    return k_is_bound(s) && !k_is_remote(s) && s->endpoint == source ? s->incarnation : 0;
}

static void fill_copy(struct k_command *c, const struct k_slot *s) {
    c->v.src = s->v_src, c->v.dst = s->v_dst, c->v.rqtr = s->v_rqtr;
    if (k_is_remote(s)) c->rnode = s->v_rnode;
    c->v.saddr = k_wide(s->v_saddr), c->v.daddr = k_wide(s->v_daddr), c->v.bytes = (int32_t)s->v_bytes;
}

void k_fill_command(const struct k_proxy *proxy, const struct k_slot *s, struct k_command *c) {
    *c = (struct k_command){
        .cmd = (int32_t)s->out_cmd, .vmid = (int32_t)proxy->region.limits.vmid, .src = s->out_src, .dst = s->out_dst,
        .snode = (int32_t)proxy->node, .dnode = (int32_t)s->out_node, .rcode = s->out_code, .flags = s->out_flags,
        .call = s->out_call, .answers = s->out_answers, .rnode = proxy->node, .incarnation = source_incarnation(&proxy->region, s->out_src),
    };
    if (c->cmd == K_CMD_NTFY_MSG) c->v.bytes = (int32_t)s->out_value;
    if (c->cmd == K_CMD_CANCEL) c->v.rqtr = c->src;
    if (k_cmd_is_copy(c->cmd) || (c->cmd == K_CMD_CANCEL && k_is_remote(s))) fill_copy(c, s);
    if (k_cmd_has_data(c->cmd) && c->rcode != K_OK) c->v.bytes = 0;
    if (k_cmd_has_message(c->cmd)) c->len = (int32_t)sizeof s->message;
}

static void fill_message(const struct k_slot *s, struct k_command *c, void *payload) {
    struct k_message message = s->message;
    message.source = c->src;
    memcpy(payload, &message, sizeof message);
    if (c->flags & K_CMD_TRACE) memcpy(c->trace, k_is_remote(s) ? s->in_trace : s->trace, sizeof c->trace);
}

/* ---- what taking it means for its caller -------------------------------------------------------------------------------------- */

/* The client whose answer this is waits no longer: what it gets is on its way. */
static void release_client(struct k_txn *t, const struct k_slot *s) {
    uint32_t ci;
    if (!k_endpoint_decode(t->region, s->out_dst, &ci)) return;
    struct k_slot *c = k_slot_at(t->region, ci), *server = k_slot_at(t->region, k_slot_index(t->region, s));
    if (!k_is_remote(c) || !k_awaits_reply(c) || c->getfrom != s->endpoint || c->remote_call != s->out_answers) return;
    k_waiters_remove(t, server, c, ci);
    k_set(t, &c->rts, c->rts & (K_RTS_REMOTE | K_RTS_ONCOPY));
}

/* From the requests of its destination to those who wait for it. */
static void await_answer(struct k_txn *t, struct k_slot *s, uint32_t index) {
    uint32_t di;
    uint32_t both = K_RTS_SENDING | K_RTS_RECEIVING;
    if ((s->rts & both) != both || !k_endpoint_decode(t->region, s->sendto, &di)) return;
    struct k_slot *d = k_slot_at(t->region, di);
    k_queue_remove(t, k_requests(d), s, index);
    k_waiters_push(t, d, s, index);
    k_set(t, &s->rts, (s->rts & K_RTS_ONCOPY) | K_RTS_RECEIVING);
}

static void end_notify(struct k_txn *t, struct k_slot *s, uint32_t index) {
    if (!(s->rts & K_RTS_SENDING) || !k_leave_list(t, s, index)) return;
    k_end_wait(t, s, index, K_OK, 0);
}

static void move_on(struct k_txn *t, struct k_slot *s, uint32_t index) {
    if (index >= t->region->members || s->rts & (K_RTS_FREE | K_RTS_CLOSING | K_RTS_REMOTE)) return;
    if (s->out_cmd == K_CMD_NTFY_MSG) end_notify(t, s, index);
    if (s->out_cmd == K_CMD_REPLY_MSG || s->out_cmd == K_CMD_SNDREC_MSG) release_client(t, s);
    if (s->out_cmd == K_CMD_SNDREC_MSG) await_answer(t, s, index);
}

/* K_MORE: it makes no sense, and was dropped. */
static int take_command(struct k_txn *t, struct k_slot *s, uint32_t index, struct k_command *c, void *payload) {
    bool sane = !k_command_fault(c) && s->out_node < t->region->limits.nr_nodes;
    if (c->len) fill_message(s, c, payload);
    k_outbox_leave(t, s, index);
    if (sane) move_on(t, s, index);
    int code = k_commit(t);
    return code != K_OK || sane ? code : K_MORE;
}

static int take_next(struct k_proxy *proxy, const uint8_t *skip, struct k_command *c, void *payload, int lock_ms) {
    struct k_txn t;
    uint32_t index;
    int code = k_proxy_enter(proxy, &t, K_PROXY_SENDER, lock_ms);
    if (code != K_OK) return code;
    struct k_slot *s = next_command(&t, proxy, skip, &index);
    if (!s) return k_leave_with(&t, t.damaged ? K_BADVMID : K_AGAIN);
    k_fill_command(proxy, s, c);
    if (k_cmd_has_data(c->cmd) && c->rcode == K_OK) return k_take_piece(proxy, &t, s, index, c, payload, lock_ms);
    return k_leave_with(&t, take_command(&t, s, index, c, payload));
}

int k_proxy_take(struct k_proxy *proxy, const uint8_t *skip, struct k_command *c, void *payload, int lock_ms) {
    uint32_t tries = proxy->region.slots; /* commands that are dropped, copies given up while their bytes were read */
    int code = K_MORE;
    while (code == K_MORE && tries--) code = take_next(proxy, skip, c, payload, lock_ms);
    return code == K_MORE ? K_AGAIN : code;
}

/* ---- burying ------------------------------------------------------------------------------------------------------------------ */

static int release_held(struct k_region *region, uint32_t me, uint32_t slot, int lock_ms) {
    struct k_txn t;
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    if (code != K_OK) return code;
    struct k_slot *s = k_slot_at(region, slot);
    k_release_parties(&t, s);
    if (s->armed) k_set(&t, &s->armed, 0);
    code = k_commit(&t);
    k_leave(&t, NULL);
    return code;
}

int k_bury_proxies(struct k_region *region, uint32_t me, uint32_t px, int lock_ms) {
    if (px >= region->limits.nr_proxies) return K_BADNODEID;
    for (enum k_proxy_role role = K_PROXY_SENDER; role <= K_PROXY_RECEIVER; role++) {
        uint32_t slot = k_proxy_slot(region, px, role);
        k_pay_debts(region, slot);
        int code = release_held(region, me, slot, lock_ms);
        if (code != K_OK) return code;
    }
    return K_OK;
}
