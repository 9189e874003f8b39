/* kernel/minix/kipc.h: timeouts, kinds of binding, special endpoints. */
#ifndef KERNEL_MINIX_KIPC_H
#define KERNEL_MINIX_KIPC_H

#include <m3ipc/constants.h>
#include <m3ipc/late.h>

#endif
