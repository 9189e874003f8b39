/* later.c: the calls of chapter 6, which take migration. Until there is that they answer EMOLNOSYS, so that a program that only
 * mentions them builds and runs.
 */
#include "lib.h"

#define LATER(result, name, ...) \
    result name(__VA_ARGS__) { return (result)ended(EMOLNOSYS); }

#pragma GCC diagnostic ignored "-Wunused-parameter"

LATER(int, mnx_migr_start, int vmid, int endpoint)
LATER(int, mnx_migr_commit, int pid, int vmid, int endpoint, int node)
LATER(int, mnx_migr_rollback, int vmid, int endpoint)
