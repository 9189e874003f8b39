/* route.h: the way to another node, as the region's table of routes says. */
#ifndef DRVS_ROUTE_H
#define DRVS_ROUTE_H

#include "region.h"

enum k_proxy_role { K_PROXY_SENDER, K_PROXY_RECEIVER };

/* The slot through which one proxy of a pair below nr_proxies acts; the sender's also has the pair's queue. */
static inline uint32_t k_proxy_slot(const struct k_region *region, uint32_t px, enum k_proxy_role role) {
    return region->members + K_KERNEL_SLOTS + 2 * px + (uint32_t)role;
}

/* The proxy pair that serves a node now; false: calls to it cannot be made (k_route_code says why). */
bool k_route_px(const struct k_region *region, int64_t node, uint32_t *px);

#endif
