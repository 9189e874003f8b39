/* proxy.c: stubs. */
#include "core.h"
int k_proxy_open(struct k_proxy *proxy, const struct k_region *region, uint32_t px, uint32_t node) {
    *proxy = (struct k_proxy){.region = *region, .px = px, .node = node};
    return K_OK;
}
void k_proxy_close(struct k_proxy *proxy) { (void)proxy; }
uint32_t k_proxy_room(const struct k_proxy *proxy) { return proxy->region.limits.copy_buf < K_WIRE_DATA_MAX ? proxy->region.limits.copy_buf : K_WIRE_DATA_MAX; }
int k_proxy_take(struct k_proxy *proxy, const uint8_t *skip, struct k_command *c, void *payload, int lock_ms) { (void)proxy, (void)skip, (void)c, (void)payload, (void)lock_ms; return K_AGAIN; }
int k_proxy_put(struct k_proxy *proxy, const struct k_command *c, const void *payload, int lock_ms) { (void)proxy, (void)c, (void)payload, (void)lock_ms; return K_NOPROXY; }
int k_proxy_arm(struct k_proxy *proxy, int lock_ms) { (void)proxy, (void)lock_ms; return K_OK; }
bool k_proxy_ready(const struct k_proxy *proxy) { (void)proxy; return false; }
int k_cut(struct k_region *region, uint32_t me, uint32_t node, int code, bool unbind, int lock_ms) { (void)region, (void)me, (void)node, (void)code, (void)unbind, (void)lock_ms; return K_OK; }
int k_bury_proxies(struct k_region *region, uint32_t me, uint32_t px, int lock_ms) { (void)region, (void)me, (void)px, (void)lock_ms; return K_OK; }
