/* handle.h: claiming a handle for one call at a time. */
#ifndef DRVS_HANDLE_H
#define DRVS_HANDLE_H

#include "core.h"

/* K_OK: the caller alone uses the handle until it releases it. K_NOTBIND in a forked child or after an unbind, K_NOTREADY while
 * another call is under way, K_BADPID when the slot names another process. */
int k_handle_claim(struct k_handle *handle);
/* Finish a cancellation that is still owed; NOTREADY if a copy or a stuck lock forbids it. For calls that k_call_start does not start. */
int k_handle_settle(struct k_handle *handle);
/* A private table of the handle, one entry of `entry` bytes a slot, zeroed and backed lazily; NULL if there is no memory. */
void *k_handle_table(const struct k_region *region, size_t entry);
void k_handle_release(struct k_handle *handle);

#endif
