/* kernel/minix/DC_usr.h: VMs, under another name. */
#ifndef KERNEL_MINIX_DC_usr_H
#define KERNEL_MINIX_DC_usr_H

#include <kernel/minix/VM_usr.h>

#endif
