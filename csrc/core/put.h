/* put.h: delivering one command of another node. */
#ifndef DRVS_PUT_H
#define DRVS_PUT_H

#include "proxy.h"

struct k_putting {
    struct k_proxy *proxy;
    const struct k_command *c;
    const void *payload;
    int lock_ms;
    bool inside;    /* the lock is held */
    struct k_txn t; /* its actor is the receiver proxy, `me` the slot of the remote process */
};

/* A process of another node, as its command names it. */
struct k_sender {
    int32_t endpoint, node;
    uint32_t incarnation; /* 0: not said */
    char name[K_NAME_BYTES];
    bool known; /* it was bound here, and is to be again */
};

static inline int k_put_enter(struct k_putting *p) {
    int code = k_proxy_enter(p->proxy, &p->t, K_PROXY_RECEIVER, p->lock_ms);
    p->inside = code == K_OK;
    return code;
}

static inline void k_put_leave(struct k_putting *p) {
    if (p->inside) k_leave(&p->t, NULL);
    p->inside = false;
}

/* Take the VM's lock in the name of a remote process, which gets a slot here if it has none. K_NOTBIND: a system process that nobody
 * has bound here; K_LCLPROC, K_SLOTUSED: its slot is somebody else's. */
int k_enter_as_remote(struct k_putting *p, struct k_sender *from);
/* It makes a new call: what it had under way is given up. Commits of its own. */
int k_begin_remote(struct k_putting *p);
/* It has made a newer call, which came here by way of a third node: this one was given up, and may not end what is under way. */
bool k_is_late(const struct k_putting *p);
/* Queue an acknowledgement of the command for the process that the lock is held for, and commit. */
int k_acknowledge(struct k_putting *p, int32_t cmd, int code);
/* The code says that the process which the command went to is dead (`called`: or died before it answered). */
bool k_is_dead(int code, bool called);
/* The process is dead, its node says. Under the lock that its caller's wait ends with: whoever looks for it next does not find it. */
struct k_burial { bool begun; uint32_t index, incarnation; };
int k_begin_burial(struct k_putting *p, int32_t endpoint, struct k_burial *burial);
/* Without the lock: those who still wait on it go on, and its slot becomes free. */
int k_finish_burial(struct k_putting *p, const struct k_burial *burial);

/* All commands of copies (farcopy.c). */
int k_put_copy(struct k_putting *p);

#endif
