/* noded.h: the client of noded: one request, one answer.
 *
 *     struct request q;
 *     struct reply r;
 *     request_begin(&q, "getep", REPEAT);
 *     json_put_integer(&q.json, "pid", pid);
 *     int code = noded_ask(&q, &r);          // r.code; descriptors and fields while it is 0
 *     …reply_integer(&r, "endpoint")…
 *     reply_end(&r);
 */
#ifndef M3IPC_NODED_H
#define M3IPC_NODED_H

#include "json.h"
#include "lib.h"

enum request_kind {
    REPEAT = 1, /* may be sent again to a restarted noded without doing anything twice */
    WAITS = 2,  /* a signal ends it with -ERESTARTSYS; `wait_ms` is how long noded may take */
};

struct request {
    struct json_writer json;
    uint32_t kind;
    int64_t wait_ms; /* -1: for ever */
    char room[1536];
};

enum { REPLY_FDS = 4 };

struct reply {
    int code;
    unsigned nfds;
    int fds[REPLY_FDS]; /* the descriptors that came along, in noded's order; closed by reply_end but for those that were taken */
    char *text;
    struct json fields;
};

void request_begin(struct request *q, const char *op, uint32_t kind);
/* Add "timeout_ms": the guide's milliseconds, below 0 for ever. */
void request_wait(struct request *q, long to_ms);

/* Ask the node of the environment. Returns reply->code: noded's own, or EMOLDRVSINIT (nobody there), EMOLPERM, EMOLTIMEDOUT,
 * -ERESTARTSYS, EMOLINVAL (a text that is not UTF-8), EMOL2BIG, EMOLNOMEM. */
int noded_ask(struct request *q, struct reply *reply);
/* For answers of which only the code is wanted. */
int noded_tell(struct request *q);
void reply_end(struct reply *reply);
/* Take a descriptor; -1: there is none. */
int reply_take(struct reply *reply, unsigned which);

/* A field, 0 or empty if the answer has none of that kind. */
int64_t reply_integer(const struct reply *reply, const char *name);
uint64_t reply_word(const struct reply *reply, const char *name);
void reply_text(const struct reply *reply, const char *name, char *into, size_t room);

#endif
