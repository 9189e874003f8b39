/* kernel/minix/drvs.h: the node. */
#ifndef KERNEL_MINIX_DRVS_H
#define KERNEL_MINIX_DRVS_H

#include <kernel/minix/drvs_usr.h>

#endif
