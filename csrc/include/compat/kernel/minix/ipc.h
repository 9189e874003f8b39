/* kernel/minix/ipc.h: messages and their fields. */
#ifndef KERNEL_MINIX_IPC_H
#define KERNEL_MINIX_IPC_H

#include <m3ipc/message.h>

#endif
