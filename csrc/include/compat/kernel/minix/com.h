/* kernel/minix/com.h: well-known process numbers, notifications. */
#ifndef KERNEL_MINIX_COM_H
#define KERNEL_MINIX_COM_H

#include <m3ipc/constants.h>
#include <m3ipc/late.h>

#endif
