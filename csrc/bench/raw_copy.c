/* raw_copy.c: process_vm_readv in a loop, the yardstick of the copy table. */
#define _GNU_SOURCE
#include "pingpong.h"

#include <errno.h>
#include <sys/uio.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int copy_once(int pid, struct iovec local, struct iovec remote) {
    const ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (got < 0) {
        return -errno;
    }
    return (size_t)got == local.iov_len ? 0 : -EFAULT;
}

int64_t raw_copy(int pid, uint64_t address, void *local, size_t bytes, uint32_t rounds, uint64_t *times) {
    const struct iovec to = {.iov_base = local, .iov_len = bytes};
    const struct iovec from = {.iov_base = (void *)(uintptr_t)address, .iov_len = bytes};
    const uint64_t start = now_ns();
    uint64_t last = start;
    for (uint32_t i = 0; i < rounds; i++) {
        const int code = copy_once(pid, to, from);
        if (code != 0) {
            return code;
        }
        if (times) {
            const uint64_t now = now_ns();
            times[i] = now - last;
            last = now;
        }
    }
    return (int64_t)(now_ns() - start);
}
