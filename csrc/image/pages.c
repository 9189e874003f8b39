/* pages.c: scan a page map, copy pages into a stream with their checksums. */
#define _GNU_SOURCE
#include "pages.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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
#define CRC_PART static inline __attribute__((always_inline))
#include "crc.h"

__attribute__((target("sse4.2"))) static uint32_t crc_quickly(uint32_t crc, const unsigned char *byte, size_t nbytes) {
    uint64_t wide = crc;
    for (; nbytes >= BLOB_PAGE && (uintptr_t)byte % sizeof wide == 0; nbytes -= BLOB_PAGE, byte += BLOB_PAGE)
        wide = crc_page(wide, (const uint64_t *)(const void *)byte);
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

static enum page_kind kind_of(uint64_t entry) {
    int of_file = (int)(entry >> 61 & 1), present = (int)(entry >> 63), swapped = (int)(entry >> 62 & 1);
    if (entry >> 58 & 1) return PAGE_GUARD;
    return (present || swapped) && !of_file ? PAGE_OWN : PAGE_ABSENT;
}

int next_run(int pagemap_fd, uint64_t *from, uint64_t end, struct page_run *run) {
    uint64_t entries[ENTRIES];
    run->kind = PAGE_ABSENT;
    run->nbytes = 0;
    while (*from < end) {
        uint64_t want = (end - *from) / BLOB_PAGE;
        size_t bytes = (want < ENTRIES ? (size_t)want : (size_t)ENTRIES) * sizeof *entries;
        ssize_t got = pread(pagemap_fd, entries, bytes, (off_t)(*from / BLOB_PAGE * sizeof *entries));
        if (got < (ssize_t)sizeof *entries) return got < 0 ? -errno : -EIO;
        for (size_t i = 0; i < (size_t)got / sizeof *entries; i++, *from += BLOB_PAGE) {
            enum page_kind kind = kind_of(entries[i]);
            if (run->kind != PAGE_ABSENT && kind != run->kind) return 1;
            if (kind == PAGE_ABSENT) continue;
            if (run->kind == PAGE_ABSENT) run->address = *from;
            run->kind = kind;
            run->nbytes += BLOB_PAGE;
        }
    }
    return run->kind != PAGE_ABSENT;
}

/* As in <linux/fs.h> since Linux 6.7. */
struct scan {
    uint64_t size, flags, start, end, walk_end, found, room, most, inverted, all_of, any_of, wanted;
};
#define SCAN _IOWR('f', 16, struct scan)
enum { IS_FILE = 4, IS_PRESENT = 8, IS_SWAPPED = 16, IS_ZERO = 32 };

int scan_runs(int pagemap_fd, uint64_t *from, uint64_t end, struct page_run *run, int room) {
    struct { uint64_t start, end, categories; } found[SCAN_ROOM];
    struct scan scan = {
        .size = sizeof scan, .start = *from, .end = end, .found = (uint64_t)(uintptr_t)found,
        .room = (uint64_t)(room < SCAN_ROOM ? room : SCAN_ROOM), .inverted = IS_FILE | IS_ZERO, .all_of = IS_FILE | IS_ZERO,
        .any_of = IS_PRESENT | IS_SWAPPED, .wanted = IS_PRESENT | IS_SWAPPED,
    };
    int n = ioctl(pagemap_fd, SCAN, &scan);
    if (n < 0) return -errno;
    for (int i = 0; i < n; i++) run[i] = (struct page_run){found[i].start, found[i].end - found[i].start, PAGE_OWN};
    *from = scan.walk_end;
    return n;
}

/* ---- copying -------------------------------------------------------------------------------------------------------- */

/* Pieces of runs are collected until the memory is full, fetched by one call, and written by one: it stays in the cache. */
enum { BATCH_BYTES = 512 << 10, BATCH_PAGES = BATCH_BYTES / BLOB_PAGE, PIECES = 64 };

struct piece {
    uint64_t address, nbytes;
    unsigned how;
};

struct batch {
    char memory[BATCH_BYTES] __attribute__((aligned(4096)));
    struct blob_record record[BATCH_PAGES];
    struct iovec part[2 * BATCH_PAGES];
    int records;
    struct piece piece[PIECES];
    int pieces;
    uint64_t nbytes;
};

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

static void add_record(struct batch *b, uint64_t address, char *pages, uint64_t nbytes) {
    struct blob_record *record = &b->record[b->records];
    *record = (struct blob_record){.kind = BLOB_RECORD_PAGES, .address = address, .length = nbytes};
    uint32_t crc = crc32c(0, &record->kind, sizeof record->kind);
    crc = crc32c(crc, &record->address, sizeof record->address + sizeof record->length);
    record->crc = crc32c(crc, pages, nbytes);
    b->part[2 * b->records] = (struct iovec){record, sizeof *record};
    b->part[2 * b->records + 1] = (struct iovec){pages, nbytes};
    b->records++;
}

static int is_zero(const char *page) {
    const uint64_t *word = (const uint64_t *)(const void *)page;
    for (size_t i = 0; i < BLOB_PAGE / 8; i++)
        if (word[i]) return 0;
    return 1;
}

static void add_records(struct batch *b, const struct piece *piece, char *pages) {
    int skip_zero = piece->how & COPY_SKIP_ZERO;
    for (uint64_t start = 0, at = 0; start < piece->nbytes; start = at) {
        for (at = start; at < piece->nbytes && !(skip_zero && is_zero(pages + at)); at += BLOB_PAGE) {}
        if (at > start) add_record(b, piece->address + start, pages + start, at - start);
        for (; at < piece->nbytes && skip_zero && is_zero(pages + at); at += BLOB_PAGE) {}
    }
}

/* process_vm_readv is quicker; /proc/PID/mem also reads what the process itself may not. */
static int fetch_together(const struct copy *copy, struct batch *b) {
    struct iovec here = {b->memory, b->nbytes}, there[PIECES];
    for (int i = 0; i < b->pieces; i++) there[i] = (struct iovec){(void *)(uintptr_t)b->piece[i].address, b->piece[i].nbytes};
    return process_vm_readv(copy->pid, &here, 1, there, (unsigned long)b->pieces, 0) == (ssize_t)b->nbytes;
}

/* Fetch a piece page by page, as far as there are pages: a mapping can reach behind the end of its file. */
static int fetch_alone(const struct copy *copy, struct piece *piece, char *pages) {
    uint64_t done = 0;
    while (done < piece->nbytes) {
        ssize_t n = pread(copy->mem_fd, pages + done, piece->nbytes - done, (off_t)(piece->address + done));
        if (n <= 0 && !(piece->how & COPY_LENIENT)) return n < 0 ? -errno : -EFAULT;
        if (n <= 0) break;
        done += (uint64_t)n;
    }
    piece->nbytes = done & ~(BLOB_PAGE - 1);
    return 0;
}

static int flush(struct copy *copy, struct batch *b) {
    int together = fetch_together(copy, b), failed = 0;
    char *pages = b->memory;
    b->records = 0;
    for (int i = 0; i < b->pieces; i++) {
        uint64_t space = b->piece[i].nbytes;
        if (!together && (failed = fetch_alone(copy, &b->piece[i], pages)) < 0) return failed;
        add_records(b, &b->piece[i], pages);
        pages += space;
    }
    for (int i = 0; i < b->records; i++) copy->payload += b->record[i].length;
    copy->records += (uint64_t)b->records;
    b->pieces = 0;
    b->nbytes = 0;
    return write_all(copy->out_fd, b->part, 2 * b->records);
}

static int add_run(struct copy *copy, struct batch *b, struct copy_run run) {
    while (run.nbytes) {
        uint64_t room = BATCH_BYTES - b->nbytes, nbytes = run.nbytes < room ? run.nbytes : room;
        b->piece[b->pieces++] = (struct piece){run.address, nbytes, (unsigned)run.how};
        b->nbytes += nbytes;
        run.address += nbytes;
        run.nbytes -= nbytes;
        int failed = b->nbytes == BATCH_BYTES || b->pieces == PIECES ? flush(copy, b) : 0;
        if (failed) return failed;
    }
    return 0;
}

int copy_runs(struct copy *copy, const struct copy_run *run, size_t runs) {
    struct batch *b = aligned_alloc(BLOB_PAGE, (sizeof *b + BLOB_PAGE - 1) / BLOB_PAGE * BLOB_PAGE);
    if (!b) return -ENOMEM;
    b->pieces = 0;
    b->nbytes = 0;
    int failed = 0;
    for (size_t i = 0; i < runs && !failed; i++) failed = add_run(copy, b, run[i]);
    if (!failed && b->pieces) failed = flush(copy, b);
    free(b);
    return failed;
}
