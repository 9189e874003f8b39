/* wire.c: the form of a command between nodes.
 *
 *   0 u32 length of the record    4 u16 command        6 u16 flags          8 u16 vmid         10 u16 node of the requester
 *  12 i32 source                 16 i32 destination   20 u16 from node     22 u16 to node
 *  24 i32 code                   28 u32 call          32 u32 answers       36 u32 incarnation
 *  40 i64 time, ns               48 i32 v.src         52 i32 v.dst         56 i32 v.rqtr       60 u32 v.bytes
 *  64 u64 v.saddr                72 u64 v.daddr       80 16 bytes trace    96 payload: a message, data, or nothing
 *
 * Decoding looks at form alone: lengths, the command, flags. Whether endpoints, nodes and calls make sense is for the VM to say (proxy.c).
 */
#include "command.h"

#include <string.h>

/* ---- numbers ---------------------------------------------------------------------------------------------------------- */

static void put16(uint8_t *to, uint32_t value) {
    to[0] = (uint8_t)value, to[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *to, uint32_t value) {
    put16(to, value & 0xffff), put16(to + 2, value >> 16);
}

static void put64(uint8_t *to, uint64_t value) {
    put32(to, (uint32_t)value), put32(to + 4, (uint32_t)(value >> 32));
}

static uint32_t get16(const uint8_t *from) {
    return from[0] | (uint32_t)from[1] << 8;
}

static uint32_t get32(const uint8_t *from) {
    return get16(from) | get16(from + 2) << 16;
}

static uint64_t get64(const uint8_t *from) {
    return get32(from) | (uint64_t)get32(from + 4) << 32;
}

/* ---- commands --------------------------------------------------------------------------------------------------------- */

bool k_cmd_has_message(int32_t cmd) {
    return cmd == K_CMD_SEND_MSG || cmd == K_CMD_SNDREC_MSG || cmd == K_CMD_REPLY_MSG;
}

bool k_cmd_has_data(int32_t cmd) {
    return cmd == K_CMD_COPYIN_DATA || cmd == K_CMD_COPYIN_RQST || cmd == K_CMD_COPYOUT_DATA;
}

static bool asks_for_copy(int32_t cmd) {
    return cmd == K_CMD_COPYOUT_RQST || cmd == K_CMD_COPYLCL_RQST || cmd == K_CMD_COPYRMT_RQST;
}

static bool is_known(uint32_t cmd) {
    uint32_t plain = cmd & ~(uint32_t)K_CMD_ACK;
    if (cmd & K_CMD_ACK) return plain >= K_CMD_SEND_MSG && plain <= K_CMD_COPYRMT_RQST;
    return (cmd >= K_CMD_SEND_MSG && cmd <= K_CMD_SHUTDOWN) || cmd == K_CMD_CANCEL;
}

static uint32_t refusal_of(const struct k_command *c) {
    if (c->cmd & K_CMD_ACK || c->flags & K_CMD_NOACK) return K_CMD_NONE;
    if (k_cmd_has_message(c->cmd) || c->cmd == K_CMD_COPYIN_DATA || asks_for_copy(c->cmd)) return (uint32_t)c->cmd | K_CMD_ACK;
    return c->cmd == K_CMD_COPYIN_RQST ? K_CMD_COPYRMT_ACK : K_CMD_NONE;
}

bool k_command_refuse(const struct k_command *c, int code, struct k_command *ack) {
    uint32_t cmd = refusal_of(c);
    bool message = k_cmd_has_message(c->cmd), data = k_cmd_has_data((int32_t)cmd);
    *ack = (struct k_command){
        .cmd = (int32_t)cmd, .vmid = c->vmid, .src = c->dst, .dst = message ? c->src : c->v.rqtr, .snode = c->dnode,
        .dnode = message ? c->snode : (int32_t)c->rnode, .rcode = code, .call = c->call, .rnode = c->rnode, .flags = data ? K_CMD_LAST : 0, .v = c->v,
    };
    if (data) ack->v.bytes = 0;
    return cmd != K_CMD_NONE;
}

/* ---- encode, decode --------------------------------------------------------------------------------------------------- */

void k_wire_encode(const struct k_command *c, uint8_t header[K_WIRE_HEADER]) {
    put32(header, K_WIRE_HEADER + (uint32_t)c->len);
    put16(header + 4, (uint32_t)c->cmd), put16(header + 6, c->flags), put16(header + 8, (uint32_t)c->vmid), put16(header + 10, c->rnode);
    put32(header + 12, (uint32_t)c->src), put32(header + 16, (uint32_t)c->dst);
    put16(header + 20, (uint32_t)c->snode), put16(header + 22, (uint32_t)c->dnode);
    put32(header + 24, (uint32_t)c->rcode), put32(header + 28, c->call), put32(header + 32, c->answers), put32(header + 36, c->incarnation);
    put64(header + 40, (uint64_t)c->seconds * 1000000000u + (uint64_t)c->nanoseconds);
    put32(header + 48, (uint32_t)c->v.src), put32(header + 52, (uint32_t)c->v.dst), put32(header + 56, (uint32_t)c->v.rqtr);
    put32(header + 60, (uint32_t)c->v.bytes), put64(header + 64, c->v.saddr), put64(header + 72, c->v.daddr);
    memcpy(header + 80, c->trace, sizeof c->trace);
}

static void read_header(const uint8_t *h, struct k_command *c) {
    int64_t time = (int64_t)get64(h + 40);
    *c = (struct k_command){
        .len = (int32_t)(get32(h) - K_WIRE_HEADER), .cmd = (int32_t)get16(h + 4), .flags = get16(h + 6), .vmid = (int32_t)get16(h + 8),
        .rnode = get16(h + 10), .src = (int32_t)get32(h + 12), .dst = (int32_t)get32(h + 16), .snode = (int32_t)get16(h + 20),
        .dnode = (int32_t)get16(h + 22), .rcode = (int32_t)get32(h + 24), .call = get32(h + 28), .answers = get32(h + 32),
        .incarnation = get32(h + 36), .seconds = time / 1000000000, .nanoseconds = time % 1000000000,
        .v = {.src = (int32_t)get32(h + 48), .dst = (int32_t)get32(h + 52), .rqtr = (int32_t)get32(h + 56), .bytes = (int32_t)get32(h + 60),
              .saddr = get64(h + 64), .daddr = get64(h + 72)},
    };
    memcpy(c->trace, h + 80, sizeof c->trace);
}

const char *k_command_fault(const struct k_command *c) {
    if (!is_known((uint32_t)c->cmd)) return "there is no such command";
    if (c->flags & ~(uint32_t)K_CMD_FLAGS) return "it has flags that do not exist";
    if (c->rcode > 0 || c->rcode < -4095) return "its code is no code";
    if (k_cmd_has_message(c->cmd)) return c->len == (int32_t)sizeof(struct k_message) ? NULL : "a message has 64 bytes";
    if (!k_cmd_has_data(c->cmd)) return c->len == 0 ? NULL : "it has a payload, and should have none";
    return c->v.bytes == c->len ? NULL : "the bytes that it has are not those that it says";
}

const char *k_wire_decode(const uint8_t *from, size_t n, struct k_command *c, size_t *length) {
    if (n < K_WIRE_HEADER) return "it is shorter than a header";
    *length = get32(from);
    if (*length < K_WIRE_HEADER || *length > K_WIRE_RECORD_MAX) return "its length is out of range";
    if (*length > n) return "it is cut short";
    read_header(from, c);
    return k_command_fault(c);
}
