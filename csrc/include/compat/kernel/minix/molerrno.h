/* kernel/minix/molerrno.h: return codes. */
#ifndef KERNEL_MINIX_MOLERRNO_H
#define KERNEL_MINIX_MOLERRNO_H

#include <m3ipc/codes.h>
#include <m3ipc/late.h>

#endif
