/* pages.h: which pages of a process are its own, and how they get into a stream. */
#ifndef DRVS_IMAGE_PAGES_H
#define DRVS_IMAGE_PAGES_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum page_kind { PAGE_ABSENT, PAGE_OWN, PAGE_GUARD };

struct page_run {
    uint64_t address, nbytes;
    enum page_kind kind;
};

uint32_t crc32c(uint32_t crc, const void *bytes, size_t nbytes);

/* Find the next run of own or guarded pages in [*from, end) and set *from behind it. 1: found, 0: no more, -errno.
 * Own pages are private to the process, in memory or swapped out. */
int next_run(int pagemap_fd, uint64_t *from, uint64_t end, struct page_run *run);

/* The same for many runs of own pages, without a look at what is not mapped: terabytes may be reserved. Returns how many, and sets
 * *from to where it stopped; -ENOTTY before Linux 6.7. */
enum { SCAN_ROOM = 256 };
int scan_runs(int pagemap_fd, uint64_t *from, uint64_t end, struct page_run *run, int room);

#define COPY_SKIP_ZERO 1u /* pages of zeros are left out */
#define COPY_LENIENT 2u   /* so are pages that cannot be read (behind the end of a file) */

struct copy_run {
    uint64_t address, nbytes, how;
};

/* From whom, where to, and how much it was. */
struct copy {
    pid_t pid;
    int mem_fd, out_fd;
    uint64_t payload, records;
};

/* Write runs of a process's pages to a stream, as page records; 0 or -errno. Whole pages only. */
int copy_runs(struct copy *copy, const struct copy_run *run, size_t runs);

#endif
