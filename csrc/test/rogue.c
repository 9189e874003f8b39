/* rogue.c: a member that has gone wild: random words of its VM overwritten while others work in it.
 *
 *     rogue CORRUPTIONS [SEED]
 *
 * Rounds of a fresh VM with six workers that make timed calls and copies, an undertaker that binds and unbinds, and a rogue. What must
 * hold: nobody dies by a signal; each timed call returns within its deadline plus a second; when the VM is ended everyone comes
 * home within two; and the processes of another VM notice nothing, not even those whose pids were forged into the damaged one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "damage.h"
#include "world.h"

enum { WORKERS = 6, NEIGHBOURS = 2, A_ROUND = 40, HOME_MS = 2500, LATE_NS = 1000000000, MANAGE_MS = 50 };

static struct control {
    atomic_bool round_over, all_over;
    atomic_long calls, good_calls, neighbour_calls;
    atomic_int damage_done;
} *control;

static struct world wild, quiet;
static uint8_t scratch[4096]; /* at one address in every process: where copies of the wild VM's members go */
static struct random dice;
static uint64_t seed;

#define fail(...) (fprintf(stderr, "seed %lu: ", seed), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), _exit(3))

/* ---- the workers of the damaged VM ------------------------------------------------------------------------------------- */

static void check_time(int64_t since, int64_t allowed_ns, const char *what) {
    int64_t took = k_now_ns() - since;
    if (took > allowed_ns + LATE_NS) fail("%s allowed %ld us took %ld us", what, (long)(allowed_ns / 1000), (long)(took / 1000));
}

/* Mostly a fellow worker, who is likely to listen. */
static int32_t any_endpoint(const struct world *w) {
    return random_below(&dice, 8) ? world_endpoint(w, A + random_below(&dice, WORKERS)) : random_below(&dice, 10) ? world_endpoint(w, random_below(&dice, MEMBERS)) : (int32_t)random_word(&dice);
}

static int timed_call(struct k_handle *h) {
    static const uint32_t ops[] = {K_SEND, K_SENDREC, K_SENDREC, K_RECEIVE, K_RECEIVE, K_RCVRQST, K_REPLY, K_NOTIFY};
    struct k_message message = {.type = 1};
    uint32_t op = ops[random_below(&dice, 8)];
    struct k_call call = {.op = op, .peer = op == K_RCVRQST || random_below(&dice, 2) ? K_ANY : any_endpoint(&wild), .message = &message, .as_p_nr = INT32_MIN};
    if (op != K_RECEIVE && op != K_RCVRQST) call.peer = any_endpoint(&wild);
    int64_t now = k_now_ns(), allowed = random_below(&dice, 8) * 1000000;
    int code = k_call(h, &call, now + allowed);
    check_time(now, allowed, "a call");
    return code;
}

/* As a server does it: the answer goes with the next receive. */
static int timed_reply_receive(struct k_handle *h) {
    struct k_message message = {.type = 1};
    struct k_call call = {.peer = any_endpoint(&wild), .message = &message, .as_p_nr = INT32_MIN};
    int64_t now = k_now_ns();
    int code = k_call_start_reply_receive(h, &call);
    if (code == K_BLOCKED || code == K_CONTENDED) code = k_call_wait(h, &call, now + 2000000);
    check_time(now, 2000000, "a reply-and-receive");
    return code;
}

/* The lock of a damaged VM may be stuck, and a copy has no deadline: it is bounded by the VM's end alone. */
static int some_copy(struct k_handle *h) {
    uint64_t here = (uintptr_t)scratch;
    return k_copy(h, any_endpoint(&wild), here, any_endpoint(&wild), here + 2048, 1 + random_below(&dice, 2048), NULL, NULL);
}

static void reopen(struct k_handle *h, uint32_t slot) {
    const struct k_slot *s = world_slot(&wild, slot);
    k_handle_close(h);
    require(k_handle_open(h, &wild.region, slot, s->incarnation, s->endpoint, random_below(&dice, 2) * 2000) == K_OK);
}

static void work(uint32_t slot) {
    struct k_handle h = {0};
    memset(scratch, 0xdd, sizeof scratch);
    reopen(&h, slot);
    while (!atomic_load(&control->round_over)) {
        uint32_t kind = random_below(&dice, 16);
        int code = kind == 0 ? some_copy(&h) : kind < 3 ? timed_reply_receive(&h) : timed_call(&h);
        atomic_fetch_add(&control->calls, 1);
        if (code == K_OK) atomic_fetch_add(&control->good_calls, 1);
        else sched_yield();
        if (code == K_NOTBIND || code == K_BADPID) reopen(&h, slot);
    }
    k_handle_close(&h);
    _exit(0);
}

/* Nothing is left behind, even if the parent was killed just now. */
static void die_with_parent(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(1);
}

static pid_t start_worker(uint32_t slot) {
    dice.state += 2;
    pid_t pid = fork();
    require(pid >= 0);
    if (pid) return pid;
    die_with_parent();
    dice.state ^= (uint64_t)slot * 0x9E3779B97F4A7C15u;
    world_slot(&wild, slot)->pid = getpid();
    work(slot);
    return 0;
}

/* ---- the neighbours: another VM --------------------------------------------------------------------------------------------- */

static int neighbour_call(struct k_handle *h, uint32_t op, int32_t peer, struct k_message *message) {
    struct k_call call = {.op = op, .peer = peer, .message = message, .as_p_nr = INT32_MIN};
    int code = k_call(h, &call, k_now_ns() + 5000000000);
    for (size_t i = 0; i < sizeof scratch; i++)
        if (scratch[i]) fail("somebody wrote into a neighbour's memory");
    return code;
}

static void live_quietly(uint32_t slot) {
    struct k_handle h;
    struct k_message message = {0};
    die_with_parent();
    munmap(wild.region.base, wild.bytes); /* a stranger to that VM, who was only forked beside it */
    world_slot(&quiet, slot)->pid = getpid();
    require(k_handle_open(&h, &quiet.region, slot, world_slot(&quiet, slot)->incarnation, world_endpoint(&quiet, slot), 2000) == K_OK);
    while (!atomic_load(&control->all_over)) {
        int code = slot == A ? neighbour_call(&h, K_SENDREC, world_endpoint(&quiet, B), &message) : neighbour_call(&h, K_RECEIVE, K_ANY, &message);
        if (code == K_OK && slot == B) code = neighbour_call(&h, K_REPLY, message.source, &message);
        if (code != K_OK && !atomic_load(&control->all_over)) fail("a neighbour's call returned %d", code);
        atomic_fetch_add(&control->neighbour_calls, 1);
        for (int i = 0; i < 20; i++) sched_yield();
    }
    _exit(0);
}

/* ---- the rogue --------------------------------------------------------------------------------------------------------------- */

/* A neighbour's pid where a member's belongs: whoever trusts it would copy into a stranger. */
static void forge_pid(const pid_t *neighbours) {
    struct k_slot *s = world_slot(&wild, random_below(&dice, MEMBERS));
    *(volatile int32_t *)&s->pid = neighbours[random_below(&dice, NEIGHBOURS)];
}

/* The lock names somebody alive who does not hold it: it is stuck until the daemon has looked and takes it away. */
static void forge_holder(const pid_t *neighbours) {
    atomic_store(&k_header(&wild.region)->lock, (uint32_t)neighbours[random_below(&dice, NEIGHBOURS)]);
    for (long calls = atomic_load(&control->calls), looks = 0; looks < 2000 && atomic_load(&control->calls) < calls + WORKERS; looks++) sched_yield();
    k_lock_break(&wild.region, K1, k_lock_holder(&wild.region).tid);
}

static void manage(void) {
    struct k_slot copy;
    int64_t now = k_now_ns();
    uint32_t slot = A + random_below(&dice, WORKERS);
    int32_t pid = world_slot(&wild, slot)->pid;
    switch (random_below(&dice, 4)) {
    case 0: k_step_snapshot(&wild.region, K1, slot, &copy, MANAGE_MS); break;
    case 1: k_step_wakeup(&wild.region, K1, any_endpoint(&wild), MANAGE_MS, NULL); break;
    case 2: k_pay_debts(&wild.region, slot); break;
    default:
        if (k_step_unbind(&wild.region, K1, slot, 0, K_SHUTDOWN, true, MANAGE_MS, NULL) < 0) break;
        k_unbind(&wild.region, K1, slot, 0, K_SHUTDOWN, true, MANAGE_MS);
        bind_slot(&wild, slot, pid);
    }
    check_time(now, 2 * (int64_t)LOCK_MS * 1000000, "management");
}

static void go_wild(long corruptions, const pid_t *neighbours) {
    for (long i = 0; i < corruptions; i++) {
        if (random_below(&dice, 12) == 0) forge_pid(neighbours);
        else if (random_below(&dice, 200) == 0) forge_holder(neighbours);
        else damage(&dice, &wild.region, random_below(&dice, 8) == 0);
        if (random_below(&dice, 10) == 0) manage();
        for (long calls = atomic_load(&control->calls), looks = 0; looks < 20 && atomic_load(&control->calls) < calls + 4; looks++) sched_yield();
    }
}

static void ignore(void *context, const char *text) { (void)context, (void)text; }

static void expect_home(pid_t pid, int64_t until_ns) {
    int status, fd = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t left = (until_ns - k_now_ns()) / 1000000;
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    bool home = poll(&ended, 1, left > 0 ? (int)left : 0) == 1;
    close(fd);
    if (!home) {
        kill(pid, SIGABRT);
        fail("process %d did not come home after the end of its VM", pid);
    }
    require(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) fail("process %d ended with status %#x", pid, (unsigned)status);
}

/* Until the workers of a round have begun to talk. */
static void wait_for_calls(long calls) {
    int64_t until = k_now_ns() + 10000000000;
    while (atomic_load(&control->calls) < calls && k_now_ns() < until) sched_yield();
}

static void play_round(long corruptions, const pid_t *neighbours) {
    pid_t workers[WORKERS];
    world_reset(&wild);
    atomic_store(&control->round_over, false);
    long before = atomic_load(&control->calls);
    for (uint32_t i = 0; i < WORKERS; i++) workers[i] = start_worker(A + i);
    wait_for_calls(before + 5 * WORKERS);
    go_wild(corruptions, neighbours);
    k_audit(&wild.region, K1, ignore, NULL, MANAGE_MS);
    atomic_store(&control->round_over, true);
    int64_t until = k_now_ns() + (int64_t)HOME_MS * 1000000;
    k_vm_end(&wild.region, K_VM_CORRUPT);
    for (uint32_t i = 0; i < WORKERS; i++) expect_home(workers[i], until);
}

int main(int argc, char **argv) {
    pid_t neighbours[NEIGHBOURS];
    long corruptions = argc > 1 ? atol(argv[1]) : 100000;
    seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    dice.state = seed * 0x9E3779B97F4A7C15u;
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    world_make(&wild, false), world_make(&quiet, false);
    for (uint32_t i = 0; i < NEIGHBOURS; i++)
        if ((neighbours[i] = fork()) == 0) live_quietly(A + i);
    long done = 0;
    for (; done < corruptions; done += A_ROUND) play_round(A_ROUND, neighbours);
    require(audit(&quiet) == 0);
    atomic_store(&control->all_over, true);
    k_vm_end(&quiet.region, K_VM_ENDED);
    for (uint32_t i = 0; i < NEIGHBOURS; i++) expect_home(neighbours[i], k_now_ns() + (int64_t)HOME_MS * 1000000);
    printf("%ld corruptions, %ld calls (%ld of them good), %ld by the neighbours\n", done, atomic_load(&control->calls),
           atomic_load(&control->good_calls), atomic_load(&control->neighbour_calls));
    return 0;
}
