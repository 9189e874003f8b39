/* killer.c: SIGKILL at every instruction.
 *
 *     killer                     every scenario, killed at every instruction; then killed again in the recovery
 *     killer NAME...             these scenarios only
 *     --sample N  --seed S       N random instructions of each instead of all
 *     --at K  [--again J]        one kill (and one in the recovery from it): what a failure tells you to run
 *     --list                     names
 *
 * A tracer prepares a VM, puts real processes to sleep in it, lets a victim operate one instruction at a time and kills it.
 * Then it takes the place of the survivors: the lock must be free to take, the audit clean, the tables those before or
 * after the operation and nothing between; once the victim is buried everyone must be awake who has a reason to be; and a
 * fresh pair of processes must be able to talk. Sleepers wait for their futex without a time limit: a lost wake-up shows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../core/kernel.h"
#include "scenarios.h"
#include "tracer.h"

enum { STATES_MAX = 40, WAKE_MS = 3000, FAILURES_TOLD = 5, TRIES = 20, NEVER = -1 };

/* Shared with the children. */
static struct control {
    volatile uint32_t finished; /* the victim has done its operation */
    volatile int code;          /* and this is what it returned */
    struct { volatile int ended, code; } sleeper[MEMBERS];
} *control;

static struct world world;

/* The run being made, for messages. */
static struct {
    const struct scenario *scenario;
    long at, again;
    uint32_t failures, told;
} run;

static void failed(const char *format, ...) {
    va_list arguments;
    run.failures++;
    if (run.told++ >= FAILURES_TOLD) return;
    fprintf(stderr, "%s: ", run.scenario->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n  again: killer %s", run.scenario->name);
    if (run.at != NEVER) fprintf(stderr, " --at %ld", run.at);
    if (run.again != NEVER) fprintf(stderr, " --again %ld", run.again);
    fprintf(stderr, "\n");
}

/* ---- a clock that always takes the same path ---------------------------------------------------------------------- */

/* In place of libc's: the vdso's way to the time varies by enough instructions under load that instruction `at` of two runs lay on
 * different sides of a commit. A system call is one step. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    return (int)syscall(SYS_clock_gettime, clock, now);
}

/* ---- sleepers ---------------------------------------------------------------------------------------------------- */

static bool vm_runs(void) {
    return atomic_load(&k_header(&world.region)->state) == K_VM_RUNNING;
}

/* As a handle does it, but for the time limit that would hide a lost wake-up. */
static int sleep_till_done(uint32_t slot, struct k_call *call) {
    int code = K_AGAIN;
    while (code == K_AGAIN || code == K_RESTARTSYS) code = k_step_sleep(&world.region, slot, INT64_MAX / 2);
    return vm_runs() ? k_step_finish(&world.region, slot, call) : K_VMNOTRUN;
}

/* Nothing is left behind, even if the parent was killed just now. */
static void die_with_parent(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(1);
}

static void sleeper_main(const struct sleeper *sleeper) {
    struct k_message message = {.type = (int32_t)sleeper->slot};
    int32_t peer = sleeper->peer == FROM_ANY ? K_ANY : world_endpoint(&world, sleeper->peer);
    struct k_call call = {.op = sleeper->op, .peer = peer, .message = &message, .as_p_nr = INT32_MIN};
    die_with_parent();
    int code = k_step(&world.region, sleeper->slot, &call, NULL);
    if (code != K_BLOCKED) die("sleeper %u did not block: %d", sleeper->slot, code);
    control->sleeper[sleeper->slot].code = sleep_till_done(sleeper->slot, &call);
    control->sleeper[sleeper->slot].ended = 1;
    _exit(0);
}

/* `S` in its stat line: it has gone to sleep. */
static bool is_asleep(pid_t pid) {
    char path[40], text[200] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    const char *name_end = n ? strrchr(text, ')') : NULL;
    return name_end && name_end[2] == 'S';
}

static pid_t start_sleeper(const struct sleeper *sleeper) {
    control->sleeper[sleeper->slot].ended = 0;
    pid_t pid = fork();
    if (pid == 0) sleeper_main(sleeper);
    while (!atomic_load(&world_slot(&world, sleeper->slot)->waiting) || !is_asleep(pid))
        if (waitpid(pid, NULL, WNOHANG) == pid) die("sleeper %u of %s died", sleeper->slot, run.scenario->name);
    return pid;
}

static bool ends(pid_t pid, int timeout_ms) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    bool ended = poll(&poll_fd, 1, timeout_ms) == 1;
    close(fd);
    return ended;
}

/* ---- one trial ------------------------------------------------------------------------------------------------------- */

static struct { /* what an undisturbed run goes through */
    struct path path;
    uint8_t transitions[STEPS_MAX]; /* by instruction: completed before it */
    bool committed[STEPS_MAX];      /* one is committed but not yet applied */
    uint32_t epoch[STEPS_MAX];      /* of the lock */
    uint32_t states;
    struct picture state[STATES_MAX];
} course;

static struct path recovery; /* from the one kill that is being recovered from */

static pid_t sleeping[SLEEPERS];

static void set_scene(void) {
    const struct scenario *sc = run.scenario;
    world_reset(&world);
    if (sc->before) sc->before(&world);
    for (uint32_t i = 0; i < SLEEPERS; i++) sleeping[i] = sc->sleepers[i].op ? start_sleeper(&sc->sleepers[i]) : 0;
    if (sc->after) sc->after(&world);
}

static void clear_scene(void) {
    for (uint32_t i = 0; i < SLEEPERS; i++)
        if (sleeping[i]) tracer_kill(sleeping[i]);
}

static bool committed(void) {
    return *(volatile uint32_t *)&k_header(&world.region)->commit != 0;
}

static uint32_t lock_epoch(void) {
    return k_lock_holder(&world.region).epoch;
}

static int operate(void *unused) {
    (void)unused;
    return run.scenario->operate(&world);
}

static pid_t start_victim(int (*what)(void *)) {
    return tracer_start(what, NULL, &control->code, &control->finished);
}

/* Before instruction k of an undisturbed run: each end of a commit is a new state of the tables. */
static void look(long k) {
    course.committed[k] = committed();
    course.epoch[k] = lock_epoch();
    if (k > 0 && course.committed[k - 1] && !course.committed[k]) {
        require(course.states < STATES_MAX);
        picture_take(&world, &course.state[course.states++]);
    }
    course.transitions[k] = (uint8_t)(course.states - 1);
}

static void follow_course(void) {
    const struct scenario *sc = run.scenario;
    run.at = run.again = NEVER;
    set_scene();
    course.states = 1;
    picture_take(&world, &course.state[0]);
    pid_t pid = start_victim(operate);
    tracer_follow(pid, &control->finished, &course.path, look);
    tracer_kill(pid);
    if (control->code != sc->code) failed("it returns %d, not %d", control->code, sc->code);
    if (sc->commits != EITHER && sc->commits != NO_ORDER && course.states - 1 != sc->commits) failed("it commits %u times, not %u", course.states - 1, sc->commits);
    if (audit(&world) != 0) failed("the audit complains after an undisturbed run");
    clear_scene();
}

/* The first runs take detours (functions are bound, pages are touched for the first time): until one is as long as the one before. */
static void settle_on_course(void) {
    long before = NEVER;
    for (int tries = 0; tries < TRIES && course.path.steps != before; tries++) before = course.path.steps, follow_course();
}

/* ---- survivors --------------------------------------------------------------------------------------------------------- */

static int take_the_lock(void *unused) {
    struct k_slot copy;
    (void)unused;
    return k_step_snapshot(&world.region, K2, A, &copy, LOCK_MS);
}

static void check_tables(uint32_t expected) {
    struct picture now;
    int code = take_the_lock(NULL);
    if (code != K_OK) failed("the lock was not recovered: %d", code);
    if (audit(&world) != 0) failed("the audit complains after the kill");
    if (run.scenario->commits == NO_ORDER) return;
    picture_take(&world, &now);
    if (expected >= course.states) {
        failed("more transitions than an undisturbed run has");
    } else if (!picture_same(&now, &course.state[expected])) {
        failed("the tables are not those after %u of %u transitions", expected, course.states - 1);
        if (run.told <= FAILURES_TOLD) picture_difference(&course.state[expected], &now);
    }
}

static void bury(void) {
    const struct scenario *sc = run.scenario;
    k_pay_debts(&world.region, sc->victim);
    k_pay_debts(&world.region, K0);
    int code = sc->redo ? sc->redo(&world) : sc->victim < MEMBERS ? k_unbind(&world.region, K1, sc->victim, 0, K_SHUTDOWN, true, LOCK_MS) : K_OK;
    if (code != K_OK && !(sc->redo && code == K_NOTBIND)) failed("the burying returns %d", code);
    if (audit(&world) != 0) failed("the audit complains after the burying");
}

static void check_sleeper(const struct sleeper *sleeper, pid_t pid, bool done) {
    int expected = done ? sleeper->done : sleeper->undone;
    if (expected == ASLEEP) {
        if (control->sleeper[sleeper->slot].ended) failed("slot %u ended with %d", sleeper->slot, control->sleeper[sleeper->slot].code);
    } else if (!ends(pid, WAKE_MS)) {
        failed("slot %u sleeps for ever", sleeper->slot);
    } else if (control->sleeper[sleeper->slot].code != expected && expected != EITHER) {
        failed("slot %u ended with %d, not %d", sleeper->slot, control->sleeper[sleeper->slot].code, expected);
    }
}

/* Two who had no part in it can talk, and whoever still sleeps hears of the end of the VM. */
static void life_goes_on(void) {
    struct k_message message = {0};
    struct k_call finish = {.op = K_RECEIVE, .message = &message};
    if (vm_runs()) {
        if (step(&world, T, K_RECEIVE, world_endpoint(&world, V)) != K_BLOCKED) failed("T cannot receive");
        else if (step(&world, V, K_SEND, world_endpoint(&world, T)) != K_OK) failed("V cannot send");
        else if (k_step_finish(&world.region, T, &finish) != K_OK || message.type != V) failed("T did not get it");
        k_vm_end(&world.region, K_VM_ENDED);
    }
    for (uint32_t i = 0; i < SLEEPERS; i++)
        if (sleeping[i] && !ends(sleeping[i], WAKE_MS)) failed("slot %u sleeps on in an ended VM", run.scenario->sleepers[i].slot);
}

static void check_survivors(uint32_t transitions) {
    check_tables(transitions);
    bury();
    for (uint32_t i = 0; i < SLEEPERS; i++)
        if (sleeping[i]) check_sleeper(&run.scenario->sleepers[i], sleeping[i], transitions > 0);
    life_goes_on();
}

/* Set the scene, run the victim to instruction `at` and kill it. False: it took another path than the undisturbed one. */
static bool try_kill_at(long at, bool by_steps) {
    set_scene();
    pid_t pid = start_victim(operate);
    bool there = by_steps ? tracer_go_slowly(pid, &control->finished, at) : tracer_go(pid, &control->finished, &course.path, at);
    there = there && committed() == course.committed[at] && lock_epoch() == course.epoch[at];
    tracer_kill(pid);
    if (!there) clear_scene();
    return there;
}

/* Until it works: time flows, so the paths vary a little, and the undisturbed one may have been an odd one itself. False: the
 * usual path ends before that instruction (it was found in an odd, longer one). */
static bool kill_at(long at) {
    for (int tries = 1; tries <= TRIES && at < course.path.steps; tries++) {
        if (try_kill_at(at, tries % 4 == 0)) return true;
        if (tries % 5 == 0) settle_on_course();
    }
    if (at < course.path.steps) die("%s never goes the same way twice: --at %ld of %ld instructions", run.scenario->name, at, course.path.steps);
    return false;
}

/* Kill at instruction `at`, and if `again` >= 0 also the one who recovers, at that instruction of his. False: there is none. */
static bool trial(long at, long again) {
    if (!kill_at(at)) return false;
    run.at = at, run.again = again;
    if (again != NEVER) {
        pid_t pid = start_victim(take_the_lock);
        tracer_go(pid, &control->finished, &recovery, again);
        tracer_kill(pid);
    }
    check_survivors(course.transitions[at] + (course.committed[at] ? 1u : 0u));
    clear_scene();
    return true;
}

/* ---- campaigns ------------------------------------------------------------------------------------------------------------ */

static struct { long sample, at, again; uint32_t seed; } options = {.at = NEVER, .again = NEVER, .seed = 1};

static long random_below(long n) {
    options.seed ^= options.seed << 13, options.seed ^= options.seed >> 17, options.seed ^= options.seed << 5;
    return (long)(options.seed % (uint32_t)n);
}

/* All are, but in a course of tens of thousands (reading /proc, line by line) only the first rounds of each loop, and some more. */
static bool worth_killing(long k) {
    enum { LONG_COURSE = 20000, ROUNDS = 2, SOME = 499 };
    return course.path.steps < LONG_COURSE || course.path.visits[k] <= ROUNDS || k % SOME == 0;
}

static long kill_everywhere(void) {
    long kills = 0;
    if (options.sample) {
        for (long i = 0; i < options.sample; i++) kills += trial(random_below(course.path.steps), NEVER);
        return kills;
    }
    for (long k = 0; k < course.path.steps; k++)
        if (worth_killing(k)) kills += trial(k, NEVER);
    return kills;
}

/* How the one goes who recovers from a kill at `at`. */
static void follow_recovery(long at) {
    enum { ODD = 5000, TRIES_AT_IT = 3 }; /* so long only if the clock was being set just when it was read */
    for (int tries = 0; tries < TRIES_AT_IT; tries++) {
        if (!kill_at(at)) continue;
        pid_t pid = start_victim(take_the_lock);
        tracer_follow(pid, &control->finished, &recovery, NULL);
        tracer_kill(pid);
        clear_scene();
        run.at = at, run.again = NEVER;
        if (control->code != K_OK) failed("the one who recovers gets %d", control->code);
        if (recovery.steps < ODD) return;
    }
}

static long nth_committed(long n) {
    for (long k = 0; k < course.path.steps; k++)
        if (course.committed[k] && n-- == 0) return k;
    return NEVER;
}

/* Kill the one who recovers, too: at every instruction after a few of the first kills, or at a few random ones. */
static long kill_recoveries(void) {
    enum { FIRST_KILLS = 2 };
    long kills = 0, windows = 0;
    for (long k = 0; k < course.path.steps; k++) windows += course.committed[k];
    if (windows == 0) return 0;
    for (long i = 0; i < (options.sample ? 1 : FIRST_KILLS); i++) {
        long at = nth_committed(options.sample || i > 0 ? random_below(windows) : 0);
        follow_recovery(at);
        if (options.sample)
            for (long j = 0; j < options.sample / 4; j++) kills += trial(at, random_below(recovery.steps));
        else
            for (long j = 0; j < recovery.steps; j++) kills += trial(at, j);
    }
    return kills;
}

static void campaign(const struct scenario *sc) {
    run.scenario = sc, run.told = 0;
    course.path.steps = NEVER - 1;
    settle_on_course();
    if (options.at != NEVER) {
        if (options.again != NEVER) follow_recovery(options.at);
        if (!trial(options.at, options.again)) failed("there are %ld instructions only", course.path.steps);
        return;
    }
    long kills = kill_everywhere();
    long again = kill_recoveries();
    printf("%-28s %6ld instructions, %2u transitions, killed %6ld times, %6ld in recovery\n", sc->name, course.path.steps, course.states - 1, kills, again);
    fflush(stdout);
}

static bool chosen(const char *name, char **names, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return n == 0;
}

static const struct scenario *scenario_at(uint32_t number) {
    return number < scenarios_n ? &scenarios[number] : &far_scenarios[number - scenarios_n];
}

/* Options out, names left. */
static int read_options(int argc, char **argv) {
    int names = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        if (strcmp(argv[i], "--sample") == 0) options.sample = atol(value), i++;
        else if (strcmp(argv[i], "--seed") == 0) options.seed = (uint32_t)atol(value) * 2654435761u + 1, i++;
        else if (strcmp(argv[i], "--at") == 0) options.at = atol(value), i++;
        else if (strcmp(argv[i], "--again") == 0) options.again = atol(value), i++;
        else if (strcmp(argv[i], "--list") == 0) {
            for (uint32_t s = 0; s < scenarios_n + far_scenarios_n; s++) puts(scenario_at(s)->name);
            exit(0);
        } else argv[names++] = argv[i];
    }
    return names;
}

/* Tracer, victim and sleepers take turns: on one CPU that is quicker. */
static void stay_on_one_cpu(void) {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
}

int main(int argc, char **argv) {
    stay_on_one_cpu();
    int names = read_options(argc, argv);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(control != MAP_FAILED);
    world_make(&world, false);
    for (uint32_t s = 0; s < scenarios_n + far_scenarios_n; s++)
        if (chosen(scenario_at(s)->name, argv, names)) campaign(scenario_at(s));
    return run.failures ? 1 : 0;
}
