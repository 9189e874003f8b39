/* kernel/minix/proxy.h: proxy pairs and what they carry. */
#ifndef KERNEL_MINIX_PROXY_H
#define KERNEL_MINIX_PROXY_H

#include <m3ipc/structures.h>
#include <m3ipc/late.h>

#endif
