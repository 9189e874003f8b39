/* kernel/minix/config.h: limits and sizes, for sources of M3-IPC's own time. */
#ifndef KERNEL_MINIX_CONFIG_H
#define KERNEL_MINIX_CONFIG_H

#include <m3ipc/constants.h>
#include <m3ipc/late.h>

#endif
