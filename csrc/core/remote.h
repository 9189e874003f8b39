/* remote.h: calls that cross to another node, and the commands that carry them. */
#ifndef DRVS_REMOTE_H
#define DRVS_REMOTE_H

#include "kernel.h"
#include "route.h"

/* What a slot has for another node: the words out_* of it. */
struct k_out {
    uint32_t cmd, node;
    int32_t src, dst;
    uint32_t call, answers, flags, value;
    int code;
};

/* Addresses are two words, low word first. */
static inline uint64_t k_wide(const uint32_t words[2]) {
    return words[0] | (uint64_t)words[1] << 32;
}

static inline void k_set_wide(uint32_t words[2], uint64_t value) {
    words[0] = (uint32_t)value, words[1] = (uint32_t)(value >> 32);
}

/* ---- the queue of a proxy pair (outbox.c) --------------------------------------------------------------------------- */

/* The slot that an index of a proxy's queue means: members, and the kernel's, which notify. */
struct k_slot *k_outbox_at(struct k_txn *t, uint32_t index);
/* Write the command into a slot that is in no proxy's queue, and plan its place at the end of one. */
void k_outbox_put(struct k_txn *t, struct k_slot *s, uint32_t index, uint32_t px, const struct k_out *out);
/* Plan its place alone: the words are there. */
void k_outbox_push(struct k_txn *t, struct k_slot *s, uint32_t index, uint32_t px);
/* Plan the way out of the proxy's queue. */
void k_outbox_leave(struct k_txn *t, struct k_slot *s, uint32_t index);
/* Plan the way to the end of the queue: others first. */
void k_outbox_rotate(struct k_txn *t, struct k_slot *s, uint32_t index);
/* A command of the slot's that is still there: it has been given up, and a new one takes its place. A commit of its own. */
int k_outbox_clear(struct k_txn *t, struct k_slot *s, uint32_t index);

/* ---- the caller's node (remote.c) ----------------------------------------------------------------------------------- */

/* The remote halves of send and sendrec, reply, notify: `d` is remote, and its node can be reached. */
int k_send_abroad(struct k_txn *t, struct k_call *call, struct k_slot *d, uint32_t di, bool request);
int k_reply_abroad(struct k_txn *t, struct k_call *call, struct k_slot *d, uint32_t di);
int k_notify_abroad(struct k_txn *t, struct k_call *call, int32_t source_ep, struct k_slot *d, uint32_t di);

/* What a blocked slot has asked of another node is not wanted any more: planned out of the proxy's queue, or, if it has left, a
 * CANCEL after it. */
void k_withdraw(struct k_txn *t, struct k_slot *s, uint32_t index);
/* The same without the CANCEL: there is nobody to tell. */
void k_forget(struct k_txn *t, struct k_slot *s, uint32_t index);
/* The slot that a local one waits for on another node; false: it does not. */
bool k_waits_abroad(const struct k_region *region, const struct k_slot *s, uint32_t *whom);

/* ---- the other node ----------------------------------------------------------------------------------------------------- */

/* One step towards a remote process that has nothing under way here, its queued answer apart: its call ends with `code`, which
 * its node is told if it can be reached. K_OK when it is quiet, K_MORE after a commit. */
int k_quieten(struct k_txn *t, struct k_slot *s, uint32_t index, int code);

#endif
