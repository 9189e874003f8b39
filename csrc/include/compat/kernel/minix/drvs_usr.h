/* kernel/minix/drvs_usr.h: the node. */
#ifndef KERNEL_MINIX_DRVS_USR_H
#define KERNEL_MINIX_DRVS_USR_H

#include <m3ipc/structures.h>
#include <m3ipc/late.h>

#define DRVS_USR_FORMAT "nr_vms=%d nr_nodes=%d nr_procs=%d nr_tasks=%d nr_sysprocs=%d dbglvl=%lX version=%d.%d\n"
#define DRVS_USR_FIELDS(p) \
    (p)->d_nr_vms, (p)->d_nr_nodes, (p)->d_nr_procs, (p)->d_nr_tasks, (p)->d_nr_sysprocs, (p)->d_dbglvl, (p)->d_version, \
        (p)->d_subver
#define DVS_USR_FORMAT DRVS_USR_FORMAT
#define DVS_USR_FIELDS DRVS_USR_FIELDS
#define DVS_MAX_FORMAT "max_copybuf=%d max_copylen=%d\n"
#define DVS_MAX_FIELDS(p) (p)->d_max_copybuf, (p)->d_max_copylen

#endif
