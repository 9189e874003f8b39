/* fork.h: telling a forked child from its parent without a system call.
 *
 * A forked child shares its parent's handles in memory but is not bound. One page that the kernel wipes on fork
 * (MADV_WIPEONFORK) holds the process's epoch; a handle remembers the epoch it was opened in.
 */
#ifndef DRVS_FORK_H
#define DRVS_FORK_H

#include <stdatomic.h>
#include <stdint.h>

extern _Atomic uint32_t *k_fork_word; /* NULL until the first k_fork_epoch */
uint32_t k_fork_epoch_slow(void);

/* A number that differs between a process and its forked children; never 0. */
static inline uint32_t k_fork_epoch(void) {
    uint32_t epoch = k_fork_word ? atomic_load_explicit(k_fork_word, memory_order_relaxed) : 0;
    return epoch ? epoch : k_fork_epoch_slow();
}

#endif
