/* tracer.c: running a child to its k-th instruction (x86-64: breakpoints; elsewhere by steps alone). */
#define _GNU_SOURCE
#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef NT_PRSTATUS
#define NT_PRSTATUS 1
#endif

#define give_up(...) (fprintf(stderr, "tracer: " __VA_ARGS__), fputc('\n', stderr), exit(2))

pid_t tracer_start(int (*operate)(void *), void *argument, volatile int *code, volatile uint32_t *finished) {
    *finished = 0;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        *code = operate(argument);
        *finished = 1;
        _exit(0);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) give_up("cannot start: %s", strerror(errno));
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL);
    return pid;
}

void tracer_kill(pid_t pid) {
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR) continue;
}

/* False: the child has exited. */
static bool go_on(pid_t pid, enum __ptrace_request request) {
    int status;
    if (ptrace(request, pid, 0, 0) != 0 || waitpid(pid, &status, __WALL) != pid) give_up("ptrace: %s", strerror(errno));
    if (WIFEXITED(status)) return false;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) give_up("the child got a signal (status %#x)", (unsigned)status);
    return true;
}

bool tracer_step(pid_t pid, const volatile uint32_t *finished) {
    return go_on(pid, PTRACE_SINGLESTEP) && !*finished;
}

/* ---- registers and text ----------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static uint64_t program_counter(pid_t pid) {
    return (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), 0);
}
#else
static uint64_t program_counter(pid_t pid) {
    struct user_regs_struct regs;
    struct iovec iov = {&regs, sizeof regs};
    return ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov) == 0 ? regs.pc : 0;
}
#endif

/* How often each address was visited so far, in a hash table. */
static void count_visits(struct path *path) {
    enum { BUCKETS = 1 << 16 };
    static struct { uint64_t address; uint32_t visits; } table[BUCKETS];
    memset(table, 0, sizeof table);
    for (long k = 0; k < path->steps; k++) {
        uint64_t address = path->at[k];
        uint32_t i = (uint32_t)((address * 0x9E3779B97F4A7C15u) >> 48);
        while (table[i].address && table[i].address != address) i = (i + 1) % BUCKETS;
        table[i].address = address;
        bool stays = k > 0 && path->at[k - 1] == address;
        path->visits[k] = stays ? table[i].visits : ++table[i].visits;
    }
}

void tracer_follow(pid_t pid, const volatile uint32_t *finished, struct path *path, void (*look)(long k)) {
    if (!path->at) path->at = malloc(STEPS_MAX * sizeof path->at[0]), path->visits = malloc(STEPS_MAX * sizeof path->visits[0]);
    path->steps = 0;
    do {
        if (path->steps == STEPS_MAX) give_up("the operation does not end");
        if (look) look(path->steps);
        path->at[path->steps++] = program_counter(pid);
    } while (tracer_step(pid, finished));
    count_visits(path);
}

bool tracer_go_slowly(pid_t pid, const volatile uint32_t *finished, long steps) {
    while (steps > 0 && tracer_step(pid, finished)) steps--;
    return steps == 0;
}

#if defined(__x86_64__)

/* Step off an address; an instruction with a repeat prefix stays on it for a while. */
static bool step_off(pid_t pid, uint64_t address) {
    while (program_counter(pid) == address)
        if (!go_on(pid, PTRACE_SINGLESTEP)) return false;
    return true;
}

static bool run_to_breakpoint(pid_t pid, uint64_t address, long text) {
    long trap = (text & ~0xffL) | 0xcc;
    if (ptrace(PTRACE_POKETEXT, pid, address, trap) != 0) give_up("breakpoint: %s", strerror(errno));
    if (!go_on(pid, PTRACE_CONT)) return false;
    ptrace(PTRACE_POKETEXT, pid, address, text);
    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rip), program_counter(pid) - 1);
    return program_counter(pid) == address;
}

/* The instruction from which to step on to k: cheap to reach by a breakpoint, and not far. 0: the start. */
static long best_stop(const struct path *path, long k) {
    enum { COST_OF_A_STOP = 6, FARTHEST = 4000 }; /* in steps */
    long best = 0, best_cost = k;
    for (long j = k; j > 20 && k - j < FARTHEST && k - j < best_cost; j--) {
        long cost = (long)path->visits[j] * COST_OF_A_STOP + k - j;
        if (path->at[j - 1] != path->at[j] && cost < best_cost) best = j, best_cost = cost;
    }
    return best;
}

bool tracer_go(pid_t pid, const volatile uint32_t *finished, const struct path *path, long k) {
    long stop = best_stop(path, k);
    uint64_t address = path->at[stop];
    errno = 0;
    long text = ptrace(PTRACE_PEEKTEXT, pid, address, 0);
    if (stop == 0 || errno || ptrace(PTRACE_POKETEXT, pid, address, text) != 0) return tracer_go_slowly(pid, finished, k);
    for (uint32_t i = 0; i < path->visits[stop]; i++)
        if ((i > 0 && !step_off(pid, address)) || !run_to_breakpoint(pid, address, text)) return false;
    return tracer_go_slowly(pid, finished, k - stop);
}

#else
bool tracer_go(pid_t pid, const volatile uint32_t *finished, const struct path *path, long k) {
    (void)path;
    return tracer_go_slowly(pid, finished, k);
}
#endif
