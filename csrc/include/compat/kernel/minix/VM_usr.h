/* kernel/minix/VM_usr.h: VMs. */
#ifndef KERNEL_MINIX_VM_usr_H
#define KERNEL_MINIX_VM_usr_H

#include <m3ipc/structures.h>
#include <m3ipc/late.h>

#define VM_USR_FORMAT "vmid=%d flags=%X nr_procs=%d nr_tasks=%d nr_sysprocs=%d nr_nodes=%d nodes=%lX name=%s\n"
#define VM_USR_FIELDS(p) \
    (p)->vm_vmid, (unsigned)(p)->vm_flags, (p)->vm_nr_procs, (p)->vm_nr_tasks, (p)->vm_nr_sysprocs, (p)->vm_nr_nodes, \
        (p)->vm_nodes, (p)->vm_name
#define DC_USR_FORMAT VM_USR_FORMAT
#define DC_USR_FIELDS VM_USR_FIELDS

#endif
