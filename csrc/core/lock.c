/* lock.c: taking, losing and inheriting the VM's lock. */
#define _GNU_SOURCE
#include "lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fork.h"

enum {
    TRIES = 150,                 /* before the first sleep: a transition takes less */
    BARE_TRIES = 50,             /* the first of them without a pause between */
    LOOK_AGAIN_NS = 50 * 1000000 /* closes the gap between an unlock and its wake, and is where a garbage word is noticed */
};

/* The calling thread, as the lock word and the kernel's robust list know it. */
static __thread struct {
    uint32_t epoch; /* of fork.h: a child's first call refreshes the rest */
    uint32_t tid;
    struct robust_list_head *robust;
    bool inside;
} self __attribute__((tls_model("initial-exec")));

static __thread struct robust_list_head own_robust_head __attribute__((tls_model("initial-exec")));

static void know_self(uint32_t epoch) {
    size_t length;
    self.tid = (uint32_t)syscall(SYS_gettid);
    self.inside = false;
    if (syscall(SYS_get_robust_list, 0, &self.robust, &length) != 0 || !self.robust) { /* a libc without robust mutexes */
        own_robust_head.list.next = &own_robust_head.list;
        syscall(SYS_set_robust_list, &own_robust_head, sizeof own_robust_head);
        self.robust = &own_robust_head;
    }
    self.epoch = epoch;
}

int64_t k_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void k_futex_wake(_Atomic uint32_t *word, int how_many) {
    syscall(SYS_futex, word, FUTEX_WAKE, how_many, NULL, NULL, 0);
}

int k_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns) {
    if (timeout_ns <= 0) return ETIMEDOUT;
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0) == 0 ? 0 : errno;
}

/* From here until not_pending() the kernel looks at the lock word when this thread dies. */
static inline void pending(_Atomic uint32_t *lock) {
    self.robust->list_op_pending = (struct robust_list *)(void *)((char *)lock - self.robust->futex_offset);
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void not_pending(void) {
    atomic_signal_fence(memory_order_seq_cst);
    self.robust->list_op_pending = NULL;
}

/* One attempt: true with the lock held. `waiters` is kept in the word by those who have slept, for others may sleep still. */
static bool take(_Atomic uint32_t *lock, uint32_t seen, uint32_t waiters) {
    if (seen & FUTEX_TID_MASK && !(seen & FUTEX_OWNER_DIED)) return false;
    uint32_t mine = self.tid | waiters | (seen & FUTEX_WAITERS);
    return atomic_compare_exchange_strong_explicit(lock, &seen, mine, memory_order_acquire, memory_order_relaxed);
}

/* A word that names no living thread, or this one, was not left by a holder: the region is damaged there. */
static bool names_nobody(uint32_t seen) {
    uint32_t tid = seen & FUTEX_TID_MASK;
    return tid == self.tid || (tid && kill((pid_t)tid, 0) != 0 && errno == ESRCH);
}

static bool take_from_nobody(_Atomic uint32_t *lock, uint32_t seen) {
    return names_nobody(seen) && atomic_compare_exchange_strong(lock, &seen, self.tid | FUTEX_WAITERS);
}

static int64_t until(int64_t deadline_ns) {
    int64_t left = deadline_ns == K_FOREVER ? LOOK_AGAIN_NS : deadline_ns - k_now_ns();
    return left < LOOK_AGAIN_NS ? left : LOOK_AGAIN_NS;
}

/* Sleep till the word changes: K_OK, or why not to go on. */
static int sleep_on(_Atomic uint32_t *lock, uint32_t seen, int64_t deadline_ns, bool interruptible) {
    uint32_t flagged = seen | FUTEX_WAITERS;
    int64_t left = until(deadline_ns);
    if (left <= 0) return K_TIMEDOUT;
    if (seen != flagged && !atomic_compare_exchange_strong(lock, &seen, flagged)) return K_OK;
    return k_futex_wait(lock, flagged, left) == EINTR && interruptible ? K_RESTARTSYS : K_OK;
}

/* A VM that was ended over a stuck lock lets its waiters go. */
static int ended(const struct k_header *header) {
    uint32_t state = atomic_load_explicit(&header->state, memory_order_relaxed);
    return state == K_VM_RUNNING ? K_OK : state == K_VM_ENDED ? K_VMNOTRUN : K_BADVMID;
}

static int take_slowly(struct k_header *header, int64_t deadline_ns, bool interruptible) {
    _Atomic uint32_t *lock = &header->lock;
    int64_t since = k_now_ns();
    for (;;) {
        int code = K_OK;
        uint32_t seen = atomic_load_explicit(lock, memory_order_relaxed);
        if (take(lock, seen, FUTEX_WAITERS)) return K_OK;
        if (k_now_ns() - since > LOOK_AGAIN_NS) {
            if (take_from_nobody(lock, seen)) return K_OK;
            if (ended(header) != K_OK) return ended(header);
            since = k_now_ns();
        }
        if (seen & FUTEX_TID_MASK && !(seen & FUTEX_OWNER_DIED)) code = sleep_on(lock, seen, deadline_ns, interruptible);
        if (code != K_OK) return code;
    }
}

static int take_patiently(struct k_header *header, int64_t deadline_ns, bool interruptible) {
    for (int i = 0; i < TRIES; i++) {
        if (take(&header->lock, atomic_load_explicit(&header->lock, memory_order_relaxed), 0)) return K_OK;
        if (i >= BARE_TRIES) k_pause();
    }
    return deadline_ns == K_LOCK_TRY ? K_CONTENDED : take_slowly(header, deadline_ns, interruptible);
}

int k_lock(const struct k_region *region, int64_t deadline_ns, bool interruptible) {
    struct k_header *header = k_header(region);
    uint32_t epoch = k_fork_epoch();
    if (__builtin_expect(self.epoch != epoch, 0)) know_self(epoch);
    if (self.inside) return K_NOTREADY;
    self.inside = true;
    pending(&header->lock);
    int code = K_OK;
    if (!take(&header->lock, 0, 0)) code = take_patiently(header, deadline_ns, interruptible);
    if (code != K_OK) {
        not_pending();
        self.inside = false;
        return code;
    }
    header->epoch++;
    if (__builtin_expect(header->commit != 0, 0)) k_recover(region);
    return K_OK;
}

void k_unlock(const struct k_region *region) {
    _Atomic uint32_t *lock = &k_header(region)->lock;
    uint32_t was = atomic_exchange_explicit(lock, 0, memory_order_seq_cst);
    if (was & FUTEX_WAITERS) k_futex_wake(lock, 1);
    not_pending();
    self.inside = false;
}

/* ---- for the daemon's watchdog --------------------------------------------------------------------------------- */

struct k_holder k_lock_holder(const struct k_region *region) {
    uint32_t word = atomic_load(&k_header(region)->lock);
    uint32_t epoch = *(volatile uint32_t *)&k_header(region)->epoch;
    return (struct k_holder){.tid = word & FUTEX_TID_MASK, .epoch = epoch, .died = (word & FUTEX_OWNER_DIED) != 0};
}

int k_lock_break(struct k_region *region, uint32_t me, uint32_t seen_tid) {
    _Atomic uint32_t *lock = &k_header(region)->lock;
    uint32_t word = atomic_load(lock);
    (void)me;
    if ((word & FUTEX_TID_MASK) != seen_tid) return K_AGAIN;
    uint32_t dead = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    if (!atomic_compare_exchange_strong(lock, &word, dead)) return K_AGAIN;
    k_futex_wake(lock, 1);
    int code = k_lock(region, k_now_ns() + 1000000000, false);
    if (code == K_OK) k_unlock(region);
    return code;
}
