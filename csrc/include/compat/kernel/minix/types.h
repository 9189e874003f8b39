/* kernel/minix/types.h: the types of messages and structures. */
#ifndef KERNEL_MINIX_TYPES_H
#define KERNEL_MINIX_TYPES_H

#include <sys/types.h>
#include <m3ipc/structures.h>

#endif
