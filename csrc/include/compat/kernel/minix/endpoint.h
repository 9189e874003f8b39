/* kernel/minix/endpoint.h: the arithmetic of endpoints under the default limits. */
#ifndef KERNEL_MINIX_ENDPOINT_H
#define KERNEL_MINIX_ENDPOINT_H

#include <m3ipc/constants.h>

#define _ENDPOINT_GENERATION_SIZE (NR_TASKS + SELF + 1)
#define _ENDPOINT(generation, p_nr) ((generation) * _ENDPOINT_GENERATION_SIZE + (p_nr))
#define _ENDPOINT_G(endpoint) (((endpoint) + NR_TASKS) / _ENDPOINT_GENERATION_SIZE)
#define _ENDPOINT_P(endpoint) ((((endpoint) + NR_TASKS) % _ENDPOINT_GENERATION_SIZE) - NR_TASKS)

#endif
