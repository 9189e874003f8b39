/* kernel/minix/node_usr.h: nodes. */
#ifndef KERNEL_MINIX_NODE_USR_H
#define KERNEL_MINIX_NODE_USR_H

#include <m3ipc/structures.h>
#include <m3ipc/late.h>

#define NODE_USR_FORMAT "n_nodeid=%d n_flags=%lX n_proxies=%d n_vms=%lX n_name=%s\n"
#define NODE_USR_FIELDS(p) (p)->n_nodeid, (p)->n_flags, (p)->n_proxies, (p)->n_vms, (p)->n_name

#endif
