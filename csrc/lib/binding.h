/* binding.h: from noded's answer to an endpoint that can be used. */
#ifndef M3IPC_BINDING_H
#define M3IPC_BINDING_H

#include "noded.h"

/* The endpoint that an answer to bind or wait4bind tells of, its region mapped. EMOLNOMEM; EMOLBADVMID: the region is damaged. */
int binding_open(struct reply *reply, struct binding **opened);
/* No call begins on it any more. Its memory is used again once nobody can be in a call. */
void binding_retire(struct binding *b);
/* In a forked child: none of its parent's is its own. */
void bindings_disown(void);
/* Its slot still is this process's, as far as the region tells. */
bool binding_alive(struct binding *b);

/* Let noded copy from and to this process, where Linux asks for that (Yama). */
void allow_noded(int64_t noded);
/* Let noded make a copy that Linux refused to this process; a slot of K_NIL is the memory of this process, as a proxy. */
int noded_copies(int vmid, const struct k_copy *copy);

#endif
