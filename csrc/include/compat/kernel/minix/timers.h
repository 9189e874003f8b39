/* kernel/minix/timers.h: timers, of which privileges hold one. */
#ifndef KERNEL_MINIX_TIMERS_H
#define KERNEL_MINIX_TIMERS_H

#include <m3ipc/structures.h>

#endif
