/* kernel/minix/dvs_usr.h: the node, under its later name. */
#ifndef KERNEL_MINIX_DVS_USR_H
#define KERNEL_MINIX_DVS_USR_H

#include <kernel/minix/drvs_usr.h>

#endif
