/* memory.c: asking the kernel of Linux about a pointer, by a copy from this process to itself. */
#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECE = 256 };

/* Where Linux or a sandbox forbids the call nothing is known, and the pointer is believed. */
static bool moved_all(ssize_t moved, size_t bytes) {
    return moved >= 0 ? (size_t)moved == bytes : errno == EPERM || errno == ENOSYS;
}

/* Read a piece of this process's memory; with `written`, write the same bytes back: what is there stays. */
static bool piece_works(void *at, size_t bytes, bool written) {
    char here[PIECE];
    struct iovec local = {.iov_base = here, .iov_len = bytes}, remote = {.iov_base = at, .iov_len = bytes};
    if (!moved_all(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), bytes)) return false;
    return !written || moved_all(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), bytes);
}

static bool works(void *at, size_t bytes, bool written) {
    int before = errno;
    bool good = at && (uintptr_t)at + bytes > (uintptr_t)at;
    for (size_t done = 0; good && done < bytes; done += PIECE)
        good = piece_works((char *)at + done, bytes - done < PIECE ? bytes - done : PIECE, written);
    errno = before;
    return good;
}

bool memory_readable(const void *at, size_t bytes) {
    return works((void *)(uintptr_t)at, bytes, false);
}

bool memory_writable(void *at, size_t bytes) {
    return works(at, bytes, true);
}

bool memory_is_tracked;

/* Valgrind puts its own libraries into the environment of a program that it runs. */
static bool under_valgrind(void) {
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "vgpreload");
}

/* A system call that writes: Memcheck knows what those do. */
void memory_was_written(void *at, size_t bytes) {
    struct iovec piece = {.iov_base = at, .iov_len = bytes};
    int before = errno;
    if (process_vm_readv(getpid(), &piece, 1, &piece, 1, 0) < 0) memory_is_tracked = false;
    errno = before;
}

bool memory_learn(const message *m, bool written) {
    uintptr_t first = (uintptr_t)m >> PAGE_BITS, last = ((uintptr_t)m + sizeof *m - 1) >> PAGE_BITS;
    memory_is_tracked = under_valgrind();
    uintptr_t *pages = written ? this_thread.writable : this_thread.readable;
    if (!works((void *)(uintptr_t)m, sizeof *m, written)) return false;
    pages[first % KNOWN_PAGES] = first + 1;
    pages[last % KNOWN_PAGES] = last + 1;
    return true;
}
