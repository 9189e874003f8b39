/* window.h: shared memory of members, mapped here: bytes go there and come from there without a system call that copies. */
#ifndef DRVS_WINDOW_H
#define DRVS_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum { K_WINDOWS = 16, K_WINDOW_PIECE_MIN = 16384 };

/* A mapping of a member, and where the same memory is mapped here. */
struct k_window {
    int32_t pid;       /* 0: no window */
    int maps;          /* its /proc/PID/maps: of that very image of the process, so that an exec ends it */
    uint64_t from, to; /* addresses in the member */
    uint64_t offset, inode;
    uint32_t major, minor;
    bool writable;     /* by the member */
    uint8_t *here;     /* NULL: this memory cannot be mapped */
    uint64_t used_ns;
};

struct k_windows {
    struct k_window all[K_WINDOWS];
    struct k_window *asked; /* whose memory was asked for last */
    uint64_t swept_ns;
    bool unable; /* this kernel does not tell what an address is */
};

/* Where `bytes` bytes at an address of a member are here. NULL: they have to be copied by the kernel. What the member has there is asked of
 * the kernel for the `first` piece of each copy: before that it may have unmapped a block and mapped another one; from then on it is held.
 * Only memory that is all there and cannot shrink is mapped, so that nothing faults. The member is believed already (trust.h). */
uint8_t *k_window(struct k_windows *w, int32_t pid, uint64_t address, uint64_t bytes, bool write, bool first);
/* Let go of what nobody has used for a second or two: a block that its owner has released is nobody's memory then. Call it before sleeping. */
void k_windows_sweep(struct k_windows *w);
void k_windows_close(struct k_windows *w);

#endif
