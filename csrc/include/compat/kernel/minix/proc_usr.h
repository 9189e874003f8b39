/* kernel/minix/proc_usr.h: process descriptors. */
#ifndef KERNEL_MINIX_PROC_USR_H
#define KERNEL_MINIX_PROC_USR_H

#include <m3ipc/structures.h>
#include <m3ipc/late.h>

#define PROC_USR_FORMAT "nr=%d endp=%d vmid=%d flags=%lX misc=%lX lpid=%d nodeid=%d name=%s\n"
#define PROC_USR_FIELDS(p) \
    (p)->p_nr, (p)->p_endpoint, (p)->p_vmid, (p)->p_rts_flags, (p)->p_misc_flags, (p)->p_lpid, (p)->p_nodeid, (p)->p_name

#endif
