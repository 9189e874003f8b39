/* tracer.h: running a child to its k-th instruction. */
#ifndef DRVS_TEST_TRACER_H
#define DRVS_TEST_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { STEPS_MAX = 400000 };

/* Where a child goes between its start and the end of its operation, one entry an instruction. */
struct path {
    long steps;
    uint64_t *at;     /* address of the instruction that comes after k others */
    uint32_t *visits; /* how often the path has come to that address by then; staying there (a repeat prefix) is one visit */
};

/* A child stopped before it begins `operate`, whose result goes to *code; *finished is set when that is done. Both are shared. */
pid_t tracer_start(int (*operate)(void *), void *argument, volatile int *code, volatile uint32_t *finished);

/* Execute one instruction. False: the operation has finished. */
bool tracer_step(pid_t pid, const volatile uint32_t *finished);

/* Step to the end and note the path; `look` is called before each instruction with its number. */
void tracer_follow(pid_t pid, const volatile uint32_t *finished, struct path *path, void (*look)(long k));

/* Go to instruction k of a path noted earlier, by breakpoint where that is quicker than stepping. False: the child, which may be
 * gone, took another path (time flows, so code that reads the clock is not the same each time). */
bool tracer_go(pid_t pid, const volatile uint32_t *finished, const struct path *path, long k);
/* The same, by steps alone. */
bool tracer_go_slowly(pid_t pid, const volatile uint32_t *finished, long k);

/* SIGKILL, and wait until it is gone. */
void tracer_kill(pid_t pid);

#endif
