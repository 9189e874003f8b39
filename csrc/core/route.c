/* route.c: which proxy pair serves a node, and whether calls to it can be made.
 *
 * The table is the VM's own: noded computes each word from its tables of nodes and proxies and writes it here, so that one lock
 * hold checks the route and queues the call.
 */
#include "route.h"

#include "txn.h"

bool k_route_px(const struct k_region *region, int64_t node, uint32_t *px) {
    if (k_route_code(region, node) != K_OK) return false;
    *px = (*k_route_at(region, (uint32_t)node) >> K_ROUTE_PX_SHIFT) - 1;
    return true;
}

int k_route_code(const struct k_region *region, int64_t node) {
    if (node < 0 || node >= region->limits.nr_nodes) return K_BADNODEID;
    uint32_t word = __atomic_load_n(k_route_at(region, (uint32_t)node), __ATOMIC_RELAXED);
    if (!(word & K_ROUTE_VM)) return K_NOVMNODE;
    if ((word >> K_ROUTE_PX_SHIFT) - 1 >= region->limits.nr_proxies) return K_NOPROXY;
    return word & K_ROUTE_CONNECTED ? K_OK : K_NOTCONN;
}

int k_step_route(struct k_region *region, uint32_t me, uint32_t node, uint32_t word, int lock_ms) {
    struct k_txn t;
    if (node >= region->limits.nr_nodes) return K_BADNODEID;
    int code = k_enter(&t, region, me, k_lock_deadline(lock_ms));
    if (code != K_OK) return code;
    k_set(&t, k_route_at(region, node), word);
    return k_leave_with(&t, k_commit(&t));
}
