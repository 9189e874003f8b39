/* smaps.h: /proc/PID/smaps, mapping by mapping: what the dump wants to know of each, found without a search engine. */
#ifndef DRVS_IMAGE_SMAPS_H
#define DRVS_IMAGE_SMAPS_H
#include <stddef.h>
#include <stdint.h>

/* Strings point into the text. */
struct smaps_entry {
    uint64_t start, end, offset, inode;
    int protection;        /* as mmap takes it */
    int shared;
    const char *name;      /* as the kernel writes it: a newline is \012 */
    size_t name_bytes;
    uint64_t own_kb;       /* in memory or swapped out, and in no file */
    const char *flags;     /* two letters each, with blanks between */
    size_t flags_bytes;
};

/* Take the next mapping off the text and set *text behind it; 1, or 0 at the end or where no mapping begins. */
int next_smaps(const char **text, const char *end, struct smaps_entry *entry);

#endif
