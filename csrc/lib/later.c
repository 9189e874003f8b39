/* later.c: the calls of chapters 5 and 6, which take a second node. Until there is one they answer EMOLNOSYS, so that a program
 * that only mentions them builds and runs.
 */
#include "lib.h"

#define LATER(result, name, ...) \
    result name(__VA_ARGS__) { return (result)ended(EMOLNOSYS); }

#pragma GCC diagnostic ignored "-Wunused-parameter"

LATER(int, mnx_get2rmt, cmd_t *header, proxy_payload_t *payload)
LATER(int, mnx_get2rmt_T, cmd_t *header, proxy_payload_t *payload, long to_ms)
LATER(int, mnx_put2lcl, cmd_t *header, proxy_payload_t *payload)
LATER(int, mnx_migr_start, int vmid, int endpoint)
LATER(int, mnx_migr_commit, int pid, int vmid, int endpoint, int node)
LATER(int, mnx_migr_rollback, int vmid, int endpoint)
