/* kernel/minix/priv_usr.h: privileges. */
#ifndef KERNEL_MINIX_PRIV_USR_H
#define KERNEL_MINIX_PRIV_USR_H

#include <m3ipc/structures.h>
#include <m3ipc/late.h>

#define PRIV_USR_FORMAT "s_id=%d s_warn=%d s_level=%d s_trap_mask=%X s_call_mask=%lX\n"
#define PRIV_USR_FIELDS(p) (p)->s_id, (p)->s_warn, (p)->s_level, (unsigned)(p)->s_trap_mask, (unsigned long)(p)->s_call_mask

#endif
