/* proxy.h: what the two halves of a proxy share. */
#ifndef DRVS_PROXY_H
#define DRVS_PROXY_H

#include "remote.h"

static inline bool k_cmd_is_copy(int32_t cmd) {
    int32_t plain = cmd & ~(int32_t)K_CMD_ACK;
    return plain >= K_CMD_COPYIN_DATA && plain <= K_CMD_COPYIN_RQST;
}

/* Bytes of data in one command. */
static inline uint32_t k_piece_max(const struct k_region *region) {
    return region->limits.copy_buf < K_WIRE_DATA_MAX ? region->limits.copy_buf : K_WIRE_DATA_MAX;
}

/* Take the VM's lock as one of the pair, and let go of whom it held: K_OK, K_TIMEDOUT, or how the VM ended. */
int k_proxy_enter(const struct k_proxy *proxy, struct k_txn *t, enum k_proxy_role role, int lock_ms);
/* Copy a piece of data to or from a member by memory that is mapped here. False: it has to be copied by the kernel. */
static inline bool k_copy_mapped(struct k_proxy *proxy, int32_t pid, uint64_t address, void *payload, uint64_t bytes, bool write, bool first) {
    uint8_t *there = pid == proxy->pid ? NULL : k_window(&proxy->windows, pid, address, bytes, write, first);
    if (there) memcpy(write ? there : payload, write ? payload : there, bytes);
    return there;
}
/* What a slot's words say that it has for another node. */
void k_fill_command(const struct k_proxy *proxy, const struct k_slot *s, struct k_command *c);
/* The command is a copy's data: read a piece of it. Leaves the lock. K_MORE: it was given up meanwhile (takecopy.c). */
int k_take_piece(struct k_proxy *proxy, struct k_txn *t, struct k_slot *s, uint32_t index, struct k_command *c, void *payload, int lock_ms);

#endif
