/* audit.c: every invariant of a VM, checked under the lock. Written from the layout's description, not from the code. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "farcopy.h"
#include "trust.h"

enum { FAULTS_MAX = 1000 }; /* enough to know; keeps the audit of a wrecked region short */

struct audit {
    const struct k_region *region;
    void (*report)(void *context, const char *text);
    void *context;
    int found;
    uint8_t *listed;    /* by slot: in how many lists it was met */
    uint32_t *out;      /* by slot: notifications of its that wait somewhere */
    uint8_t *queued;    /* by slot, the kernel's too: in how many queues of proxies it was met */
};

__attribute__((format(printf, 2, 3))) static void fault(struct audit *a, const char *format, ...) {
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    a->found++;
    if (a->report) a->report(a->context, text);
}

/* ---- lists ------------------------------------------------------------------------------------------------------------ */

typedef bool belongs(const struct k_slot *member, int32_t owner_endpoint);

/* It has asked a process of another node for a copy, or for one with its help. */
static bool asks_for_copy(const struct k_slot *m) {
    return m->rts & K_RTS_RMTOPER && !k_is_remote(m);
}

static bool is_sender(const struct k_slot *m, int32_t owner) {
    return ((m->rts & (K_RTS_SENDING | K_RTS_RECEIVING)) == K_RTS_SENDING || asks_for_copy(m)) && m->sendto == owner;
}

static bool is_request(const struct k_slot *m, int32_t owner) {
    uint32_t both = K_RTS_SENDING | K_RTS_RECEIVING;
    return (m->rts & both) == both && m->sendto == owner && m->getfrom == owner && m->call;
}

static bool is_waiter(const struct k_slot *m, int32_t owner) {
    return (m->rts & (K_RTS_SENDING | K_RTS_RECEIVING)) == K_RTS_RECEIVING && m->getfrom == owner;
}

/* Follow a list to its end: members in range, linked back, of the right kind, and its last the tail. */
static void audit_list(struct audit *a, uint32_t owner, const char *name, uint32_t head, const uint32_t *tail, belongs *right) {
    const struct k_slot *o = k_slot_at(a->region, owner);
    uint32_t previous = K_NIL, at = head;
    for (uint32_t steps = 0; at != K_NIL; steps++) {
        const struct k_slot *m = k_slot_checked(a->region, at);
        if (!m || steps > a->region->members) {
            fault(a, "slot %u: its %s lead nowhere or in a circle (at %u)", owner, name, at);
            return;
        }
        if (m->prev != previous) fault(a, "slot %u: in %s of %u, but linked back to %u instead of %u", at, name, owner, m->prev, previous);
        if (!right(m, o->endpoint)) fault(a, "slot %u: in %s of %u, but in state %#x for %d/%d", at, name, owner, m->rts, m->sendto, m->getfrom);
        if (a->listed[at] < 255) a->listed[at]++;
        previous = at;
        at = m->next;
    }
    if (tail && *tail != previous) fault(a, "slot %u: the tail of its %s is %u, the last is %u", owner, name, *tail, previous);
}

static void audit_tickets(struct audit *a, uint32_t owner, uint32_t head) {
    const struct k_slot *m = k_slot_checked(a->region, head), *next;
    for (uint32_t steps = 0; m && steps < a->region->members; steps++, m = next) {
        next = k_slot_checked(a->region, m->next);
        if (next && (int32_t)(next->ticket - m->ticket) <= 0) fault(a, "slot %u: its queue is out of order", owner);
    }
}

/* ---- one slot ------------------------------------------------------------------------------------------------------------ */

static bool in_one_list(const struct k_slot *s) {
    return s->rts & K_RTS_SENDING || asks_for_copy(s) || (s->rts & K_RTS_RECEIVING && s->getfrom != K_ANY);
}

static void audit_free(struct audit *a, uint32_t i, const struct k_slot *s) {
    if (s->rts != K_RTS_FREE) fault(a, "slot %u: free and something else (%#x)", i, s->rts);
    if ((s->waiters & s->senders_head & s->requests_head & s->notes_head) != K_NIL || s->summary)
        fault(a, "slot %u: free, but somebody or something waits at it", i);
}

static void audit_bound(struct audit *a, uint32_t i, const struct k_slot *s) {
    uint32_t decoded;
    if (!k_endpoint_decode(a->region, s->endpoint, &decoded) || decoded != i) fault(a, "slot %u: its endpoint %d is another slot's", i, s->endpoint);
    if (s->rts & K_RTS_REQUESTS && !(s->rts & K_RTS_RECEIVING)) fault(a, "slot %u: takes requests only, but receives nothing", i);
    if (s->incarnation == 0) fault(a, "slot %u: bound without an incarnation", i);
    if (s->rts & K_RTS_RECEIVING && s->senders_head != K_NIL && s->getfrom == K_ANY && !(s->rts & K_RTS_REQUESTS))
        fault(a, "slot %u: waits for anybody while somebody is queued", i);
}

static bool copied_by_someone(const struct audit *a, uint32_t i, uint32_t incarnation) {
    for (uint32_t j = 0; j < a->region->slots; j++) {
        const struct k_slot *r = k_slot_at(a->region, j);
        bool member = j < a->region->members; /* or a proxy */
        if (j == i || (member && r->rts & (K_RTS_FREE | K_RTS_RMTOPER))) continue;
        if ((r->copy_src == i + 1 && r->copy_src_incarnation == incarnation) || (r->copy_dst == i + 1 && r->copy_dst_incarnation == incarnation)) return true;
    }
    return false;
}

static void audit_held(struct audit *a, uint32_t i, const struct k_slot *s) {
    const struct k_slot *q = k_slot_checked(a->region, s->holder - 1);
    bool named = q && q->rts & K_RTS_RMTOPER && ((q->copy_src == i + 1 && q->copy_src_incarnation == s->incarnation)
                                                 || (q->copy_dst == i + 1 && q->copy_dst_incarnation == s->incarnation));
    if (!named) fault(a, "slot %u: held by slot %u, which does not copy from or to it", i, s->holder - 1);
    if (!(s->rts & K_RTS_RECEIVING)) fault(a, "slot %u: held, but receives nothing (%#x)", i, s->rts);
}

static void audit_remote(struct audit *a, uint32_t i, const struct k_slot *s) {
    uint32_t calls = s->rts & (K_RTS_SENDING | K_RTS_RECEIVING), known = K_RTS_REMOTE | K_RTS_SENDING | K_RTS_RECEIVING | K_RTS_RMTOPER;
    if (s->rts & ~known || (calls && s->rts & K_RTS_RMTOPER)) fault(a, "slot %u: remote, and in state %#x", i, s->rts);
    if (calls && s->px) fault(a, "slot %u: its call is under way here, and something goes back to it", i);
    if (calls == K_RTS_RECEIVING && !s->call) fault(a, "slot %u: remote, and waits here without having called", i);
}

/* It waits for one that is being unbound: whether that was remote is no longer known. */
static bool waits_for_closing(const struct audit *a, const struct k_slot *s) {
    uint32_t peer;
    int32_t whom = s->rts & (K_RTS_SENDING | K_RTS_RMTOPER) ? s->sendto : s->getfrom;
    return in_one_list(s) && k_endpoint_decode(a->region, whom, &peer) && k_slot_at(a->region, peer)->rts & K_RTS_CLOSING;
}

/* What a process of this node has for another one. */
static void audit_local(struct audit *a, uint32_t i, const struct k_slot *s) {
    uint32_t peer, both = K_RTS_SENDING | K_RTS_RECEIVING;
    bool abroad = k_waits_abroad(a->region, s, &peer);
    if (waits_for_closing(a, s)) return;
    if (abroad && (s->rts & both) == both && !s->px) fault(a, "slot %u: its request was taken, but it does not wait for the answer", i);
    if (!abroad && s->px && s->out_cmd != K_CMD_CANCEL) fault(a, "slot %u: command %u of its is queued, but it waits for none", i, s->out_cmd);
    if (asks_for_copy(s) && !abroad) fault(a, "slot %u: waits for a copy, but for no remote process", i);
}

static void audit_slot(struct audit *a, uint32_t i) {
    const struct k_slot *s = k_slot_at(a->region, i);
    if (s->self != i) fault(a, "slot %u: says that it is slot %u", i, s->self);
    if (s->rts & K_RTS_FREE) {
        audit_free(a, i, s);
        return;
    }
    audit_bound(a, i, s);
    if (s->rts & K_RTS_HELD) audit_held(a, i, s);
    if (!(s->rts & K_RTS_CLOSING)) (k_is_remote(s) ? audit_remote : audit_local)(a, i, s);
    if (s->rts & K_RTS_ONCOPY && !copied_by_someone(a, i, s->incarnation)) fault(a, "slot %u: on copy, but nobody copies", i);
    audit_list(a, i, "senders", s->senders_head, &s->senders_tail, is_sender);
    audit_list(a, i, "requests", s->requests_head, &s->requests_tail, is_request);
    audit_list(a, i, "waiters", s->waiters, NULL, is_waiter);
    audit_tickets(a, i, s->senders_head);
    audit_tickets(a, i, s->requests_head);
}

static void audit_membership(struct audit *a, uint32_t i) {
    const struct k_slot *s = k_slot_at(a->region, i);
    unsigned want = !(s->rts & (K_RTS_FREE | K_RTS_CLOSING)) && in_one_list(s);
    if (a->listed[i] != want) fault(a, "slot %u: in %u lists instead of %u (state %#x)", i, a->listed[i], want, s->rts);
}

/* ---- proxies ----------------------------------------------------------------------------------------------------------------- */

static void audit_queue(struct audit *a, uint32_t px) {
    const struct k_slot *p = k_slot_at(a->region, k_proxy_slot(a->region, px, K_PROXY_SENDER));
    uint32_t previous = K_NIL, at = p->px_head, places = a->region->members + K_KERNEL_SLOTS;
    for (uint32_t steps = 0; at != K_NIL; steps++) {
        const struct k_slot *m = at < places ? k_slot_at(a->region, at) : NULL;
        if (!m || steps > places) {
            fault(a, "proxy pair %u: its queue leads nowhere or in a circle (at %u)", px, at);
            return;
        }
        if (m->px_prev != previous || m->px != px + 1) fault(a, "slot %u: in the queue of proxy pair %u, but linked to %u of %u", at, px, m->px_prev, m->px - 1);
        if (a->queued[at] < 255) a->queued[at]++;
        previous = at;
        at = m->px_next;
    }
    if (p->px_tail != previous) fault(a, "proxy pair %u: the tail of its queue is %u, the last is %u", px, p->px_tail, previous);
}

static void audit_proxies(struct audit *a) {
    for (uint32_t px = 0; px < a->region->limits.nr_proxies; px++) audit_queue(a, px);
    for (uint32_t i = 0; i < a->region->members + K_KERNEL_SLOTS; i++) {
        unsigned want = k_slot_at(a->region, i)->px != 0;
        if (a->queued[i] != want) fault(a, "slot %u: in %u queues of proxies instead of %u", i, a->queued[i], want);
    }
}

/* ---- notifications ---------------------------------------------------------------------------------------------------------- */

static void audit_bits(struct audit *a, uint32_t i) {
    const struct k_slot *s = k_slot_at(a->region, i);
    if (s->rts & K_RTS_FREE) return;
    for (uint32_t w = 0; w < a->region->map_words * 2; w++) {
        uint32_t word = k_pending(a->region, i)[w];
        if ((word != 0) != (s->summary >> w & 1)) fault(a, "slot %u: summary and pending word %u disagree", i, w);
        for (; word; word &= word - 1) {
            uint32_t source = w * 32 + (uint32_t)__builtin_ctz(word);
            if (!k_is_system(a->region, source)) fault(a, "slot %u: a pending bit for slot %u, which is no system slot", i, source);
            else a->out[source]++;
        }
    }
}

/* Records in the slot's list; returns how many. */
static uint32_t audit_records(struct audit *a, uint32_t i) {
    const struct k_slot *s = k_slot_at(a->region, i);
    uint32_t previous = K_NIL, at = s->notes_head, n = 0;
    if (s->rts & K_RTS_FREE) return 0;
    for (; at != K_NIL && n <= a->region->limits.notes; n++) {
        const struct k_note *note = k_note_checked(a->region, at);
        if (!note || note->dst != i || note->prev != previous || note->src >= a->region->members) {
            fault(a, "slot %u: notification record %u is not its own", i, at);
            return n;
        }
        if (!note->posthumous) a->out[note->src]++;
        previous = at;
        at = note->next;
    }
    if (s->notes_tail != previous) fault(a, "slot %u: the tail of its notifications is %u, the last is %u", i, s->notes_tail, previous);
    return n;
}

static uint32_t count_chain(struct audit *a, uint32_t head, bool free) {
    uint32_t n = 0;
    for (uint32_t at = head; at != K_NIL; n++) {
        const struct k_note *note = k_note_checked(a->region, at);
        if (!note || n > a->region->limits.notes || (note->dst == K_NIL) != free) {
            fault(a, "notification record %u: in a chain that it does not belong to", at);
            return n;
        }
        at = note->chain;
    }
    return n;
}

static void audit_pool(struct audit *a, uint32_t listed) {
    const struct k_header *h = k_header(a->region);
    uint32_t unused = count_chain(a, h->note_free, true), hashed = 0;
    for (uint32_t b = 0; b < a->region->buckets; b++) hashed += count_chain(a, *k_bucket_at(a->region, b), false);
    if (listed != hashed || hashed != h->notes_used || hashed + unused != a->region->limits.notes)
        fault(a, "notification records: %u listed, %u hashed, %u counted, %u free of %u", listed, hashed, h->notes_used, unused, a->region->limits.notes);
}

static void audit_outgoing(struct audit *a, uint32_t i) {
    const struct k_slot *s = k_slot_at(a->region, i);
    if (s->notes_out != a->out[i]) fault(a, "slot %u: counts %u notifications under way, there are %u", i, s->notes_out, a->out[i]);
}

/* ---- all ------------------------------------------------------------------------------------------------------------------------ */

static void audit_all(struct audit *a) {
    uint32_t bound = 0, listed = 0;
    for (uint32_t i = 0; i < a->region->members && a->found < FAULTS_MAX; i++) {
        audit_slot(a, i);
        audit_bits(a, i);
        listed += audit_records(a, i);
        bound += !(k_slot_at(a->region, i)->rts & K_RTS_FREE);
    }
    if (a->found >= FAULTS_MAX) return;
    for (uint32_t i = 0; i < a->region->members; i++) {
        audit_membership(a, i);
        audit_outgoing(a, i);
    }
    audit_pool(a, listed);
    audit_proxies(a);
    if (bound != k_header(a->region)->bound) fault(a, "header: counts %u bound slots, there are %u", k_header(a->region)->bound, bound);
}

int k_audit(struct k_region *region, uint32_t me, void (*report)(void *context, const char *text), void *context, int lock_ms) {
    struct k_txn t;
    struct audit a = {.region = region, .report = report, .context = context};
    a.listed = calloc(region->members, 1);
    a.out = calloc(region->members, sizeof *a.out);
    a.queued = calloc(region->slots, 1);
    int code = a.listed && a.out && a.queued ? k_enter(&t, region, me, k_lock_deadline(lock_ms)) : K_NOMEM;
    if (code == K_OK) {
        audit_all(&a);
        k_leave(&t, NULL);
        code = a.found;
    }
    free(a.listed);
    free(a.out);
    free(a.queued);
    return code;
}
