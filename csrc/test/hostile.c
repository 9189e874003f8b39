/* hostile.c: records from a node that says anything: decoded and put, whatever they are. The VM stays sound.
 *
 *     hostile RECORDS [SEED]
 *
 * A round is a fresh VM in which local processes call and proxies take, while records come in: made of plausible parts, often with
 * some bytes changed, cut short or lengthened. After each round the audit must be clean: nothing that comes over the network may
 * damage a VM. Where bytes are written is always a scratch area, since the one process here plays all the others.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "damage.h"
#include "world.h"

enum { A_ROUND = 60, HANG_S = 60, SCRATCH = 1 << 16, ROOM = K_WIRE_HEADER + 8192 };

static struct world w;
static struct random dice;
static uint64_t seed, records, accepted;
static uint8_t scratch[SCRATCH], record[ROOM], taken[1 << 20];
static struct k_proxy proxy;

static uint32_t below(uint32_t n) { return random_below(&dice, n); }

/* ---- records -------------------------------------------------------------------------------------------------------------- */

/* The endpoints there are: of this node's processes, of known and of unknown remote ones, and of nobody. */
static int32_t any_endpoint(void) {
    uint32_t slot = below(w.region.members);
    switch (below(8)) {
    case 0: return k_endpoint_encode(&w.region, slot, below(3));
    case 1: return (int32_t)random_word(&dice);
    case 2: return K_ANY;
    default: return world_endpoint(&w, slot);
    }
}

static int32_t any_cmd(void) {
    static const int32_t cmds[] = {
        K_CMD_SEND_MSG, K_CMD_NTFY_MSG, K_CMD_SNDREC_MSG, K_CMD_REPLY_MSG, K_CMD_COPYIN_DATA, K_CMD_COPYOUT_RQST, K_CMD_COPYLCL_RQST,
        K_CMD_COPYRMT_RQST, K_CMD_COPYIN_RQST, K_CMD_CANCEL, K_CMD_SEND_ACK, K_CMD_SNDREC_ACK, K_CMD_REPLY_ACK, K_CMD_COPYIN_ACK,
        K_CMD_COPYOUT_DATA, K_CMD_COPYLCL_ACK, K_CMD_COPYRMT_ACK, K_CMD_HELLO,
    };
    return below(30) ? cmds[below(sizeof cmds / sizeof cmds[0])] : (int32_t)below(0x4000);
}

/* Numbers of calls that are likely to be out. */
static uint32_t any_call_number(void) {
    return below(12) ? below(6) : random_word(&dice);
}

static int any_code(void) {
    static const int codes[] = {K_OK, K_OK, K_OK, K_DSTDIED, K_SRCDIED, K_ENDPOINT, K_RMTPROC, K_LOCKED, -4095, 5};
    return codes[below(sizeof codes / sizeof codes[0])];
}

static uint64_t any_address(void) {
    return below(6) ? (uintptr_t)scratch + below(SCRATCH / 2) : 16;
}

static struct k_command any_command(void) {
    struct k_command c = {
        .cmd = any_cmd(), .vmid = 1, .src = any_endpoint(), .dst = any_endpoint(), .snode = (int32_t)(1 + below(3)), .dnode = below(40) ? 0 : (int32_t)below(5),
        .rnode = below(5), .rcode = any_code(), .call = any_call_number(), .answers = any_call_number(), .incarnation = below(3), .flags = below(40) ? below(8) : below(65536),
    };
    c.v.src = any_endpoint(), c.v.dst = any_endpoint(), c.v.rqtr = below(2) ? c.src : any_endpoint();
    c.v.saddr = any_address(), c.v.daddr = any_address();
    c.v.bytes = (int32_t)(below(20) ? below(6000) : random_word(&dice));
    if (k_cmd_has_message(c.cmd)) c.len = (int32_t)sizeof(struct k_message);
    if (k_cmd_has_data(c.cmd)) c.v.bytes = c.len = c.rcode == K_OK ? (int32_t)below(5000) : 0;
    return c;
}

/* Bytes that a bad peer, or a bad memory chip, makes of it. */
static size_t spoil(size_t n) {
    if (below(4)) return n;
    for (uint32_t i = below(4); i > 0; i--) record[below(K_WIRE_HEADER)] ^= (uint8_t)(1u << below(8));
    if (below(8) == 0) record[below(4)] = (uint8_t)random_word(&dice);
    return below(10) ? n : below((uint32_t)n);
}

/* Only the memory that a copy writes to is ours to choose: it is this process's. */
static void keep_inside(struct k_command *c) {
    if (c->v.daddr != 16) c->v.daddr = (uintptr_t)scratch + c->v.daddr % (SCRATCH / 2);
    if (c->cmd == K_CMD_COPYLCL_RQST && (uint32_t)c->v.bytes > SCRATCH / 2) c->v.bytes = SCRATCH / 2;
}

static void put_record(void) {
    struct k_command c = any_command();
    size_t length, n = (size_t)(K_WIRE_HEADER + c.len);
    k_wire_encode(&c, record);
    n = spoil(n);
    records++;
    if (k_wire_decode(record, n, &c, &length)) return;
    if (length > n || c.len < 0 || (size_t)c.len + K_WIRE_HEADER != length) die("seed %lu: decoded beyond the end", seed);
    keep_inside(&c);
    accepted += k_proxy_put(&proxy, &c, record + K_WIRE_HEADER, LOCK_MS) == K_OK;
}

/* ---- meanwhile --------------------------------------------------------------------------------------------------------------- */

static void any_local_call(void) {
    static const uint32_t ops[] = {K_SEND, K_SENDREC, K_SENDREC, K_RECEIVE, K_RECEIVE, K_RCVRQST, K_REPLY, K_NOTIFY, K_RELAY};
    struct k_message message = {.source = any_endpoint()};
    uint32_t me = below(w.region.members), op = ops[below(9)];
    struct k_call call = {
        .op = op, .peer = op == K_RECEIVE && below(2) ? K_ANY : any_endpoint(), .message = &message, .flags = below(4), .answers = below(3), .value = below(2), .as_p_nr = INT32_MIN,
    };
    k_step(&w.region, me, &call, NULL);
}

static void any_copy(void) {
    uint32_t me = below(w.region.members);
    k_step_copy_far(&w.region, me, below(2) ? K_SELF : any_endpoint(), (uintptr_t)scratch, any_endpoint(), (uintptr_t)scratch, below(9000), NULL);
}

static void any_take(void) {
    struct k_command c, again;
    size_t length;
    const uint8_t skip = (uint8_t)below(16);
    if (k_proxy_take(&proxy, below(2) ? &skip : NULL, &c, taken, LOCK_MS) != K_OK) return;
    k_wire_encode(&c, record);
    const char *wrong = k_wire_decode(record, (size_t)c.len + K_WIRE_HEADER, &again, &length);
    if (wrong) die("seed %lu: takes what cannot be sent: %s", seed, wrong);
}

static void any_accident(void) {
    uint32_t slot = below(w.region.members), node = 1 + below(3);
    switch (below(5)) {
    case 0: k_unbind(&w.region, K0, slot, 0, K_SHUTDOWN, true, LOCK_MS); break;
    case 1: bind_slot(&w, slot, getpid()); break;
    case 2: k_step_cancel(&w.region, slot, K_TIMEDOUT, NULL); break;
    case 3: k_cut(&w.region, K0, node, K_NOTCONN, below(2), LOCK_MS); break;
    default: k_step_route(&w.region, K0, node, (below(4) ? 3u : below(4)) | 1u << K_ROUTE_PX_SHIFT, LOCK_MS);
    }
}

static void act(void) {
    switch (below(16)) {
    case 0: case 1: case 2: any_local_call(); break;
    case 3: any_copy(); break;
    case 4: case 5: any_take(); break;
    case 6: any_accident(); break;
    default: put_record();
    }
}

static void play_round(void) {
    world_reset(&w);
    if (k_proxy_open(&proxy, &w.region, 0, 0) != K_OK) die("k_proxy_open");
    for (uint32_t node = 1; node < NODES; node++) k_step_route(&w.region, K0, node, 3u | 1u << K_ROUTE_PX_SHIFT, LOCK_MS);
    for (int i = 0; i < A_ROUND; i++) act();
    if (audit(&w) != 0) die("seed %lu: the VM is damaged", seed);
    k_proxy_close(&proxy);
}

/* The round that hangs or crashes names itself. */
static void told(int number) {
    char text[100];
    int n = snprintf(text, sizeof text, "\nsignal %d; again: hostile 1 %lu\n", number, seed);
    ssize_t written = write(2, text, (size_t)n);
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

int main(int argc, char **argv) {
    uint64_t wanted = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
    seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    signal(SIGALRM, told);
    signal(SIGABRT, told);
    signal(SIGSEGV, told);
    world_make(&w, true);
    for (; records < wanted; seed++) {
        dice.state = seed * 0x9E3779B97F4A7C15u;
        alarm(HANG_S);
        play_round();
    }
    free(w.region.base);
    printf("%lu records, %lu of them delivered\n", records, accepted);
    return 0;
}
