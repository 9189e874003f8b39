/* handle.c: how an endpoint's owner makes a call: start, spin, sleep, time out.
 *
 * The wait itself is "try, then wait in a loop, and look again": the slot's rts tells whether the call has ended, never a wake-up
 * alone. A waiter first spins if the slot it waits for last ran on another CPU (waking an idle CPU costs far more than
 * the answer takes), then sets `waiting`, looks once more and sleeps on seq (k_step_sleep). It sleeps a second at most, so that a VM that ends,
 * or a wake-up lost by a damaged region, is noticed.
 */
#define _GNU_SOURCE
#include "handle.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"
#include "fork.h"
#include "kernel.h"

enum { SLEEP_MAX_NS = 1000000000, CANCEL_LOCK_NS = 100 * 1000000, SPIN_LOOKS = 16, FAR_SPIN_TENTHS = 25, NOWAIT_LOCK_NS = 10 * 1000000 };

uint32_t k_cpu_of(const struct k_region *region, int32_t endpoint) {
    uint32_t slot;
    return k_endpoint_decode(region, endpoint, &slot) ? atomic_load_explicit(&k_slot_at(region, slot)->cpu, memory_order_relaxed) : 0;
}

static inline struct k_slot *own_slot(const struct k_handle *h) {
    return k_slot_at(&h->region, h->slot);
}

/* ---- open, close ---------------------------------------------------------------------------------------------------------- */

/* Lazily backed memory, one entry a slot: untouched entries cost nothing. */
void *k_handle_table(const struct k_region *region, size_t entry) {
    void *at = mmap(NULL, region->members * entry, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

int k_handle_open(struct k_handle *h, const struct k_region *region, uint32_t slot, uint32_t incarnation, int32_t endpoint, uint32_t spin_ns) {
    if (slot >= region->members) return K_RANGE;
    uid_t euid = geteuid();
    *h = (struct k_handle){
        .region = *region, .slot = slot, .incarnation = incarnation, .endpoint = endpoint, .pid = getpid(),
        .fork_epoch = k_fork_epoch(), .spin_ns = spin_ns, .privileged = euid == 0 || euid == region->limits.owner_uid,
    };
    return K_OK;
}

void k_handle_close(struct k_handle *h) {
    if (h->accepted) munmap(h->accepted, h->region.members * sizeof *h->accepted);
    if (h->members) munmap(h->members, h->region.members * sizeof *h->members);
    h->accepted = NULL;
    h->members = NULL;
}

/* ---- one call at a time ------------------------------------------------------------------------------------------------------ */

static int check_owner(const struct k_handle *h) {
    const struct k_slot *s = own_slot(h);
    if (h->fork_epoch != k_fork_epoch()) return K_NOTBIND;
    int code = k_vm_code(&h->region);
    if (code != K_OK) return code;
    if (k_peek(&s->incarnation) != h->incarnation || k_peek(&s->rts) & (K_RTS_FREE | K_RTS_CLOSING)) return K_NOTBIND;
    return k_peek((const uint32_t *)&s->pid) == (uint32_t)h->pid ? K_OK : K_BADPID;
}

/* Leave the place that a timed-out call had to keep because the lock was stuck. */
static int pay_cancel(struct k_handle *h, struct k_txn *t) {
    int code = k_cancel_locked(t, h->slot, K_TIMEDOUT);
    if (code == K_BLOCKED) return K_NOTREADY; /* a copy still uses its memory */
    h->cancel_owed = false;
    return code == K_AGAIN ? K_OK : code;
}

int k_handle_claim(struct k_handle *h) {
    int code = check_owner(h);
    if (code != K_OK) return code;
    return atomic_exchange_explicit(&h->busy, 1, memory_order_acquire) ? K_NOTREADY : K_OK;
}

int k_handle_settle(struct k_handle *h) {
    struct k_txn t;
    int code = k_enter_as(&t, h, k_now_ns() + CANCEL_LOCK_NS, false);
    if (code == K_OK) code = k_leave_with(&t, pay_cancel(h, &t));
    return code == K_TIMEDOUT ? K_NOTREADY : code;
}

void k_handle_release(struct k_handle *h) {
    atomic_store_explicit(&h->busy, 0, memory_order_release);
}

/* ---- which call a reply answers ---------------------------------------------------------------------------------------------- */

static uint32_t incarnation_of(const struct k_handle *h, uint32_t slot) {
    return k_peek(&k_slot_at(&h->region, slot)->incarnation);
}

static void note_request(struct k_handle *h, const struct k_call *call) {
    uint32_t slot = k_peek(&own_slot(h)->last_peer); /* who sent it */
    if (slot >= h->region.members) return;
    if (!h->accepted && !(h->accepted = k_handle_table(&h->region, sizeof *h->accepted))) return;
    h->accepted[slot] = (uint64_t)incarnation_of(h, slot) << 32 | call->in_call;
}

/* The caller did not say: the last request accepted from there. After an exec nobody knows, and 0 lets it pass. */
static void fill_answers(const struct k_handle *h, struct k_call *call, int32_t client) {
    uint32_t slot;
    if (call->answers || !h->accepted || !k_endpoint_decode(&h->region, client, &slot)) return;
    if (h->accepted[slot] >> 32 == incarnation_of(h, slot)) call->answers = (uint32_t)h->accepted[slot];
}

static void forget_request(struct k_handle *h, int32_t client) {
    uint32_t slot;
    if (h->accepted && k_endpoint_decode(&h->region, client, &slot)) h->accepted[slot] = 0;
}

/* ---- start ------------------------------------------------------------------------------------------------------------------------ */

/* Pending notifications are dated by who takes them. */
static void date_notification(struct k_message *m) {
    int64_t seconds;
    struct timespec now;
    memcpy(&seconds, m->payload + 8, sizeof seconds);
    if (seconds) return;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t when[2] = {now.tv_sec, now.tv_nsec};
    memcpy(m->payload + 8, when, sizeof when);
}

/* The call is over: bookkeeping of what was received and answered, and the handle is free again. */
static int end_call(struct k_handle *h, struct k_call *call, int code) {
    if (code == K_OK) {
        if (call->answered) forget_request(h, call->op == K_RELAY ? call->message->source : call->peer);
        if (call->in_flags & K_IN_REQUEST) note_request(h, call); /* after: the answer to a sendrec may be a request itself */
        else if (call->in_flags & K_IN_NOTIFY) date_notification(call->message);
    }
    call->ended = true;
    k_handle_release(h);
    return code;
}

/* The first half of reply-and-receive. The second goes on whatever becomes of it. */
static void answer_first(struct k_handle *h, struct k_call *call, struct k_txn *t) {
    call->op = K_REPLY;
    call->reply_code = k_operate(t, call);
    if (call->reply_code == K_OK) forget_request(h, call->peer);
    t->damaged = false;
    t->pairs = 0;
    call->op = K_RECEIVE, call->peer = K_ANY, call->answers = 0;
    call->flags &= ~(uint32_t)K_CALL_TRACE;
    call->replies = call->answered = false;
}

static int start_locked(struct k_handle *h, struct k_call *call, int64_t deadline_ns, bool interruptible) {
    struct k_txn t;
    int code = k_enter_as(&t, h, deadline_ns, interruptible);
    if (code != K_OK) return code;
    if (__builtin_expect(h->cancel_owed, 0)) code = pay_cancel(h, &t);
    if (code == K_OK && call->replies) answer_first(h, call, &t);
    if (code == K_OK) code = k_operate(&t, call);
    k_leave(&t, NULL);
    call->started = true;
    return code;
}

static int start(struct k_handle *h, struct k_call *call, int64_t deadline_ns, bool interruptible) {
    uint32_t cpu = k_this_cpu();
    struct k_slot *s = own_slot(h);
    if (atomic_load_explicit(&s->cpu, memory_order_relaxed) != cpu) atomic_store_explicit(&s->cpu, cpu, memory_order_relaxed);
    return start_locked(h, call, deadline_ns, interruptible);
}

/* The peer's state is on its way while the lock is. */
static inline void look_ahead(const struct k_handle *h, const struct k_call *call) {
    uint32_t peer;
    if (k_endpoint_decode(&h->region, call->peer, &peer)) __builtin_prefetch(k_slot_at(&h->region, peer), 0);
}

int k_call_start(struct k_handle *h, struct k_call *call) {
    look_ahead(h, call);
    int code = k_handle_claim(h);
    call->in_flags = call->in_call = 0;
    call->started = call->ended = call->answered = call->slept = false;
    if (code != K_OK) return code;
    if (call->replies || call->op == K_REPLY || call->op == K_SEND || call->op == K_SENDREC) fill_answers(h, call, call->peer);
    else if (call->op == K_RELAY) fill_answers(h, call, call->message->source);
    code = start(h, call, K_LOCK_TRY, false);
    return code == K_BLOCKED || code == K_CONTENDED ? code : end_call(h, call, code);
}

int k_call_start_reply_receive(struct k_handle *h, struct k_call *call) {
    call->op = K_RECEIVE;
    call->replies = true;
    call->reply_code = K_OK;
    return k_call_start(h, call);
}

/* ---- wait --------------------------------------------------------------------------------------------------------------------------- */

/* The slot is no longer blocked: read how the call ended. */
static int outcome(struct k_handle *h, struct k_call *call) {
    int code = k_vm_code(&h->region);
    if (code != K_OK) return end_call(h, call, code);
    code = k_step_finish(&h->region, h->slot, call);
    atomic_thread_fence(memory_order_acquire); /* whoever binds the slot anew writes the incarnation before all else */
    return end_call(h, call, k_peek(&own_slot(h)->incarnation) == h->incarnation ? code : K_SHUTDOWN);
}

/* Spinning pays only if the other side runs on another CPU, where it can answer meanwhile: nanoseconds, 0 if it does not. For a
 * remote process that is where its commands were last put; an answer from there takes longer. */
static uint64_t worth_spinning(const struct k_handle *h, uint64_t ns) {
    uint32_t peer = k_peek(&own_slot(h)->last_peer);
    if (!h->spin_ns || peer >= h->region.members) return 0;
    const struct k_slot *p = k_slot_at(&h->region, peer);
    uint32_t cpu = atomic_load_explicit(&p->cpu, memory_order_relaxed);
    if (cpu == 0 || cpu == k_this_cpu()) return 0;
    if (ns < h->spin_ns) return ns;
    return k_peek(&p->rts) & K_RTS_REMOTE ? (uint64_t)h->spin_ns * FAR_SPIN_TENTHS / 10 : h->spin_ns;
}

/* No pause instruction between the looks: on some CPUs it takes as long as the line takes to arrive (14 % slower, measured). Reading
 * the clock after every few keeps the other side's line from being pulled away at every step of its work. */
int k_call_spin(struct k_handle *h, struct k_call *call, uint64_t ns) {
    const struct k_slot *s = own_slot(h);
    if (!k_is_blocked(s)) return outcome(h, call);
    uint64_t budget = worth_spinning(h, ns);
    if (!budget) return K_BLOCKED;
    for (int64_t until = 0, now = 0;; now = k_now_ns()) {
        if (now && !until) until = now + (int64_t)budget;
        if (until && now >= until) return K_BLOCKED;
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (!k_is_blocked(s)) {
                h->spins++;
                return outcome(h, call);
            }
            __builtin_prefetch(&s->message, 0); /* comes with the line that is looked at, not after it */
        }
    }
}

static int64_t time_left(int64_t deadline_ns) {
    if (deadline_ns == K_FOREVER) return SLEEP_MAX_NS;
    int64_t left = deadline_ns - k_now_ns();
    return left < SLEEP_MAX_NS ? left : SLEEP_MAX_NS;
}

/* Leave the tables by the deadline, come what may: with the lock stuck the place stays taken until the handle's next call. */
static int time_out(struct k_handle *h, struct k_call *call, int verdict) {
    struct k_txn t;
    int code = k_enter_as(&t, h, k_now_ns() + CANCEL_LOCK_NS, false);
    if (code == K_OK) {
        code = k_cancel_locked(&t, h->slot, verdict);
        k_leave(&t, NULL);
        if (code == K_BLOCKED) return K_BLOCKED;
        if (code == K_AGAIN) return outcome(h, call);
        if (code == K_OK) code = verdict;
    } else if (code == K_TIMEDOUT) {
        h->cancel_owed = true;
        code = verdict;
    }
    return end_call(h, call, code);
}

static int wait_started(struct k_handle *h, struct k_call *call, int64_t deadline_ns) {
    struct k_slot *s = own_slot(h);
    while (k_is_blocked(s) && k_peek(&s->incarnation) == h->incarnation) {
        int64_t left = time_left(deadline_ns);
        if (left <= 0) {
            int code = time_out(h, call, K_TIMEDOUT);
            if (code != K_BLOCKED) return code;
            deadline_ns = K_FOREVER; /* the verdict stands: only the end of the copy is awaited */
            continue;
        }
        h->sleeps++;
        call->slept = true;
        int slept = k_step_sleep(&h->region, h->slot, left);
        if (slept == K_RESTARTSYS) return K_RESTARTSYS;
        int code = k_vm_code(&h->region);
        if (code != K_OK) return end_call(h, call, code);
        if (slept == K_TIMEDOUT && left == SLEEP_MAX_NS) return K_BLOCKED;
    }
    return outcome(h, call);
}

int k_call_nap(struct k_handle *h, struct k_call *call, int64_t ns) {
    h->sleeps++;
    call->slept = true;
    int slept = k_step_sleep(&h->region, h->slot, ns);
    if (!k_is_blocked(own_slot(h))) return outcome(h, call);
    return slept == K_RESTARTSYS ? K_RESTARTSYS : K_BLOCKED;
}

int k_call_wait(struct k_handle *h, struct k_call *call, int64_t deadline_ns) {
    int code = K_BLOCKED;
    if (!call->started) {
        bool nowait = call->flags & K_CALL_NOWAIT;
        code = start(h, call, nowait ? k_now_ns() + NOWAIT_LOCK_NS : deadline_ns, true);
        if (code == K_RESTARTSYS) return code;
        if (code == K_TIMEDOUT && nowait) code = K_AGAIN;
        if (code != K_BLOCKED) return end_call(h, call, code);
    }
    if (!call->slept) code = k_call_spin(h, call, h->spin_ns);
    return code == K_BLOCKED ? wait_started(h, call, deadline_ns) : code;
}

int k_call_cancel(struct k_handle *h, struct k_call *call, int verdict) {
    if (!call->started) return end_call(h, call, verdict);
    int code = time_out(h, call, verdict);
    while (!call->ended) code = wait_started(h, call, K_FOREVER);
    return code;
}

int k_call(struct k_handle *h, struct k_call *call, int64_t deadline_ns) {
    int code = k_call_start(h, call);
    while (code == K_BLOCKED || code == K_CONTENDED) code = k_call_wait(h, call, deadline_ns);
    return code == K_RESTARTSYS && !call->ended ? k_call_cancel(h, call, K_RESTARTSYS) : code;
}

int k_handle_interrupt(struct k_handle *h) {
    struct k_txn t;
    if (!atomic_load(&h->busy) || h->fork_epoch != k_fork_epoch()) return K_AGAIN;
    uint32_t me = h->region.members + K_KERNEL_SLOTS - 1; /* not the owner's record: it may owe wake-ups of its own just now */
    int code = k_enter(&t, &h->region, me, k_now_ns() + CANCEL_LOCK_NS);
    if (code != K_OK) return code;
    t.incarnation = h->incarnation;
    code = k_cancel_locked(&t, h->slot, K_INTR);
    k_leave(&t, NULL);
    return code;
}
