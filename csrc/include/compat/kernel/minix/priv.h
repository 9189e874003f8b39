/* kernel/minix/priv.h: privileges. */
#ifndef KERNEL_MINIX_PRIV_H
#define KERNEL_MINIX_PRIV_H

#include <kernel/minix/priv_usr.h>

#endif
