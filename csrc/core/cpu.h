/* cpu.h: which CPU a thread runs on. */
#ifndef DRVS_CPU_H
#define DRVS_CPU_H

#ifndef _GNU_SOURCE
#error "sched_getcpu needs _GNU_SOURCE"
#endif
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/rseq.h>

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* The CPU this thread runs on, + 1. rseq keeps it in memory; without it vdso's getcpu does. */
static inline uint32_t k_this_cpu(void) {
    if (&__rseq_size && __rseq_size) {
        const struct rseq *area = (const struct rseq *)(const void *)((const char *)__builtin_thread_pointer() + __rseq_offset);
        return *(const volatile uint32_t *)&area->cpu_id + 1;
    }
    return (uint32_t)sched_getcpu() + 1;
}

#endif
