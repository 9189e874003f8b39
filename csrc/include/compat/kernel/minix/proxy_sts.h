/* kernel/minix/proxy_sts.h: states of proxy pairs. */
#ifndef KERNEL_MINIX_PROXY_STS_H
#define KERNEL_MINIX_PROXY_STS_H

#include <m3ipc/constants.h>

#endif
