/* lock.h: one robust lock per VM, without a pointer in shared memory.
 *
 * The lock word holds the owner's tid. A pthread robust mutex would keep list pointers in the region, and whoever scribbles
 * over them crashes the others; so the lock is not on the thread's robust list but only its `list_op_pending`, for as
 * long as it is held: the kernel of Linux then marks the word FUTEX_OWNER_DIED when the thread dies, and follows no pointer of ours.
 */
#ifndef DRVS_LOCK_H
#define DRVS_LOCK_H

#include "region.h"

#define K_LOCK_TRY INT64_MIN /* a deadline: about a hundred pauses, then K_CONTENDED */

/* K_OK with the lock held, a dead owner's work finished; K_CONTENDED; K_TIMEDOUT; K_NOTREADY when this thread is inside already
 * (a signal handler that interrupted a transition); K_VMNOTRUN, K_BADVMID when the VM ended while the lock was stuck;
 * K_RESTARTSYS if `interruptible` and a signal came while it slept. */
int k_lock(const struct k_region *region, int64_t deadline_ns, bool interruptible);
void k_unlock(const struct k_region *region);

/* After a lock was taken from a dead owner: apply the committed redo record, wake whom it made runnable. (redo.c) */
void k_recover(const struct k_region *region);

void k_futex_wake(_Atomic uint32_t *word, int how_many);
/* Sleep while *word == value, until a wake, a signal or `timeout_ns` from now: 0, or an errno. */
int k_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns);

static inline void k_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
