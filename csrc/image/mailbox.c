/* mailbox.c: the thread behind the mailbox, and the waits on it. */
#define _GNU_SOURCE
#include "mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STEP_NS = 20000000, STEPS_MAX = 1500, CLOSELY = 10, NUDGE_NS = 10000000 };
#define STACK_BYTES 131072

struct mailbox mailbox = {.magic = MAILBOX_MAGIC};

static pthread_t thread;
static volatile bool running, leaving;
static uint32_t begun; /* futex: 1 when the thread has its name and can be found */
static void (*wake_main)(bool first);

static bool move(uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(&mailbox.state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static uint32_t now_in(const uint32_t *word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static bool cancelled(void) {
    return mailbox.ticket && __atomic_load_n(&mailbox.cancelled, __ATOMIC_ACQUIRE) == mailbox.ticket;
}

/* ---- is the dumper still there? No descriptor may be open while it may stop us: it would be in the image. ----------------- */

static bool is_dead_child(pid_t pid) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* A process that nobody has waited for yet can only be told from a living one in /proc. */
static bool is_zombie(pid_t pid) {
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *after_name = strrchr(text, ')');
    return n <= 0 || (after_name && strchr("ZXx", after_name[2]) && after_name[2]);
}

static bool gone(pid_t pid, bool closely) {
    if (pid <= 0 || is_dead_child(pid)) return pid != 0; /* 0: a round of our own that has no dumper yet */
    return (kill(pid, 0) < 0 && errno == ESRCH) || (closely && is_zombie(pid));
}

/* ---- the thread ------------------------------------------------------------------------------------------------------- */

static void receive(void) {
    if (mailbox.info.si_code != SI_QUEUE) return;
    uint32_t state = now_in(&mailbox.state);
    if (state != MAILBOX_IDLE && state != MAILBOX_FAILED) return; /* busy with another: the sender sees that by the ticket */
    mailbox.dumper = mailbox.info.si_pid;
    mailbox.ticket = (uint32_t)mailbox.info.si_value.sival_int;
    mailbox.problem[0] = 0;
    mailbox.bytes_written = 0;
    __atomic_store_n(&mailbox.verdict, MAILBOX_NONE, __ATOMIC_RELEASE);
    if (move(state, MAILBOX_ASKED)) wake_main(true);
}

/* A signal that comes just before a thread falls asleep does not wake it: so it comes again until the request is taken. */
static void insist(void) {
    if (now_in(&mailbox.state) != MAILBOX_ASKED) return;
    if (cancelled() || gone(mailbox.dumper, true)) move(MAILBOX_ASKED, MAILBOX_IDLE);
    else wake_main(false);
}

static void *serve(void *unused) {
    (void)unused;
    prctl(PR_SET_NAME, MAILBOX_THREAD);
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &begun, FUTEX_WAKE, 1, NULL, NULL, 0);
    const struct timespec soon = {0, NUDGE_NS};
    while (!leaving) {
        const struct timespec *limit = now_in(&mailbox.state) == MAILBOX_ASKED ? &soon : NULL;
        long got = syscall(SYS_rt_sigtimedwait, &mailbox.set, &mailbox.info, limit, 8);
        if (got == mailbox.signal) receive();
        else insist();
    }
    return NULL;
}

static int start_thread(void) {
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread inherits that it takes no signal of the program's */
    int failed = pthread_create(&thread, &attributes, serve, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

int mailbox_start(int signal, void (*nudge)(bool first)) {
    if (running) return 0;
    mailbox.signal = signal;
    mailbox.set = UINT64_C(1) << (signal - 1);
    wake_main = nudge;
    leaving = false;
    begun = 0;
    int failed = start_thread();
    running = !failed;
    while (!failed && !now_in(&begun)) syscall(SYS_futex, &begun, FUTEX_WAIT, 0, NULL, NULL, 0);
    return failed;
}

void mailbox_stop(void) {
    if (!running) return;
    leaving = true;
    pthread_kill(thread, mailbox.signal); /* SI_TKILL: no request */
    pthread_join(thread, NULL);
    running = false;
}

void mailbox_reset(void) {
    running = false;
    mailbox.flags = 0;
    __atomic_store_n(&mailbox.state, MAILBOX_IDLE, __ATOMIC_RELEASE);
}

/* ---- the main thread -------------------------------------------------------------------------------------------------- */

bool mailbox_take(void) {
    if (!move(MAILBOX_ASKED, MAILBOX_HOOKS)) return false;
    if (!cancelled()) return true;
    move(MAILBOX_HOOKS, MAILBOX_IDLE);
    return false;
}

bool mailbox_claim(void) {
    if (!move(MAILBOX_IDLE, MAILBOX_HOOKS) && !move(MAILBOX_FAILED, MAILBOX_HOOKS)) return false;
    mailbox.dumper = 0;
    mailbox.ticket = 0;
    mailbox.problem[0] = 0;
    mailbox.bytes_written = 0;
    __atomic_store_n(&mailbox.verdict, MAILBOX_NONE, __ATOMIC_RELEASE);
    return true;
}

static int64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Time in which we were stopped does not count: the dumper may need long, and is there as long as we stand. */
static int64_t wait_a_step(void) {
    const struct timespec step = {0, STEP_NS};
    int64_t before = clock_ns();
    syscall(SYS_futex, &mailbox.verdict, FUTEX_WAIT, MAILBOX_NONE, &step, NULL, 0);
    int64_t waited = clock_ns() - before;
    return waited < 0 || waited > STEP_NS ? STEP_NS : waited;
}

static bool abandon(void) {
    uint32_t none = MAILBOX_NONE;
    return __atomic_compare_exchange_n(&mailbox.verdict, &none, MAILBOX_ABANDONED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

enum mailbox_verdict mailbox_wait(void) {
    uint32_t verdict, steps = 0;
    int64_t waited = 0; /* of this step: signals cut waits short */
    __atomic_store_n(&mailbox.state, MAILBOX_READY, __ATOMIC_RELEASE);
    while (!(verdict = now_in(&mailbox.verdict))) {
        waited += wait_a_step();
        if (waited < STEP_NS) continue;
        waited = 0;
        if (++steps > STEPS_MAX || cancelled() || gone(mailbox.dumper, steps % CLOSELY == 0)) abandon();
    }
    __atomic_store_n(&mailbox.state, MAILBOX_AFTER, __ATOMIC_RELEASE);
    return verdict;
}

void mailbox_fail(const char *problem, uint32_t nbytes) {
    uint32_t kept = nbytes < MAILBOX_PROBLEM ? nbytes : MAILBOX_PROBLEM - 1;
    memcpy(mailbox.problem, problem, kept);
    mailbox.problem[kept] = 0;
    __atomic_store_n(&mailbox.state, MAILBOX_FAILED, __ATOMIC_RELEASE);
}

void mailbox_end(void) {
    __atomic_store_n(&mailbox.state, MAILBOX_IDLE, __ATOMIC_RELEASE);
    __atomic_add_fetch(&mailbox.rounds, 1, __ATOMIC_ACQ_REL);
    syscall(SYS_futex, &mailbox.rounds, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void mailbox_sleep(uint32_t rounds) {
    syscall(SYS_futex, &mailbox.rounds, FUTEX_WAIT, rounds, NULL, NULL, 0);
}
