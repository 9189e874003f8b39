/* kernel/minix/proc_sts.h: states of processes. */
#ifndef KERNEL_MINIX_PROC_STS_H
#define KERNEL_MINIX_PROC_STS_H

#include <m3ipc/constants.h>

#endif
