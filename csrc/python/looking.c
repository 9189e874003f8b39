/* looking.c: see looking.h. */
#define _GNU_SOURCE
#include "looking.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "../core/cpu.h"

static uint64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool comes_from_elsewhere(int fd) {
    int cpu = -1;
    socklen_t size = sizeof cpu;
    return getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &size) == 0 && cpu >= 0 && (uint32_t)cpu + 1 != k_this_cpu();
}

enum looked look_on(int fd, uint64_t until_ns, bool (*ready)(const void *context), const void *context) {
    struct pollfd link = {.fd = fd, .events = POLLIN};
    if (!comes_from_elsewhere(fd)) return LOOKED_IN_VAIN;
    while (monotonic_ns() < until_ns) {
        if (ready(context)) return LOOKED_READY;
        if (poll(&link, 1, 0) != 0) return LOOKED_READABLE; /* or a signal: whoever reads finds nothing */
    }
    return LOOKED_IN_VAIN;
}

void doze_on(int fd, uint64_t ns) {
    struct pollfd look = {.fd = fd, .events = POLLIN};
    struct timespec most = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    ppoll(&look, 1, &most, NULL);
}
