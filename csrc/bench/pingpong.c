/* pingpong.c: a round trip stripped to what no implementation can leave out.
 *
 * Two directions, each a group of lines of its own: the word that says a message is there, the message, the CPU its writer
 * runs on. The receiver owns the `waiting` flag (it alone sets and clears it): with one that the sender clears, wake-ups get
 * lost. A waiter spins only while the other side runs on another CPU; on the same CPU it would spin against itself.
 */
#define _GNU_SOURCE
#include "pingpong.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SECOND_NS = 1000000000, PATIENCE_S = 5, PAUSES_PER_LOOK = 32 };

struct direction {
    _Alignas(64) _Atomic uint32_t seq; /* counts messages; the futex word */
    _Atomic uint32_t waiting;          /* owned by the receiver: it sleeps, or is about to */
    _Alignas(64) uint8_t message[PINGPONG_MESSAGE];
    _Alignas(64) _Atomic uint32_t cpu; /* + 1, of the sender; written only when it changes */
};

struct pingpong {
    struct direction ping, pong;
    _Alignas(64) _Atomic uint32_t stop;
};
_Static_assert(sizeof(struct pingpong) <= PINGPONG_BYTES, "fits the mapping");

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static inline void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void note_cpu(struct direction *mine) {
    const uint32_t cpu = (uint32_t)sched_getcpu() + 1;
    if (atomic_load_explicit(&mine->cpu, memory_order_relaxed) != cpu) {
        atomic_store_explicit(&mine->cpu, cpu, memory_order_relaxed);
    }
}

static void publish(struct direction *out, const uint8_t *message, uint32_t seq) {
    memcpy(out->message, message, PINGPONG_MESSAGE);
    atomic_store_explicit(&out->seq, seq, memory_order_seq_cst);
    if (atomic_load_explicit(&out->waiting, memory_order_seq_cst)) {
        syscall(SYS_futex, &out->seq, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static bool arrived(struct direction *in, uint32_t seen) {
    return atomic_load_explicit(&in->seq, memory_order_acquire) != seen;
}

static bool spin(struct direction *in, uint32_t seen, uint32_t spin_us) {
    if (atomic_load_explicit(&in->cpu, memory_order_relaxed) == (uint32_t)sched_getcpu() + 1) {
        return arrived(in, seen);
    }
    const uint64_t end = now_ns() + (uint64_t)spin_us * 1000;
    do {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (arrived(in, seen)) {
                return true;
            }
            pause_cpu();
        }
    } while (now_ns() < end);
    return false;
}

/* Sleep at most a second; the caller looks again. */
static void doze(struct direction *in, uint32_t seen) {
    const struct timespec second = {.tv_sec = 1};
    atomic_store_explicit(&in->waiting, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&in->seq, memory_order_seq_cst) == seen) {
        syscall(SYS_futex, &in->seq, FUTEX_WAIT, seen, &second, NULL, 0);
    }
    atomic_store_explicit(&in->waiting, 0, memory_order_relaxed);
}

static bool await(struct direction *in, uint32_t seen, uint32_t spin_us) {
    if (spin(in, seen, spin_us)) {
        return true;
    }
    const uint64_t end = now_ns() + (uint64_t)PATIENCE_S * SECOND_NS;
    while (!arrived(in, seen)) {
        if (now_ns() > end) {
            return false;
        }
        doze(in, seen);
    }
    return true;
}

static bool round_trip(struct pingpong *both, uint8_t *message, uint32_t spin_us) {
    const uint32_t seen = atomic_load_explicit(&both->pong.seq, memory_order_relaxed);
    note_cpu(&both->ping);
    publish(&both->ping, message, seen + 1);
    if (!await(&both->pong, seen, spin_us)) {
        return false;
    }
    memcpy(message, both->pong.message, PINGPONG_MESSAGE);
    return true;
}

static void idle(uint32_t idle_us) {
    if (idle_us != 0) {
        const struct timespec pause = {.tv_nsec = (long)idle_us * 1000};
        nanosleep(&pause, NULL);
    }
}

static int64_t each_round(struct pingpong *both, uint8_t *message, uint32_t rounds, uint32_t spin_us, uint32_t idle_us,
                          uint64_t *times) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        idle(idle_us);
        const uint64_t start = now_ns();
        if (!round_trip(both, message, spin_us)) {
            return -ETIMEDOUT;
        }
        const uint64_t took = now_ns() - start;
        total += took;
        if (times) {
            times[i] = took;
        }
    }
    return (int64_t)total;
}

int64_t pingpong_call(void *shared, uint32_t rounds, uint32_t spin_us, uint32_t idle_us, uint64_t *times) {
    uint8_t message[PINGPONG_MESSAGE] = {1};
    struct pingpong *both = shared;
    if (times || idle_us) {
        return each_round(both, message, rounds, spin_us, idle_us, times);
    }
    const uint64_t start = now_ns();
    for (uint32_t i = 0; i < rounds; i++) {
        if (!round_trip(both, message, spin_us)) {
            return -ETIMEDOUT;
        }
    }
    return (int64_t)(now_ns() - start);
}

static bool stopped(struct pingpong *both) {
    return atomic_load_explicit(&both->stop, memory_order_seq_cst) != 0;
}

int64_t pingpong_serve(void *shared, uint32_t spin_us) {
    struct pingpong *both = shared;
    uint8_t message[PINGPONG_MESSAGE];
    uint32_t seen = atomic_load_explicit(&both->pong.seq, memory_order_relaxed);
    while (!stopped(both)) {
        if (!await(&both->ping, seen, spin_us)) {
            continue;
        }
        seen = atomic_load_explicit(&both->ping.seq, memory_order_relaxed);
        memcpy(message, both->ping.message, PINGPONG_MESSAGE);
        note_cpu(&both->pong);
        publish(&both->pong, message, seen);
    }
    return 0;
}

/* A last message, that nobody reads, ends the server's wait. */
void pingpong_stop(void *shared) {
    struct pingpong *both = shared;
    atomic_store_explicit(&both->stop, 1, memory_order_seq_cst);
    atomic_fetch_add_explicit(&both->ping.seq, 1, memory_order_seq_cst);
    syscall(SYS_futex, &both->ping.seq, FUTEX_WAKE, 1, NULL, NULL, 0);
}
