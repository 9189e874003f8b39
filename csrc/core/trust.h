/* trust.h: copying to and from processes that are believed to be members. */
#ifndef DRVS_TRUST_H
#define DRVS_TRUST_H

#include "kernel.h"

/* The pid of a slot's owner, once it is known that this process maps the region; `members` is the caller's table of those, made when
 * first needed. K_BADPID: it does not; `gone` (K_SRCDIED, K_DSTDIED): it has exited. */
int k_believe(const struct k_region *region, uint64_t **members, int32_t own_pid, uint32_t slot, int32_t *pid, int gone);
/* The bytes of a copy whose pids are believed; `fallback`, if not NULL, is asked where Linux refuses. */
int k_copy_trusted(const struct k_copy *copy, int32_t own_pid, uint32_t chunk, k_copy_fallback *fallback, void *context);

/* A slot other than the caller's can be party of a copy: K_OK, K_BUSY, K_PROCSTS. */
int k_check_party(const struct k_txn *t, uint32_t index);
/* A copy of the caller's that an exec cut short: it cannot be in two. A commit of its own. */
int k_drop_stale_copy(struct k_txn *t, struct k_slot *me);

/* Party of the copy between nodes that slot `holder` has under way. */
static inline bool k_is_held_by(const struct k_slot *s, uint32_t holder) {
    return s->rts & K_RTS_HELD && s->holder == holder + 1;
}

#endif
