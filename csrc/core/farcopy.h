/* farcopy.h: copies between processes of different nodes. */
#ifndef DRVS_FARCOPY_H
#define DRVS_FARCOPY_H

#include "remote.h"

/* Ask for the copy `f` by the slot that acts; a party at least is remote, and all parties have been found. K_BLOCKED. */
struct k_far { int32_t src, dst; uint32_t src_slot, dst_slot; uint64_t src_address, dst_address, bytes; };
int k_copy_abroad(struct k_txn *t, const struct k_far *f);

/* Plan the end of the copy that is under way here for a remote process: its parties go on, its node is told the code. */
void k_end_far(struct k_txn *t, struct k_slot *r, uint32_t index, int code);
/* Plan the end of a local slot's remote call, whose list it is out of. */
void k_end_caller(struct k_txn *t, struct k_slot *s, uint32_t index, int code);
/* A copy that needs a node that is lost, though neither its requester nor whoever it waits for first is there: one step. K_OK: none. */
int k_cut_copy(struct k_txn *t, struct k_slot *s, uint32_t index, uint32_t node, int code);

#endif
