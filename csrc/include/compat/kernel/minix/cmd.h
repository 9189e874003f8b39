/* kernel/minix/cmd.h: commands of proxies. */
#ifndef KERNEL_MINIX_CMD_H
#define KERNEL_MINIX_CMD_H

#include <m3ipc/structures.h>
#include <m3ipc/late.h>

#endif
