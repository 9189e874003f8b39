/* pages.c: scan a page map, copy pages into a stream with their checksums. */
#define _GNU_SOURCE
#include "pages.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blob.h"

/* ---- checksums ------------------------------------------------------------------------------------------------------ */

static uint32_t crc_slowly(uint32_t crc, const unsigned char *byte, size_t nbytes) {
    for (; nbytes; nbytes--) {
        crc ^= *byte++;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_quickly(uint32_t crc, const unsigned char *byte, size_t nbytes) {
    uint64_t wide = crc;
    for (; nbytes >= 8; nbytes -= 8, byte += 8) {
        uint64_t word;
        memcpy(&word, byte, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    return crc_slowly((uint32_t)wide, byte, nbytes);
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t nbytes) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc_quickly(~crc, bytes, nbytes);
#endif
    return ~crc_slowly(~crc, bytes, nbytes);
}

/* ---- the page map --------------------------------------------------------------------------------------------------- */

enum { ENTRIES = 4096 };

static enum page_kind kind_of(uint64_t entry, int resident) {
    int of_file = (int)(entry >> 61 & 1), present = (int)(entry >> 63), swapped = (int)(entry >> 62 & 1);
    if (entry >> 58 & 1) return PAGE_GUARD;
    return (present || swapped) && (resident || !of_file) ? PAGE_OWN : PAGE_ABSENT;
}

int next_run(int pagemap_fd, uint64_t *from, uint64_t end, int resident, struct page_run *run) {
    uint64_t entries[ENTRIES];
    run->kind = PAGE_ABSENT;
    run->nbytes = 0;
    while (*from < end) {
        uint64_t want = (end - *from) / BLOB_PAGE;
        size_t bytes = (want < ENTRIES ? (size_t)want : (size_t)ENTRIES) * sizeof *entries;
        ssize_t got = pread(pagemap_fd, entries, bytes, (off_t)(*from / BLOB_PAGE * sizeof *entries));
        if (got < (ssize_t)sizeof *entries) return got < 0 ? -errno : -EIO;
        for (size_t i = 0; i < (size_t)got / sizeof *entries; i++, *from += BLOB_PAGE) {
            enum page_kind kind = kind_of(entries[i], resident);
            if (run->kind != PAGE_ABSENT && kind != run->kind) return 1;
            if (kind == PAGE_ABSENT) continue;
            if (run->kind == PAGE_ABSENT) run->address = *from;
            run->kind = kind;
            run->nbytes += BLOB_PAGE;
        }
    }
    return run->kind != PAGE_ABSENT;
}

/* ---- copying -------------------------------------------------------------------------------------------------------- */

static int write_all(int fd, struct iovec *part, int parts) {
    while (parts) {
        ssize_t n = writev(fd, part, parts);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return -errno;
        }
        for (; n > 0 && parts && (size_t)n >= part->iov_len; part++, parts--) n -= (ssize_t)part->iov_len;
        if (n > 0) part->iov_base = (char *)part->iov_base + n, part->iov_len -= (size_t)n;
    }
    return 0;
}

static int write_record(int fd, uint64_t address, void *pages, uint64_t nbytes) {
    struct blob_record record = {.kind = BLOB_RECORD_PAGES, .address = address, .length = nbytes};
    uint32_t crc = crc32c(0, &record.kind, sizeof record.kind);
    crc = crc32c(crc, &record.address, sizeof record.address + sizeof record.length);
    record.crc = crc32c(crc, pages, nbytes);
    struct iovec parts[2] = {{&record, sizeof record}, {pages, nbytes}};
    return write_all(fd, parts, 2);
}

/* process_vm_readv is quicker; /proc/PID/mem also reads what the process itself may not. */
static int64_t fetch(pid_t pid, int mem_fd, uint64_t address, void *buffer, uint64_t nbytes) {
    struct iovec here = {buffer, nbytes}, there = {(void *)(uintptr_t)address, nbytes};
    ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (n == (ssize_t)nbytes) return n;
    n = pread(mem_fd, buffer, nbytes, (off_t)address);
    return n < 0 ? -errno : n;
}

static int is_zero(const char *page) {
    const uint64_t *word = (const uint64_t *)(const void *)page;
    for (size_t i = 0; i < BLOB_PAGE / 8; i++)
        if (word[i]) return 0;
    return 1;
}

static int64_t write_chunk(int fd, uint64_t address, char *chunk, uint64_t nbytes, int skip_zero, uint64_t *records) {
    int64_t written = 0;
    for (uint64_t start = 0, at = 0; start < nbytes; start = at) {
        for (at = start; at < nbytes && !(skip_zero && is_zero(chunk + at)); at += BLOB_PAGE) {}
        if (at > start) {
            int failed = write_record(fd, address + start, chunk + start, at - start);
            if (failed) return failed;
            written += (int64_t)(at - start);
            ++*records;
        }
        for (; at < nbytes && skip_zero && is_zero(chunk + at); at += BLOB_PAGE) {}
    }
    return written;
}

static int64_t copy_into(char *chunk, pid_t pid, int mem_fd, int out_fd, uint64_t address, uint64_t nbytes, int skip_zero, int lenient,
                         uint64_t *records) {
    int64_t written = 0;
    for (uint64_t size; nbytes; address += size, nbytes -= size) {
        size = nbytes < BLOB_RECORD_MAX ? nbytes : BLOB_RECORD_MAX;
        int64_t got = fetch(pid, mem_fd, address, chunk, size);
        if (got != (int64_t)size && !lenient) return got < 0 ? got : -EFAULT;
        if (got <= 0) {
            size = BLOB_PAGE;
            continue;
        }
        size = (uint64_t)got & ~(BLOB_PAGE - 1);
        if (!size) return -EFAULT;
        int64_t n = write_chunk(out_fd, address, chunk, size, skip_zero, records);
        if (n < 0) return n;
        written += n;
    }
    return written;
}

int64_t copy_pages(pid_t pid, int mem_fd, int out_fd, uint64_t address, uint64_t nbytes, int skip_zero, int lenient,
                         uint64_t *records) {
    char *chunk = aligned_alloc(BLOB_PAGE, BLOB_RECORD_MAX);
    if (!chunk) return -ENOMEM;
    int64_t written = copy_into(chunk, pid, mem_fd, out_fd, address, nbytes, skip_zero, lenient, records);
    free(chunk);
    return written;
}
