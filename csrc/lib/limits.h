/* limits.h: what bounds the client: names, values and environment switch (DRVS_LIMITS) are those of the Python side. */
#ifndef M3IPC_LIMITS_H
#define M3IPC_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum limit { LIMIT_SPIN_US, LIMIT_CALL_MS, LIMIT_CONNECT_TRIES, LIMIT_CONNECT_WAIT_MS, LIMIT_IDLE_CONNECTIONS, LIMITS };

enum { PACKET_BYTES = 65536, IDLE_CONNECTIONS_MAX = 16, MAPPINGS_KEPT = 4, BINDINGS_KEPT = 64, SPIN_US_MAX = 1000000 };

int64_t limit_value(enum limit limit);

/* DRVS_DISABLE has this word: do without that feature of the kernel. */
bool feature_disabled(const char *name);

#endif
