/* fuzz.c: transitions on a damaged region, for AddressSanitizer: nothing may be touched outside it, and everything returns.
 *
 *     fuzz ROUNDS [SEED]      each round: a fresh VM, some operations, some damage, more operations, an audit
 *
 * The region is heap memory of exactly its size. One process acts for every slot, so nothing is random but the seed.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "damage.h"
#include "world.h"

enum { STEPS = 60, DAMAGES = 4, HANG_S = 60 };

static struct world w;
static struct random dice;
static uint64_t seed;

static uint32_t any_slot(void) { return random_below(&dice, w.region.members); }

static int32_t any_peer(void) {
    switch (random_below(&dice, 8)) {
    case 0: return K_ANY;
    case 1: return (int32_t)random_word(&dice);
    default: return world_endpoint(&w, any_slot());
    }
}

static void any_call(void) {
    static const uint32_t ops[] = {K_SEND, K_RECEIVE, K_RECEIVE, K_NOTIFY, K_SENDREC, K_RCVRQST, K_REPLY, K_RELAY};
    struct k_message message = {.source = any_peer(), .type = 1};
    uint32_t op = ops[random_below(&dice, 8)];
    struct k_call call = {
        .op = op, .peer = op == K_RCVRQST || random_below(&dice, 3) == 0 ? K_ANY : any_peer(), .message = &message, .flags = random_below(&dice, 4),
        .answers = random_below(&dice, 3), .value = random_below(&dice, 3), .as_p_nr = random_below(&dice, 4) ? INT32_MIN : (int32_t)random_below(&dice, 16) - 4,
    };
    uint32_t me = random_below(&dice, 12) ? any_slot() : K0;
    if (k_step(&w.region, me, &call, NULL) == K_BLOCKED) k_step_finish(&w.region, me, &call);
}

static void any_copy(void) {
    uint32_t src, dst, me = any_slot();
    if (k_step_copy_begin(&w.region, me, any_peer(), random_below(&dice, 2) ? K_SELF : any_peer(), 8, &src, &dst) == K_OK)
        if (random_below(&dice, 2)) k_step_copy_end(&w.region, me, NULL);
    if (random_below(&dice, 2)) k_step_copy_end(&w.region, any_slot(), NULL);
}

static void any_management(void) {
    uint64_t from[64] = {5}, to[64] = {7};
    struct k_priv_view view = {.id = random_below(&dice, 8), .warn = (int32_t)random_below(&dice, 12) - 3, .traps = UINT32_MAX, .calls = UINT64_MAX, .ipc_from = from, .ipc_to = to};
    struct k_slot copy;
    switch (random_below(&dice, 8)) {
    case 0: bind_slot(&w, any_slot(), getpid()); break;
    case 1: k_unbind(&w.region, K0, any_slot(), 0, K_SHUTDOWN, random_below(&dice, 2), LOCK_MS); break;
    case 2: k_step_unbind(&w.region, K0, any_slot(), 0, K_SHUTDOWN, true, LOCK_MS, NULL); break;
    case 3: k_step_wakeup(&w.region, K0, any_peer(), LOCK_MS, NULL); break;
    case 4: k_pay_debts(&w.region, random_below(&dice, w.region.slots + 2)); break;
    case 5: k_step_setpriv(&w.region, K0, any_slot(), 0, &view, LOCK_MS); break;
    case 6: k_step_getpriv(&w.region, K0, any_slot(), &view, LOCK_MS); break;
    default: k_step_snapshot(&w.region, K0, any_slot(), &copy, LOCK_MS);
    }
}

/* ---- between nodes ------------------------------------------------------------------------------------------------------- */

static uint8_t payload[8192], scratch[8192];

/* Bytes are written where the command says, never where the region does. */
static struct k_command any_command(void) {
    struct k_command c = {
        .cmd = (int32_t)(1 + random_below(&dice, 9)) | (random_below(&dice, 3) ? 0 : K_CMD_ACK), .vmid = 1, .src = any_peer(), .dst = any_peer(), .snode = 1,
        .rnode = 1, .call = random_below(&dice, 4), .answers = random_below(&dice, 4), .flags = random_below(&dice, 8),
        .v = {.src = any_peer(), .dst = any_peer(), .rqtr = any_peer(), .saddr = (uintptr_t)payload, .daddr = (uintptr_t)scratch, .bytes = 64},
    };
    c.rcode = random_below(&dice, 3) ? K_OK : K_DSTDIED;
    if (random_below(&dice, 12) == 0) c.cmd = K_CMD_CANCEL;
    if (k_cmd_has_message(c.cmd) || k_cmd_has_data(c.cmd)) c.len = 64;
    return c;
}

static void bind_remote(uint32_t slot) {
    struct k_bind bind = {.slot = slot, .kind = K_BIND_REMOTE, .node = 1, .want_endpoint = k_endpoint_encode(&w.region, slot, slot >= NR_SYSPROCS), .name = "far"};
    k_step_bind(&w.region, K0, &bind, LOCK_MS);
}

static void any_proxy_work(struct k_proxy *proxy) {
    struct k_command c = any_command();
    uint8_t skip = (uint8_t)random_below(&dice, 4);
    switch (random_below(&dice, 6)) {
    case 0: case 1: k_proxy_put(proxy, &c, payload, LOCK_MS); break;
    case 2: case 3: k_proxy_take(proxy, random_below(&dice, 2) ? &skip : NULL, &c, payload, LOCK_MS); break;
    case 4: k_proxy_arm(proxy, NULL, 1 + random_below(&dice, 3), LOCK_MS); break;
    default: k_bury_proxies(&w.region, K0, random_below(&dice, PROXIES), LOCK_MS);
    }
}

static void any_far(void) {
    struct k_proxy proxy;
    uint32_t slot = any_slot();
    switch (random_below(&dice, 8)) {
    case 0: k_step_route(&w.region, K0, random_below(&dice, NODES + 1), random_below(&dice, 3) ? 0x10003 : random_word(&dice), LOCK_MS); break;
    case 1: k_cut(&w.region, K0, random_below(&dice, NODES), K_NOTCONN, random_below(&dice, 2), LOCK_MS); break;
    case 2: k_unbind(&w.region, K0, slot, 0, K_SHUTDOWN, true, LOCK_MS); bind_remote(slot); break;
    case 3: k_step_copy_far(&w.region, slot, any_peer(), (uintptr_t)payload, any_peer(), (uintptr_t)scratch, random_below(&dice, 9000), NULL); break;
    default:
        require(k_proxy_open(&proxy, &w.region, random_below(&dice, PROXIES), 0) == K_OK);
        for (int i = 0; i < 4; i++) any_proxy_work(&proxy);
        k_proxy_close(&proxy);
    }
}

/* Somebody died with a redo record committed, and somebody else had written into it. */
static void any_recovery(void) {
    uint32_t dead = random_below(&dice, w.region.slots);
    struct k_slot *s = world_slot(&w, dead);
    s->redo_count = random_below(&dice, 4) ? random_below(&dice, K_REDO_PAIRS) : random_word(&dice);
    for (int i = 0; i < K_REDO_PAIRS; i++)
        s->redo[i] = (struct k_pair){damaged_offset(&dice, &w.region, true) + (random_below(&dice, 9) == 0), random_word(&dice)};
    k_header(&w.region)->commit = random_below(&dice, 4) ? dead + 1 : random_word(&dice);
}

static void any_handle_call(void) {
    struct k_handle h;
    struct k_message message = {0};
    uint32_t slot = any_slot();
    const struct k_slot *s = world_slot(&w, slot);
    struct k_call call = {.op = random_below(&dice, 2) ? K_RECEIVE : K_SENDREC, .peer = any_peer(), .message = &message, .as_p_nr = INT32_MIN};
    if (k_handle_open(&h, &w.region, slot, s->incarnation, s->endpoint, random_below(&dice, 2) * 1000) != K_OK) return;
    if (random_below(&dice, 3)) k_call(&h, &call, k_now_ns() + 20000);
    else if (k_call_start_reply_receive(&h, &call) == K_BLOCKED) k_call_cancel(&h, &call, K_INTR);
    k_handle_close(&h);
}

static void act(void) {
    switch (random_below(&dice, 20)) {
    case 0: any_copy(); break;
    case 1: case 2: case 3: any_management(); break;
    case 4: k_step_cancel(&w.region, any_slot(), K_TIMEDOUT, NULL); break;
    case 5: any_handle_call(); break;
    case 6: case 7: case 8: case 9: any_far(); break;
    default: any_call();
    }
}

static void ignore(void *context, const char *text) { (void)context, (void)text; }

/* A header that is not what it was: refused, or the same geometry as before. */
static void attach_damaged(void) {
    struct k_region region;
    uint32_t saved[K_LINE];
    memcpy(saved, w.region.base, sizeof saved);
    for (uint32_t i = 0; i < 1 + random_below(&dice, 2); i++) {
        uint32_t *word = (uint32_t *)(void *)(w.region.base + K_LINE + random_below(&dice, 20) * 4);
        *word = damaged_value(&dice, *word);
    }
    if (!k_region_attach(&region, w.region.base, w.bytes) && region.bytes > w.bytes) die("seed %lu: attached beyond the end", seed);
    memcpy(w.region.base, saved, sizeof saved);
}

static void play_round(void) {
    world_reset(&w);
    k_step_route(&w.region, K0, 1, K_ROUTE_VM | K_ROUTE_CONNECTED | 1u << K_ROUTE_PX_SHIFT, LOCK_MS);
    for (int i = 0; i < STEPS / 2; i++) act();
    attach_damaged();
    for (uint32_t i = random_below(&dice, DAMAGES); i < DAMAGES; i++) damage(&dice, &w.region, false);
    if (random_below(&dice, 4) == 0) any_recovery();
    for (int i = 0; i < STEPS; i++) {
        act();
        if (random_below(&dice, 16) == 0) damage(&dice, &w.region, false);
    }
    k_audit(&w.region, K1, ignore, NULL, LOCK_MS);
    k_vm_end(&w.region, K_VM_CORRUPT);
}

/* The round that hangs or crashes names itself. */
static void told(int number) {
    char text[100];
    int n = snprintf(text, sizeof text, "\nsignal %d; again: fuzz 1 %lu\n", number, seed);
    ssize_t written = write(2, text, (size_t)n);
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

int main(int argc, char **argv) {
    long rounds = argc > 1 ? atol(argv[1]) : 1000;
    seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    signal(SIGALRM, told);
    signal(SIGABRT, told);
    world_make(&w, true);
    for (long i = 0; i < rounds; i++, seed++) {
        dice.state = seed * 0x9E3779B97F4A7C15u;
        alarm(HANG_S);
        play_round();
    }
    free(w.region.base);
    printf("%ld rounds\n", rounds);
    return 0;
}
