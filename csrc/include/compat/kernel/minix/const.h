/* kernel/minix/const.h: constants and flags. */
#ifndef KERNEL_MINIX_CONST_H
#define KERNEL_MINIX_CONST_H

#include <m3ipc/constants.h>
#include <m3ipc/late.h>

#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif

#endif
