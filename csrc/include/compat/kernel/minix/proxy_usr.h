/* kernel/minix/proxy_usr.h: proxy pairs. */
#ifndef KERNEL_MINIX_PROXY_USR_H
#define KERNEL_MINIX_PROXY_USR_H

#include <m3ipc/structures.h>
#include <m3ipc/late.h>

#define PX_USR_FORMAT "px_id=%d px_flags=%lX px_name=%s\n"
#define PX_USR_FIELDS(p) (p)->px_id, (p)->px_flags, (p)->px_name

#endif
