/* fork.c: the page behind fork.h. */
#define _GNU_SOURCE
#include "fork.h"

#include <pthread.h>
#include <sys/mman.h>

_Atomic uint32_t *k_fork_word;
static _Atomic uint32_t fallback_word;
static _Atomic uint32_t last_epoch; /* inherited by children, so theirs come after ours */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void forget_epoch(void) {
    atomic_store(&fallback_word, 0);
}

/* Linux older than 4.14 cannot wipe a page on fork: there a fork made behind glibc's back goes unnoticed. */
static void make_word(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, 4096, MADV_WIPEONFORK) == 0) {
        k_fork_word = page;
        return;
    }
    pthread_atfork(NULL, NULL, forget_epoch);
    k_fork_word = &fallback_word;
}

uint32_t k_fork_epoch_slow(void) {
    pthread_once(&once, make_word);
    uint32_t none = 0;
    uint32_t epoch = atomic_load(k_fork_word);
    if (epoch) return epoch;
    epoch = atomic_fetch_add(&last_epoch, 1) + 1;
    return atomic_compare_exchange_strong(k_fork_word, &none, epoch) ? epoch : none;
}
