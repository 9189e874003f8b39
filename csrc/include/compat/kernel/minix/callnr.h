/* kernel/minix/callnr.h: call numbers. */
#ifndef KERNEL_MINIX_CALLNR_H
#define KERNEL_MINIX_CALLNR_H

#include <m3ipc/callnr.h>
#include <m3ipc/late.h>

#endif
