/* command.h: what proxies carry from node to node: one struct, and its form on the wire.
 *
 *   command             answered by     what it is
 *   SEND_MSG            SEND_ACK        a message; the sender waits until it is received
 *   NTFY_MSG            -               a notification
 *   SNDREC_MSG          REPLY_MSG       a request; SNDREC_ACK only if it fails
 *   REPLY_MSG           REPLY_ACK       an answer; none with the flag NOACK
 *   COPYIN_DATA         COPYIN_ACK      bytes of the requester's node for a process of this one
 *   COPYOUT_RQST        COPYOUT_DATA    wants bytes of a process of this node
 *   COPYLCL_RQST        COPYLCL_ACK     wants a copy between two processes of this node
 *   COPYRMT_RQST        COPYRMT_ACK     wants bytes of a process of this node sent to a third one, as
 *   COPYIN_RQST         -               (which acknowledges to the requester: COPYRMT_ACK)
 *   CANCEL              -               the caller no longer waits for the call of that number
 *   HELLO, SHUTDOWN     -               between proxies
 *
 * An acknowledgement has the number of its command and a bit. Of data in pieces only the one marked LAST is acknowledged, or the
 * first that fails. `call` ties an answer to its call; 0, as in headers that a program wrote itself, fits any.
 */
#ifndef DRVS_COMMAND_H
#define DRVS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

enum k_cmd {
    K_CMD_NONE, K_CMD_SEND_MSG, K_CMD_NTFY_MSG, K_CMD_SNDREC_MSG, K_CMD_REPLY_MSG, K_CMD_COPYIN_DATA, K_CMD_COPYOUT_RQST, K_CMD_COPYLCL_RQST,
    K_CMD_COPYRMT_RQST, K_CMD_COPYIN_RQST, K_CMD_HELLO, K_CMD_SHUTDOWN, K_CMD_CANCEL = 16,
    K_CMD_ACK = 1 << 13,
    K_CMD_SEND_ACK = K_CMD_SEND_MSG | K_CMD_ACK, K_CMD_NTFY_ACK = K_CMD_NTFY_MSG | K_CMD_ACK, K_CMD_SNDREC_ACK = K_CMD_SNDREC_MSG | K_CMD_ACK,
    K_CMD_REPLY_ACK = K_CMD_REPLY_MSG | K_CMD_ACK, K_CMD_COPYIN_ACK = K_CMD_COPYIN_DATA | K_CMD_ACK,
    K_CMD_COPYOUT_DATA = K_CMD_COPYOUT_RQST | K_CMD_ACK, K_CMD_COPYLCL_ACK = K_CMD_COPYLCL_RQST | K_CMD_ACK,
    K_CMD_COPYRMT_ACK = K_CMD_COPYRMT_RQST | K_CMD_ACK,
};

enum k_cmd_flags { K_CMD_LAST = 1, K_CMD_TRACE = 2, K_CMD_NOACK = 4, K_CMD_FLAGS = 7 };

/* The guide's cmd_t with LP64 layout, the fields that its later versions have, and our envelope. */
struct k_command {
    int32_t cmd, vmid, src, dst, snode, dnode, rcode, len;
    int64_t seconds, nanoseconds; /* CLOCK_REALTIME when it was taken */
    struct { int32_t src, dst, rqtr; uint64_t saddr, daddr; int32_t bytes; } v;
    uint32_t flags, snd_seq, ack_seq; /* sequence numbers are the proxies' own */
    uint32_t call;        /* the number of the call, or of the one acknowledged; 0: unknown */
    uint32_t answers;     /* REPLY, SNDREC: the call that it answers. COPYRMT_RQST: the node of v.dst. NTFY: the argument is in v.bytes */
    uint32_t incarnation; /* of the source on its node; 0: unknown */
    uint32_t rnode;       /* node of the process whose call this belongs to: v.rqtr's, or the source's */
    uint8_t trace[16];    /* K_CMD_TRACE */
};
static_assert(offsetof(struct k_command, v) == 48 && offsetof(struct k_command, flags) == 88, "the guide's struct has 88 bytes");

/* The acknowledgement that tells the other side that `c` came to nothing; false: nobody waits to be told. */
bool k_command_refuse(const struct k_command *c, int code, struct k_command *ack);

/* ---- on the wire: little-endian, a header and its payload (wire.c) -------------------------------------------------- */

enum { K_WIRE_HEADER = 96, K_WIRE_DATA_MAX = 1 << 20, K_WIRE_RECORD_MAX = K_WIRE_HEADER + K_WIRE_DATA_MAX };

/* Whether a command carries 64 bytes of message, or a block of data of c->len bytes. */
bool k_cmd_has_message(int32_t cmd);
bool k_cmd_has_data(int32_t cmd);

/* What is wrong with a command's form (its lengths, code and flags); NULL: nothing. */
const char *k_command_fault(const struct k_command *c);

/* Write the header of a record whose payload (c->len bytes) follows it. */
void k_wire_encode(const struct k_command *c, uint8_t header[K_WIRE_HEADER]);
/* Read one record of the `n` bytes at `from`; its payload is the c->len bytes behind the header. Returns NULL with its whole length in
 * `*length`, or what is wrong with it. */
const char *k_wire_decode(const uint8_t *from, size_t n, struct k_command *c, size_t *length);

#endif
