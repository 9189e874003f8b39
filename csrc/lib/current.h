/* current.h: whose endpoint a call uses: the guide's two ways of dealing with threads (4.1.7).
 *
 * A process belongs to one VM. A thread that has bound itself (mnx_tbind) uses its own endpoint; any other uses the one of the
 * process. A process that was bound by another (mnx_lclbind), or has exec'ed, finds its endpoint at its first call.
 */
#ifndef M3IPC_CURRENT_H
#define M3IPC_CURRENT_H

#include "lib.h"

/* The process's tables. False: this very thread holds the lock already (a signal handler): do without. */
bool tables_lock(void);
void tables_unlock(void);

/* The binding of the process; NULL if none is known. */
extern struct binding *_Atomic shared_binding __attribute__((visibility("hidden")));

static inline struct binding *known_binding(void) {
    struct binding *own = this_thread.own;
    return own ? own : atomic_load_explicit(&shared_binding, memory_order_acquire);
}

/* The endpoint that a call of this thread uses, or that of the process; asks noded if none is known. NULL: *code says why
 * (EMOLNOTBIND, EMOLDRVSINIT). */
struct binding *current_binding(int *code);
struct binding *process_binding(int *code);
/* `stale` is not bound any more: another binding of the process that has been made since, or NULL. */
struct binding *binding_after(const struct binding *stale, int *code);

/* Make it the process's; returns the one that is (another thread may have found the same binding before). */
struct binding *keep_shared(struct binding *b);
void keep_own(struct binding *b);
/* Use it no longer. */
void forget(struct binding *b);
/* This process's binding of an endpoint (SELF: the calling thread's), NULL if it is another's. */
struct binding *bound_here(int vmid, int endpoint);

#endif
