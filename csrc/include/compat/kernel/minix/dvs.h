/* kernel/minix/dvs.h: the node. */
#ifndef KERNEL_MINIX_DVS_H
#define KERNEL_MINIX_DVS_H

#include <kernel/minix/drvs_usr.h>

#endif
