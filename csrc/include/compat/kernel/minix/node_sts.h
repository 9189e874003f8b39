/* kernel/minix/node_sts.h: states of nodes. */
#ifndef KERNEL_MINIX_NODE_STS_H
#define KERNEL_MINIX_NODE_STS_H

#include <m3ipc/constants.h>

#endif
